"""The ledger: each movement of money is a posting of entries that add up to nothing. Append-only.

Amounts are whole cents, debits above zero, credits below.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing.models.bills import Bill
from billing.models.payments import Payment
from scheduling.models import Booking, Clinic, LegalEntity, SessionTicket


class Account(models.TextChoices):
    STRIPE = "stripe", _("Online payments")
    CASH = "cash", _("Cash")
    TERMINAL = "terminal", _("Card terminal")
    PAYNOW = "paynow", _("PayNow at the counter")
    RECEIVABLE = "receivable", _("Owed by patients")
    CUSTOMER = "customer", _("Received, not yet for a bill")
    DEFERRED = "deferred", _("Prepaid sessions not yet delivered")
    REVENUE = "revenue", _("Revenue")
    GST = "gst", _("GST collected")
    LOSS = "loss", _("Lost disputes")


class LedgerPosting(models.Model):
    """One movement. Its key says what moved (`bill:17`), so that it is posted once whoever repeats it."""

    class Kind(models.TextChoices):
        BILL = "bill", _("Bill")
        CREDIT_NOTE = "credit_note", _("Credit note")
        CAPTURE = "capture", _("Charged online")
        ALLOCATION = "allocation", _("Applied to a bill")
        RELEASE = "release", _("Taken off a bill")
        REFUND = "refund", _("Refunded online")
        REFUND_FAILED = "refund_failed", _("Refund that failed")
        COUNTER = "counter", _("Paid at the counter")
        COUNTER_REFUND = "counter_refund", _("Given back at the counter")
        DELIVERY = "delivery", _("Prepaid session delivered")
        CONTRACT_END = "contract_end", _("Contract settled")
        DISPUTE = "dispute", _("Lost dispute")

    RECEIVED = (Kind.ALLOCATION, Kind.COUNTER)
    RETURNED = (Kind.RELEASE, Kind.COUNTER_REFUND)

    key = models.CharField(_("key"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    clinic = models.ForeignKey(
        Clinic, models.PROTECT, related_name="+", verbose_name=_("clinic"), db_index=False
    )
    legal_entity = models.ForeignKey(
        LegalEntity, models.PROTECT, related_name="+", verbose_name=_("legal entity"), db_index=False
    )
    date = models.DateField(_("date"), help_text=_("At the clinic."))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
        db_index=False,
    )
    posted_at = models.DateTimeField(_("posted at"), db_default=Now())

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("ledger")
        indexes = [models.Index(fields=["clinic", "date"], name="posting_clinic_date")]

    def __str__(self) -> str:
        return self.key


class LedgerEntry(models.Model):
    posting = models.ForeignKey(
        LedgerPosting, models.PROTECT, related_name="entries", verbose_name=_("posting")
    )
    account = models.CharField(_("account"), max_length=12, choices=Account)
    amount_cents = models.BigIntegerField(_("amount (cents)"))
    bill = models.ForeignKey(
        Bill, models.PROTECT, null=True, blank=True, related_name="entries", verbose_name=_("bill")
    )
    payment = models.ForeignKey(
        Payment, models.PROTECT, null=True, blank=True, related_name="entries", verbose_name=_("payment")
    )
    booking = models.ForeignKey(
        Booking,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("booking"),
        db_index=False,
    )
    session = models.ForeignKey(
        SessionTicket,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("session"),
        db_index=False,
    )

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        constraints = [
            models.CheckConstraint(condition=~Q(amount_cents=0), name="ledger_entry_of_something"),
            models.CheckConstraint(
                condition=~Q(account="receivable") | Q(bill__isnull=False), name="ledger_receivable_has_bill"
            ),
            models.CheckConstraint(
                condition=~Q(account__in=["customer", "stripe"]) | Q(payment__isnull=False),
                name="ledger_online_has_payment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.amount_cents}"
