import uuid

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Patient(models.Model):
    """A person who is or will be treated. No identity number is asked for when booking (PDPA advisory on NRIC)."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("login")
    )
    name = models.CharField(_("full name"), max_length=120)
    email = models.EmailField(_("e-mail"))
    phone = models.CharField(
        _("mobile phone"), max_length=16, validators=[RegexValidator(r"^\+[1-9]\d{6,14}$")], help_text="E.164"
    )
    birth_date = models.DateField(_("date of birth"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        indexes = [
            models.Index(fields=["email"], name="patient_email"),
            models.Index(fields=["phone"], name="patient_phone"),
        ]

    def __str__(self) -> str:
        return self.name


class Consent(models.Model):
    """What a patient agreed to or withdrew, and under which notice (PDPA s 13–16). Append-only."""

    class Purpose(models.TextChoices):
        CARE_AND_BOOKING = "care_and_booking", _("Care and booking")

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="consents", verbose_name=_("patient"))
    purpose = models.CharField(_("purpose"), max_length=30, choices=Purpose)
    notice_version = models.CharField(_("notice version"), max_length=20)
    is_given = models.BooleanField(_("given"))
    channel = models.CharField(_("channel"), max_length=20, default="web")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("recorded by")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")

    def __str__(self) -> str:
        return f"{self.purpose} {self.notice_version}"
