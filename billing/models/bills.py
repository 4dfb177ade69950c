"""Bills and credit notes, numbered without a gap for each legal entity. Changed by verbs in `bills.py`.

What was received, given back and credited is added up by triggers from the ledger and the credit notes, and the status
follows from these sums, so that none of them can disagree.
"""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing.models.contracts import Contract
from clinic_booking.roles import Can
from clinic_booking.sealed import SealedRow, SealedTextField
from patients.access import Located, visible
from patients.models import Patient
from scheduling.models import Booking, Clinic, LegalEntity


class GstRate(models.Model):
    """The rate of the country from a day on. Bills keep theirs, so that a later row changes none."""

    valid_from = models.DateField(_("from"), primary_key=True)
    basis_points = models.PositiveSmallIntegerField(
        _("rate (basis points)"), help_text=_("900 is 9 %. The rates until 2024 are known without a row.")
    )

    class Meta:
        verbose_name = _("GST rate")
        verbose_name_plural = _("GST rates")
        ordering = ["-valid_from"]
        constraints = [
            models.CheckConstraint(condition=Q(basis_points__lte=5000), name="gst_rate_sane"),
        ]

    def __str__(self) -> str:
        return f"{self.basis_points / 100:g} % ({self.valid_from})"


class BillSeries(models.Model):
    """The last numbers of a legal entity. Its row lock makes the numbers follow each other without a gap."""

    legal_entity = models.OneToOneField(
        LegalEntity, models.PROTECT, primary_key=True, related_name="series", verbose_name=_("legal entity")
    )
    last_number = models.PositiveIntegerField(_("last number"), default=0, db_default=0)
    last_credit_number = models.PositiveIntegerField(_("last credit note"), default=0, db_default=0)

    class Meta:
        verbose_name = _("bill series")
        verbose_name_plural = _("bill series")

    def __str__(self) -> str:
        return f"{self.legal_entity} {self.last_number}"


class BillQuerySet(Located["Bill"]):
    needs = Can.SEE_MONEY

    def visible_to(self, user: Any, *, references: list[str] | None = None) -> Self:
        """Those of visits that this browser was given, too."""
        allowed = Q(booking__reference__in=references or [])
        return self.filter(allowed | visible(user, self.needs, clinic="clinic", patient="patient"))


