"""Who may act for whom, until when (FHIR RelatedPerson)."""

import datetime as dt
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import ClockTimestamp
from patients.models import Patient

LONGEST = dt.timedelta(days=1827)  # five years
OF_MINORS = ("parent", "guardian")


def group_zone() -> str:
    return str(settings.TIME_ZONE)


class ProxyQuerySet(models.QuerySet["Proxy"]):
    def live(self) -> Self:
        return self.filter(revoked_at=None, ends_at__gt=ClockTimestamp())

    def over(self) -> Self:
        return self.exclude(revoked_at=None, ends_at__gt=ClockTimestamp())

    def due(self) -> Self:
        return self.filter(revoked_at=None, ends_at__lte=ClockTimestamp())


class Proxy(models.Model):
    """A login acts for a patient. It is ended, never changed or deleted.

    The database sets the end of a parent's or guardian's: midnight at the beginning of the birthday on which the
    patient is `minor_until_age`, in `zone`; again whenever the birth date is corrected.
    """

    class Relation(models.TextChoices):
        PARENT = "parent", _("Parent")
        GUARDIAN = "guardian", _("Guardian of a child")
        SPOUSE = "spouse", _("Husband or wife")
        CHILD = "child", _("Grown-up child")
        SIBLING = "sibling", _("Brother or sister")
        CAREGIVER = "caregiver", _("Caregiver")
        DONEE = "donee", _("Donee of a lasting power of attorney")
        DEPUTY = "deputy", _("Deputy appointed by a court")
        OTHER = "other", _("Somebody else")

    class Evidence(models.TextChoices):
        DECLARED = "declared", _("Their own word")
        CONSENT = "consent", _("The patient agreed online")
        PATIENT_PRESENT = "patient_present", _("The patient agreed at the counter")
        BIRTH_CERTIFICATE = "birth_certificate", _("Birth certificate")
        COURT_ORDER = "court_order", _("Order of a court")
        POWER_OF_ATTORNEY = "power_of_attorney", _("Lasting power of attorney")
        OTHER = "other", _("Another document")

    class End(models.TextChoices):
        BY_PATIENT = "by_patient", _("Ended by the patient")
        BY_PROXY = "by_proxy", _("Given up")
        BY_DESK = "by_desk", _("Ended by the clinic")
        OF_AGE = "of_age", _("Grown up")
        RUN_OUT = "run_out", _("Run out")
        RENEWED = "renewed", _("Renewed")
        RECORD_CLOSED = "record_closed", _("The record was closed")

    patient = models.ForeignKey(
        Patient, models.PROTECT, related_name="proxies", verbose_name=_("who is acted for")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="proxies", verbose_name=_("who acts")
    )
    relation = models.CharField(_("relation to the patient"), max_length=20, choices=Relation)
    evidence = models.CharField(_("evidence seen"), max_length=20, choices=Evidence)
    note = models.CharField(
        _("note"), max_length=120, blank=True, default="", help_text=_("No numbers of documents.")
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("given by")
    )
    invitation = models.UUIDField(_("invitation"), null=True, blank=True, unique=True, editable=False)
    minor_until_age = models.PositiveSmallIntegerField(_("age at which it ends"), null=True, blank=True)
    zone = models.CharField(_("time zone of its end"), max_length=40, default=group_zone)
    starts_at = models.DateTimeField(_("from"), db_default=ClockTimestamp())
    ends_at = models.DateTimeField(_("until"))
    checked_at = models.DateTimeField(_("authority checked at"), null=True, blank=True)
    checked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("authority checked by"),
    )
    revoked_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    end_reason = models.CharField(_("why it ended"), max_length=20, choices=End, blank=True, default="")

    objects = ProxyQuerySet.as_manager()

    class Meta:
        verbose_name = _("proxy")
        verbose_name_plural = _("proxies")
        indexes = [
            models.Index(fields=["user"], name="proxy_of_user"),
            models.Index(fields=["ends_at"], condition=models.Q(revoked_at=None), name="proxy_ends"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "user"], condition=models.Q(revoked_at=None), name="proxy_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__gte=models.F("starts_at")), name="proxy_ends_after_start"
            ),
            models.CheckConstraint(
                condition=models.Q(minor_until_age__isnull=False)
                | models.Q(ends_at__lte=models.F("starts_at") + LONGEST),
                name="proxy_at_most_five_years",
            ),
            models.CheckConstraint(
                condition=models.Q(relation__in=OF_MINORS, minor_until_age__gte=1, minor_until_age__lte=21)
                | (~models.Q(relation__in=OF_MINORS) & models.Q(minor_until_age=None)),
                name="proxy_of_minor_has_age",
            ),
            models.CheckConstraint(
                condition=models.Q(revoked_at=None, end_reason="")
                | (models.Q(revoked_at__isnull=False) & ~models.Q(end_reason="")),
                name="proxy_end_has_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(checked_at=None, checked_by=None)
                | models.Q(checked_at__isnull=False, checked_by__isnull=False),
                name="proxy_check_has_who",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} for {self.patient_id}"

    @property
    def is_over(self) -> bool:
        """By the program's clock, for what is shown; who may do what is for `live`."""
        return self.revoked_at is not None or self.ends_at <= timezone.now()

    @property
    def must_be_checked(self) -> bool:
        return self.evidence == self.Evidence.DECLARED and self.checked_at is None
