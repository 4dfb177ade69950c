"""Contracts: signed purchases of sessions. All changes are verbs in `billing/contracts.py`.

A draft asks for nothing yet. Confirming makes a request of each line; from then on the request is what is planned.
"""

from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from clinic_booking.sealed import SealedModel, SealedTextField
from patients.access import Can, Located, where
from patients.models import Patient
from scheduling.models import BookingRequest, Clinic, PatternFields, Service
from scheduling.models.demand import MAX_SESSIONS, pattern_constraints

MAX_PRICE_CENTS = 10_000_000


class ContractSeries(models.Model):
    """The last number of a year."""

    year = models.PositiveSmallIntegerField(_("year"), primary_key=True)
    last_number = models.PositiveIntegerField(_("last number"), default=0, db_default=0)

    class Meta:
        verbose_name = _("contract series")
        verbose_name_plural = _("contract series")

    def __str__(self) -> str:
        return f"{self.year} {self.last_number}"


class ContractQuerySet(Located["Contract"]):
    needs = Can.SEE_CONTRACTS

    def visible_to(self, user: Any) -> Self:
        """Those of the clinics where the user is staff; a draft is nothing yet to the patient."""
        return self.filter(clinic__in=where(user, self.needs))


class Contract(SealedModel):
    """ "6 sessions of laser hair removal for S$ 1,320.00", of a clinic and so of its legal entity."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        CONFIRMED = "confirmed", _("Confirmed")
        COMPLETED = "completed", _("Completed")
        CANCELLED = "cancelled", _("Cancelled")

    class Billing(models.TextChoices):
        ON_SIGNING = "on_signing", _("On signing")
        INSTALMENTS = "instalments", _("In instalments")
        PER_VISIT = "per_visit", _("For each visit")

    Policy = BookingRequest.Policy

    reference = models.CharField(_("reference"), max_length=20, unique=True)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="contracts", verbose_name=_("patient"))
    clinic = models.ForeignKey(Clinic, models.PROTECT, related_name="contracts", verbose_name=_("clinic"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DRAFT)
    signed_on = models.DateField(_("signed on"), null=True, blank=True)
    late_cancel = models.CharField(
        _("late cancel"), max_length=10, choices=Policy, default=Policy.FORFEIT, db_default=Policy.FORFEIT
    )
    no_show = models.CharField(
        _("no-show"), max_length=10, choices=Policy, default=Policy.FORFEIT, db_default=Policy.FORFEIT
    )
    billing = models.CharField(
        _("billed"),
        max_length=12,
        choices=Billing,
        default=Billing.ON_SIGNING,
        db_default=Billing.ON_SIGNING,
    )
    admin_fee_percent = models.PositiveSmallIntegerField(
        _("kept of unused sessions (%)"),
        default=10,
        db_default=10,
        validators=[MaxValueValidator(100)],
        help_text=_("When the contract ends early."),
    )
    admin_fee_cap_cents = models.PositiveIntegerField(
        _("but at most (cents)"), default=10_000, db_default=10_000
    )
    note = SealedTextField(
        _("note of the staff"), max_length=300, blank=True, default="", db_default="", row="reference"
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("made by"),
    )
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("confirmed by"),
    )
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("cancelled by"),
    )
    cancel_reason = SealedTextField(
        _("why it was cancelled"), max_length=200, blank=True, default="", db_default="", row="reference"
    )

    objects = ContractQuerySet.as_manager()

    class Meta:
        verbose_name = _("contract")
        verbose_name_plural = _("contracts")
        indexes = [models.Index(fields=["clinic", "-created_at"], name="contract_clinic_created")]
        constraints = [
            models.CheckConstraint(
                condition=Q(reference__regex=r"^C-\d{4}-\d{4,}$"), name="contract_reference_form"
            ),
            models.CheckConstraint(condition=Q(admin_fee_percent__lte=100), name="contract_admin_fee_sane"),
            models.CheckConstraint(
                condition=Q(status="draft", confirmed_at__isnull=True, confirmed_by__isnull=True)
                | Q(status__in=["confirmed", "completed"], confirmed_at__isnull=False)
                | Q(status="cancelled"),
                name="contract_confirmed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status="completed", completed_at__isnull=False)
                | (~Q(status="completed") & Q(completed_at__isnull=True)),
                name="contract_completed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status="cancelled", cancelled_at__isnull=False)
                | (~Q(status="cancelled") & Q(cancelled_at__isnull=True, cancelled_by__isnull=True)),
                name="contract_cancelled_has_time",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def is_draft(self) -> bool:
        return self.status == self.Status.DRAFT

    @property
    def is_prepaid(self) -> bool:
        """Or each visit is billed, at the price of its line."""
        return self.billing != self.Billing.PER_VISIT

    @property
    def total_cents(self) -> int:
        return sum(line.total_cents for line in self.lines.all())


class ContractLine(models.Model):
    """So many sessions of a service at a price for each. `request` is what confirming made of it."""

    contract = models.ForeignKey(
        Contract, models.PROTECT, related_name="lines", verbose_name=_("contract"), db_index=False
    )
    position = models.PositiveSmallIntegerField(_("position"))
    service = models.ForeignKey(Service, models.PROTECT, related_name="+", verbose_name=_("service"))
    quantity = models.PositiveSmallIntegerField(
        _("sessions"), validators=[MinValueValidator(1), MaxValueValidator(MAX_SESSIONS)]
    )
    price_cents = models.PositiveIntegerField(
        _("price of a session (cents)"), validators=[MaxValueValidator(MAX_PRICE_CENTS)]
    )
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), help_text=_("The last day."))
    request = models.OneToOneField(
        BookingRequest, models.PROTECT, null=True, blank=True, related_name="line", verbose_name=_("request")
    )

    class Meta:
        verbose_name = _("contract line")
        verbose_name_plural = _("contract lines")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["contract", "position"], name="contract_line_once"),
            models.CheckConstraint(
                condition=Q(quantity__gte=1, quantity__lte=MAX_SESSIONS),
                name="contract_line_quantity_sane",
                violation_error_message=_("Between 1 and 100 sessions can be sold in a line."),
            ),
            models.CheckConstraint(
                condition=Q(price_cents__lte=MAX_PRICE_CENTS), name="contract_line_price_sane"
            ),
            models.CheckConstraint(
                condition=Q(valid_until__gte=F("valid_from")),
                name="contract_line_valid_in_order",
                violation_error_message=_("“Valid until” is before “valid from”."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.service}"

    @property
    def total_cents(self) -> int:
        return self.quantity * self.price_cents


class ContractPattern(PatternFields):
    """What a draft's line asks for; confirming copies it to the request."""

    line = models.ForeignKey(
        ContractLine, models.CASCADE, related_name="patterns", verbose_name=_("contract line")
    )

    class Meta:
        verbose_name = _("contract pattern")
        verbose_name_plural = _("contract patterns")
        constraints = pattern_constraints("contract_pattern")

    def __str__(self) -> str:
        return f"{self.line_id} · {_('must') if self.is_hard else _('wish')}"


class ContractInstalment(models.Model):
    """A part of the price and the day on which it is billed."""

    contract = models.ForeignKey(
        Contract, models.PROTECT, related_name="instalments", verbose_name=_("contract"), db_index=False
    )
    number = models.PositiveSmallIntegerField(_("number"))
    due_on = models.DateField(_("due on"))
    amount_cents = models.PositiveIntegerField(_("amount (cents)"))
    bill = models.OneToOneField(
        "billing.Bill",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="instalment",
        verbose_name=_("bill"),
    )

    class Meta:
        verbose_name = _("instalment")
        verbose_name_plural = _("instalments")
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["contract", "number"], name="instalment_once"),
            models.CheckConstraint(
                condition=Q(number__gte=1, amount_cents__gt=0), name="instalment_of_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contract_id} {self.number}"