class Bill(models.Model):
    """Of a booking (its only one) or of a contract, with the issuer as it was then (IRAS: number, date, name, UEN, GST).

    net = total − credited; paid = received − returned.
    """

    class Status(models.TextChoices):
        ISSUED = "issued", _("To be paid")
        PART_PAID = "part_paid", _("Paid in part")
        PAID = "paid", _("Paid")
        REFUND_DUE = "refund_due", _("Money to be given back")
        VOID = "void", _("Void")
        REFUNDED = "refunded", _("Refunded")

    UNPAID = (Status.ISSUED, Status.PART_PAID)

    booking = models.OneToOneField(
        Booking, models.PROTECT, null=True, blank=True, related_name="bill", verbose_name=_("booking")
    )
    contract = models.ForeignKey(
        Contract, models.PROTECT, null=True, blank=True, related_name="bills", verbose_name=_("contract")
    )
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="bills", verbose_name=_("patient"))
    clinic = models.ForeignKey(
        Clinic, models.PROTECT, related_name="bills", verbose_name=_("clinic"), db_index=False
    )
    legal_entity = models.ForeignKey(
        LegalEntity, models.PROTECT, related_name="bills", verbose_name=_("legal entity"), db_index=False
    )
    number = models.PositiveIntegerField(_("number"))
    entity_name = models.CharField(_("issued by"), max_length=120)
    entity_uen = models.CharField(_("UEN"), max_length=10)
    entity_gst_number = models.CharField(_("GST number"), max_length=20, blank=True)
    entity_address = models.CharField(_("address"), max_length=200)
    currency = models.CharField(_("currency"), max_length=3)
    total_cents = models.PositiveIntegerField(_("total (cents)"))
    gst_cents = models.PositiveIntegerField(_("of which GST (cents)"))
    gst_basis_points = models.PositiveSmallIntegerField(
        _("GST rate (basis points)"), help_text=_("900 is 9 %.")
    )
    credited_cents = models.PositiveIntegerField(_("credited (cents)"), default=0, db_default=0)
    received_cents = models.PositiveIntegerField(_("received (cents)"), default=0, db_default=0)
    returned_cents = models.PositiveIntegerField(_("given back (cents)"), default=0, db_default=0)
    status = models.GeneratedField(
        verbose_name=_("status"),
        expression=Case(
            When(
                received_cents__gt=F("total_cents") - F("credited_cents") + F("returned_cents"),
                then=Value("refund_due"),
            ),
            When(total_cents=0, then=Value("paid")),
            When(total_cents=F("credited_cents"), received_cents=0, then=Value("void")),
            When(total_cents=F("credited_cents"), then=Value("refunded")),
            When(
                received_cents=F("total_cents") - F("credited_cents") + F("returned_cents"),
                then=Value("paid"),
            ),
            When(received_cents__gt=F("returned_cents"), then=Value("part_paid")),
            default=Value("issued"),
        ),
        output_field=models.CharField(max_length=10, choices=Status),
        db_persist=True,
    )
    issued_at = models.DateTimeField(_("issued at"), db_default=Now())
    due_on = models.DateField(_("due on"), null=True, blank=True)

    objects = BillQuerySet.as_manager()

    class Meta:
        verbose_name = _("bill")
        verbose_name_plural = _("bills")
        indexes = [models.Index(fields=["clinic", "issued_at"], name="bill_clinic_issued")]
        constraints = [
            models.UniqueConstraint(fields=["legal_entity", "number"], name="bill_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="bill_numbers_from_one"),
            models.CheckConstraint(
                condition=Q(booking__isnull=False, contract__isnull=True)
                | Q(booking__isnull=True, contract__isnull=False),
                name="bill_is_for_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(total_cents__gte=0, gst_cents__gte=0, gst_cents__lte=F("total_cents")),
                name="bill_amounts_sane",
            ),
            models.CheckConstraint(
                condition=Q(credited_cents__lte=F("total_cents")), name="bill_credited_at_most_total"
            ),
            models.CheckConstraint(
                condition=Q(received_cents__lte=F("total_cents") + F("returned_cents")),
                name="bill_paid_at_most_total",
            ),
            models.CheckConstraint(
                condition=Q(returned_cents__lte=F("received_cents")), name="bill_returned_at_most_received"
            ),
            models.CheckConstraint(
                condition=Q(entity_gst_number="", gst_cents=0, gst_basis_points=0) | ~Q(entity_gst_number=""),
                name="bill_gst_needs_registration",
            ),
        ]

    def __str__(self) -> str:
        return self.serial

    @property
    def serial(self) -> str:
        return f"{self.entity_uen}-{self.number:06d}"

    @property
    def status_text(self) -> str:
        return str(self.Status(self.status).label)

    @property
    def gst_percent(self) -> str:
        return f"{self.gst_basis_points / 100:g}"

    @property
    def net_cents(self) -> int:
        return self.total_cents - self.credited_cents

    @property
    def paid_cents(self) -> int:
        return self.received_cents - self.returned_cents

    @property
    def due_cents(self) -> int:
        return max(0, self.net_cents - self.paid_cents)

    @property
    def owed_cents(self) -> int:
        """What the clinic has to give back."""
        return max(0, self.paid_cents - self.net_cents)


class BillLine(models.Model):
    bill = models.ForeignKey(Bill, models.PROTECT, related_name="lines", db_index=False)
    position = models.PositiveSmallIntegerField(_("position"))
    description = models.CharField(_("description"), max_length=120)
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))

    class Meta:
        verbose_name = _("bill line")
        verbose_name_plural = _("bill lines")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["bill", "position"], name="bill_line_once")]

    def __str__(self) -> str:
        return self.description


class CreditNoteQuerySet(Located["CreditNote"]):
    needs, clinic, patient = Can.SEE_MONEY, "bill__clinic", "bill__patient"


class CreditNote(SealedRow):
    """Takes a bill back, all or in part (IRAS: number, date, original number, reason, amounts, tax). Append-only."""

    class Reason(models.TextChoices):
        CANCELLED = "cancelled", _("Visit cancelled")
        NOSHOW = "noshow", _("Visit not attended")
        WAIVED = "waived", _("Fee waived")
        CONTRACT_ENDED = "contract_ended", _("Contract ended")
        CORRECTION = "correction", _("Correction")
        GOODWILL = "goodwill", _("Goodwill")

    bill = models.ForeignKey(Bill, models.PROTECT, related_name="credit_notes", verbose_name=_("bill"))
    legal_entity = models.ForeignKey(
        LegalEntity, models.PROTECT, related_name="+", verbose_name=_("legal entity"), db_index=False
    )
    number = models.PositiveIntegerField(_("number"))
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    gst_cents = models.PositiveIntegerField(_("of which GST (cents)"))
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    note = SealedTextField(_("note"), max_length=200, blank=True)
    issued_at = models.DateTimeField(_("issued at"), db_default=Now())
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("issued by"),
    )

    objects = CreditNoteQuerySet.as_manager()

    class Meta:
        verbose_name = _("credit note")
        verbose_name_plural = _("credit notes")
        constraints = [
            models.UniqueConstraint(fields=["legal_entity", "number"], name="credit_note_number_once"),
            models.CheckConstraint(
                condition=Q(number__gte=1, amount_cents__gt=0, gst_cents__lte=F("amount_cents")),
                name="credit_note_sane",
            ),
        ]

    def __str__(self) -> str:
        return self.serial

    @property
    def serial(self) -> str:
        return f"{self.bill.entity_uen}-CN{self.number:06d}"
