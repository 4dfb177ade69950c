"""Bills: one for each booking, numbered without a gap for each legal entity. Changed by verbs in `bills.py`."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from patients.models import Patient
from scheduling.models import Booking, LegalEntity


class BillSeries(models.Model):
    """The last number of a legal entity. Its row lock makes the numbers follow each other without a gap."""

    legal_entity = models.OneToOneField(
        LegalEntity, models.PROTECT, primary_key=True, related_name="series", verbose_name=_("legal entity")
    )
    last_number = models.PositiveIntegerField(_("last number"), default=0, db_default=0)

    class Meta:
        verbose_name = _("bill series")
        verbose_name_plural = _("bill series")

    def __str__(self) -> str:
        return f"{self.legal_entity} {self.last_number}"


class Bill(models.Model):
    """The one bill of a booking, with the issuer as it was then (IRAS: number, date, name, UEN, GST)."""

    class Status(models.TextChoices):
        ISSUED = "issued", _("To be paid")
        PAID = "paid", _("Paid")
        VOID = "void", _("Void")
        REFUNDED = "refunded", _("Refunded")

    booking = models.OneToOneField(Booking, models.PROTECT, related_name="bill", verbose_name=_("booking"))
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="bills", verbose_name=_("patient"))
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
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.ISSUED)
    issued_at = models.DateTimeField(_("issued at"), db_default=Now())
    closed_at = models.DateTimeField(
        _("void or refunded since"), null=True, blank=True, help_text=_("The date of the credit.")
    )

    class Meta:
        verbose_name = _("bill")
        verbose_name_plural = _("bills")
        constraints = [
            models.UniqueConstraint(fields=["legal_entity", "number"], name="bill_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="bill_numbers_from_one"),
            models.CheckConstraint(
                condition=Q(total_cents__gte=0, gst_cents__gte=0, gst_cents__lte=F("total_cents")),
                name="bill_amounts_sane",
            ),
            models.CheckConstraint(
                condition=Q(entity_gst_number="", gst_cents=0, gst_basis_points=0) | ~Q(entity_gst_number=""),
                name="bill_gst_needs_registration",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["void", "refunded"], closed_at__isnull=False)
                | Q(status__in=["issued", "paid"], closed_at__isnull=True),
                name="bill_closed_has_time",
            ),
        ]

    def __str__(self) -> str:
        return self.serial

    @property
    def serial(self) -> str:
        return f"{self.entity_uen}-{self.number:06d}"

    @property
    def gst_percent(self) -> str:
        return f"{self.gst_basis_points / 100:g}"


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
