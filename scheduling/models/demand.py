"""Demand: what patients are to receive. Every booking serves one session of one request."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from patients.models import Patient
from scheduling.models.places import Service


class BookingRequest(models.Model):
    class Source(models.TextChoices):
        ONLINE = "online", _("Online")
        DESK = "desk", _("Desk")
        CONTRACT = "contract", _("Contract")

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="requests", verbose_name=_("patient"))
    service = models.ForeignKey(Service, models.PROTECT, related_name="requests", verbose_name=_("service"))
    source = models.CharField(_("source"), max_length=10, choices=Source)
    quantity = models.PositiveSmallIntegerField(_("sessions"), default=1, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("booking request")
        verbose_name_plural = _("booking requests")
        constraints = [
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="request_wants_something")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.service}"


class SessionTicket(models.Model):
    """One unit of demand: session 3 of 6."""

    class Status(models.TextChoices):
        PLANNED = "planned", _("Planned")
        SCHEDULED = "scheduled", _("Scheduled")
        COMPLETED = "completed", _("Completed")
        CANCELLED = "cancelled", _("Cancelled")
        FORFEITED = "forfeited", _("Forfeited")

    request = models.ForeignKey(
        BookingRequest, models.PROTECT, related_name="sessions", verbose_name=_("request"), db_index=False
    )
    number = models.PositiveSmallIntegerField(_("number"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.PLANNED)

    class Meta:
        verbose_name = _("session ticket")
        verbose_name_plural = _("session tickets")
        constraints = [models.UniqueConstraint(fields=["request", "number"], name="session_number_once")]

    def __str__(self) -> str:
        return f"{self.number} · {self.get_status_display()}"
