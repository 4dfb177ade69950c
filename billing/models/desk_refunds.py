"""Money that staff gave back, disputes, and the requests that are answered once."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing.models.bills import Bill, CreditNote
from billing.models.payments import Payment
from clinic_booking.sealed import SealedRow, SealedTextField


class AnsweredRequest(models.Model):
    """A request that moved money, by the key that came with it: the same again gets the same answer.

    What was asked is kept as a digest, so that the same key with other words is seen (409).
    """

    key = models.CharField(_("key"), max_length=64, primary_key=True)
    digest = models.CharField(_("digest"), max_length=64)
    result_id = models.BigIntegerField(_("result"), null=True)
    made_at = models.DateTimeField(_("made at"), db_default=Now())

    class Meta:
        verbose_name = _("answered request")
        verbose_name_plural = _("answered requests")

    def __str__(self) -> str:
        return self.key


class DeskRefund(SealedRow):
    """Why staff gave money back: the rows of how it went are a Refund for online, a CounterRefund for the counter."""

    class Reason(models.TextChoices):
        GOODWILL = "goodwill", _("Goodwill: the bill becomes less")
        CORRECTION = "correction", _("The bill was wrong: it becomes less")
        MISTAKE = "mistake", _("Taken by mistake: the bill stays to be paid")

    bill = models.ForeignKey(Bill, models.PROTECT, related_name="desk_refunds", verbose_name=_("bill"))
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    counter_cents = models.PositiveIntegerField(
        _("of which at the counter (cents)"), help_text=_("The rest goes back online.")
    )
    reason = models.CharField(_("reason"), max_length=10, choices=Reason)
    note = SealedTextField(_("note"), max_length=200, blank=True)
    credit_note = models.OneToOneField(
        CreditNote, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("credit note")
    )
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("given back by")
    )
    given_at = models.DateTimeField(_("given back at"), db_default=Now())

    class Meta:
        verbose_name = _("refund by staff")
        verbose_name_plural = _("refunds by staff")
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_cents__gt=0, counter_cents__lte=F("amount_cents")),
                name="desk_refund_of_something",
            ),
            models.CheckConstraint(
                condition=Q(reason="mistake", credit_note=None)
                | (~Q(reason="mistake") & Q(credit_note__isnull=False)),
                name="desk_refund_credits_unless_mistaken",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bill_id} {self.amount_cents}"

    @property
    def online_cents(self) -> int:
        return self.amount_cents - self.counter_cents


class Dispute(models.Model):
    """The patient's bank asks for a charge back. What the provider says of it, as last asked."""

    LOST, WON = "lost", "won"
    OVER = (LOST, WON, "warning_closed", "prevented")

    provider_ref = models.CharField(_("reference at the provider"), max_length=80, primary_key=True)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes", verbose_name=_("payment"))
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    status = models.CharField(_("status"), max_length=40, help_text=_("The provider's word."))
    evidence_due_at = models.DateTimeField(_("evidence until"), null=True, blank=True)
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        constraints = [
            models.CheckConstraint(
                condition=Q(provider_ref__regex=r"^(du|dp)_[A-Za-z0-9]+$"),
                name="dispute_reference_of_a_dispute",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=["lost", "won", "warning_closed", "prevented"], closed_at__isnull=False
                )
                | (~Q(status__in=["lost", "won", "warning_closed", "prevented"]) & Q(closed_at=None)),
                name="dispute_closed_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider_ref} {self.status}"
