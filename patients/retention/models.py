import datetime as dt
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

# Until when a hold that nobody has confirmed protects: what is asked for is safe while the second person is awaited.
# `held_patients()` in the database knows it too.
CONFIRM_DAYS = 7


class LegalHoldQuerySet(models.QuerySet["LegalHold"]):
    def in_force(self, now: dt.datetime) -> Self:
        """Those that nobody refused, lifted or left unconfirmed. The database asks `held_patients()`."""
        asked = now - dt.timedelta(days=CONFIRM_DAYS)
        return self.filter(
            Q(until_at=None) | Q(until_at__gt=now),
            Q(is_automatic=True) | Q(confirmed_at__isnull=False) | Q(asked_at__gt=asked),
            refused_at=None,
            lifted_at=None,
            from_at__lte=now,
        )


class LegalHold(models.Model):
    """What must not be destroyed: a patient, an appointment with its patient, or all who had one in a period.

    One person asks, another confirms, likewise for the lift. It protects from the asking on (`CONFIRM_DAYS`).
    """

    class Scope(models.TextChoices):
        PATIENT = "patient", _("A patient")
        APPOINTMENT = "appointment", _("An appointment")
        PERIOD = "period", _("All appointments of a period")

    scope = models.CharField(_("scope"), max_length=12, choices=Scope)
    patient = models.ForeignKey(
        "patients.Patient",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="legal_holds",
        verbose_name=_("patient"),
    )
    booking_id = models.BigIntegerField(_("number of the appointment"), null=True, blank=True)
    period_from = models.DateField(_("first day"), null=True, blank=True)
    period_until = models.DateField(_("last day"), null=True, blank=True)
    clinic_id = models.BigIntegerField(_("number of the clinic"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=200, help_text=_("Without names of patients."))
    is_automatic = models.BooleanField(
        _("by rule"), default=False, help_text=_("A refused request for access sets one (PDPA s 22A).")
    )
    from_at = models.DateTimeField(_("from"), db_default=Now())
    until_at = models.DateTimeField(_("until"), null=True, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("asked for by")
    )
    asked_at = models.DateTimeField(_("asked for at"), db_default=Now())
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("confirmed by")
    )
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True)
    refused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("refused by")
    )
    refused_at = models.DateTimeField(_("refused at"), null=True)
    lift_asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("lift asked by")
    )
    lift_asked_at = models.DateTimeField(_("lift asked for at"), null=True)
    lift_reason = models.CharField(_("why it is lifted"), max_length=200, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("lifted by")
    )
    lifted_at = models.DateTimeField(_("lifted at"), null=True)

    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("legal hold")
        verbose_name_plural = _("legal holds")
        indexes = [
            models.Index(
                fields=["patient"], condition=Q(refused_at=None, lifted_at=None), name="legal_hold_live"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(scope="patient", patient__isnull=False, booking_id=None, period_from=None)
                | Q(scope="appointment", patient__isnull=False, booking_id__isnull=False, period_from=None)
                | Q(
                    scope="period",
                    patient=None,
                    booking_id=None,
                    period_from__isnull=False,
                    period_until__gte=F("period_from"),
                ),
                name="legal_hold_says_what",
                violation_error_message=_("Of a period give the first and the last day."),
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="legal_hold_has_reason"),
            models.CheckConstraint(
                condition=Q(is_automatic=True) | Q(asked_by__isnull=False),
                name="legal_hold_asked_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("asked_by")),
                name="legal_hold_set_by_two",
                violation_error_message=_("Another person must confirm it."),
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None)
                | (
                    Q(lifted_by__isnull=False, lift_asked_by__isnull=False)
                    & ~Q(lifted_by=F("lift_asked_by"))
                    & ~Q(lift_reason="")
                ),
                name="legal_hold_lifted_by_two",
                violation_error_message=_("Another person must lift it."),
            ),
        ]

    def __str__(self) -> str:
        return f"H-{self.pk}"
