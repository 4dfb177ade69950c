import uuid
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Collate, Now, Reverse, Upper
from django.utils.translation import gettext_lazy as _

from clinic_booking import acting
from clinic_booking.models import ClockTimestamp
from clinic_booking.sealed import SealedModel, SealedTextField
from patients import identity
from patients.access import PatientQuerySet


class Words(models.Func):
    """The words of a name as they are searched: small letters without accents."""

    function = "patients_words"
    output_field = SearchVectorField()


class Patient(models.Model):
    """A person who is or will be treated. No identity number is asked for when booking (PDPA advisory on NRIC)."""

    class Gender(models.TextChoices):
        """FHIR AdministrativeGender; a record of a patient must have it (GR 37(2))."""

        FEMALE = "female", _("Female")
        MALE = "male", _("Male")
        OTHER = "other", _("Other")
        UNKNOWN = "unknown", _("Not known")

    class Confidentiality(models.TextChoices):
        """Codes of HL7 v3-ActCode, as FHIR has them in meta.security: staff give a reason (`patients.confidential`)."""

        NORMAL = "", _("Like any other")
        PUBLIC_FIGURE = "VIP", _("Known to the public")
        EMPLOYEE = "EMP", _("Works for us")

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
    gender = models.CharField(
        _("gender"), max_length=10, choices=Gender, blank=True, default="", db_default=""
    )
    masked_id = models.CharField(
        _("end of the identity number"),
        max_length=4,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^\d{3}[A-Z]$")],
        help_text=_(
            "The last three digits and the letter, such as 567A: to find somebody, never to identify. "
            "Follows the identity number where there is one."
        ),
    )
    language = models.CharField(
        _("language of messages"),
        max_length=7,
        choices=settings.MESSAGE_LANGUAGES,
        default="en",
        db_default="en",
    )
    confidentiality = models.CharField(
        _("confidentiality"),
        max_length=3,
        choices=Confidentiality,
        blank=True,
        default=Confidentiality.NORMAL,
        db_default="",
    )
    died_on = models.DateField(_("died on"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    anonymised_at = models.DateTimeField(
        _("made anonymous at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Nothing is left that says who it was; of the birth date the year."),
    )

    objects = PatientQuerySet["Patient"].as_manager()

    class Meta:
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        indexes = [
            models.Index(fields=["email"], name="patient_email"),
            models.Index(fields=["phone"], name="patient_phone"),
            # For `patients/search.py`; `patients_words` is a function of migration 0003. Only in the collation "C" is
            # an index of use for the beginning of a text.
            GinIndex(Words("name"), name="patient_words"),
            models.Index(Collate("phone", "C"), name="patient_phone_begins"),
            models.Index(Collate(Reverse("phone"), "C"), name="patient_phone_ends"),
            models.Index(fields=["birth_date"], name="patient_birth_date"),
            models.Index(fields=["masked_id"], condition=~models.Q(masked_id=""), name="patient_masked_id"),
            models.Index(Upper("email"), name="patient_email_upper"),  # for `email__iexact`
            models.Index(
                fields=["confidentiality"],
                condition=~models.Q(confidentiality=""),
                name="patient_confidential",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(masked_id="") | models.Q(masked_id__regex=r"^[0-9]{3}[A-Z]$"),
                name="patient_masked_id_form",
                violation_error_message=_("Three digits and a capital letter, such as 567A."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def current_identifiers(self) -> "models.QuerySet[Identifier]":
        return self.identifiers.filter(ended_at=None).order_by("kind")

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        """Whoever is read in a request of staff was looked at (`clinic_booking/audit/reads.py`)."""
        made = super().from_db(*args, **kwargs)
        acting.saw(made.pk)
        return made


class Identifier(SealedModel):
    """An identity number of a patient (FHIR Identifier), sealed. Found by its keyed index, shown by its last characters.

    What it was replaced by is another row; of the old one only the end of the number stays.
    """

    class Source(models.TextChoices):
        PATIENT = "patient", _("The patient")
        DESK = "desk", _("The desk")

    Kind = identity.Kind

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(
        Patient, models.PROTECT, related_name="identifiers", verbose_name=_("patient")
    )
    kind = models.CharField(_("document"), max_length=10, choices=identity.Kind)
    country = models.CharField(_("country"), max_length=2)
    value = SealedTextField(_("number"), max_length=20, row="id")
    blind_index = models.CharField(  # noqa: DJ001  (several may have none)
        _("blind index"),
        max_length=60,
        unique=True,
        null=True,
        editable=False,
        help_text=_("None: the number is on another record, or was replaced."),
    )
    ending = models.CharField(_("end of the number"), max_length=4)
    source = models.CharField(_("entered by"), max_length=10, choices=Source)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    checked_at = models.DateTimeField(_("document seen at"), null=True, blank=True)
    checked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("document seen by"),
    )
    ended_at = models.DateTimeField(_("replaced at"), null=True, blank=True)

    class Meta:
        verbose_name = _("identity number")
        verbose_name_plural = _("identity numbers")
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "kind"],
                condition=models.Q(ended_at=None),
                name="identifier_one_of_a_kind",
            ),
            models.UniqueConstraint(
                fields=["patient"],
                condition=models.Q(ended_at=None, kind__in=["nric", "fin"]),
                name="identifier_one_nric_or_fin",
            ),
            models.CheckConstraint(
                condition=(models.Q(ended_at=None) & ~models.Q(value=""))
                | models.Q(ended_at__isnull=False, value="", blind_index=None),
                name="identifier_of_old_is_gone",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=["nric", "fin"], country="SG", ending__regex=r"^[0-9]{3}[A-Z]$")
                | models.Q(kind__in=["passport", "other"], ending__regex=r"^[0-9A-Z]{3}$"),
                name="identifier_shows_little",
            ),
            models.CheckConstraint(
                condition=models.Q(checked_at=None, checked_by=None)
                | models.Q(checked_at__isnull=False, checked_by__isnull=False),
                name="identifier_check_has_who",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.masked}"

    @property
    def masked(self) -> str:
        return identity.masked(self.ending)

    @property
    def is_clash(self) -> bool:
        """Another record has the same number: one person twice, or a mistake."""
        return self.ended_at is None and self.blind_index is None


class PatientClinic(models.Model):
    """Where a patient is known: whoever has or had a booking, wish, contract or visit there. Triggers keep it, so
    that roles and row security agree."""

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="clinics", verbose_name=_("patient"))
    clinic_id = models.BigIntegerField(_("clinic"))
    since = models.DateTimeField(_("since"), db_default=Now())

    class Meta:
        verbose_name = _("clinic of a patient")
        verbose_name_plural = _("clinics of patients")
        constraints = [
            models.UniqueConstraint(fields=["clinic_id", "patient"], name="patient_known_once_at_a_clinic")
        ]
        indexes = [models.Index(fields=["patient"], name="patient_clinic_patient")]

    def __str__(self) -> str:
        return f"{self.patient_id} at {self.clinic_id}"


class BrokenGlass(models.Model):
    """Somebody of the staff opened, for a reason, a record of another clinic, or a confidential one."""

    class Kind(models.TextChoices):
        ELSEWHERE = "elsewhere", _("Record of another clinic")
        CONFIDENTIAL = "confidential", _("Confidential record")

    kind = models.CharField(
        _("why it was closed"), max_length=12, choices=Kind, default=Kind.ELSEWHERE, db_default="elsewhere"
    )
    patient = models.ForeignKey(
        Patient, models.CASCADE, related_name="broken_glass", verbose_name=_("patient")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="broken_glass", verbose_name=_("by")
    )
    clinic_id = models.BigIntegerField(_("clinic"), help_text=_("Where they work."))
    reason = models.CharField(_("reason"), max_length=200)
    created_at = models.DateTimeField(_("opened at"), db_default=ClockTimestamp())
    expires_at = models.DateTimeField(_("open until"))
    reviewed_at = models.DateTimeField(_("looked at"), null=True, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("looked at by"),
    )
    is_justified = models.BooleanField(_("justified"), null=True, blank=True)

    class Meta:
        verbose_name = _("broken glass")
        verbose_name_plural = _("broken glasses")
        indexes = [
            models.Index(fields=["user", "expires_at"], name="glass_of_user"),
            models.Index(
                fields=["clinic_id"], condition=models.Q(reviewed_at=None), name="glass_not_reviewed"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reviewed_at=None, reviewed_by=None, is_justified=None)
                | models.Q(reviewed_at__isnull=False, reviewed_by__isnull=False, is_justified__isnull=False),
                name="glass_review_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.patient_id}"


class Consent(models.Model):
    """What a patient agreed to or withdrew, and under which notice (PDPA s 13–16). Append-only."""

    class Purpose(models.TextChoices):
        CARE_AND_BOOKING = "care_and_booking", _("Care and booking")
        REMINDERS_EMAIL = "reminders_email", _("Reminders by e-mail")
        REMINDERS_SMS = "reminders_sms", _("Reminders by SMS")
        REMINDERS_WHATSAPP = "reminders_whatsapp", _("Reminders by WhatsApp")
        MARKETING_EMAIL = "marketing_email", _("Offers by e-mail")
        MARKETING_SMS = "marketing_sms", _("Offers by SMS")
        MARKETING_WHATSAPP = "marketing_whatsapp", _("Offers by WhatsApp")
        RESEARCH = "research", _("Research")
        SHARE_WITH_REFERRER = "share_with_referrer", _("Reports to whoever referred me")

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="consents", verbose_name=_("patient"))
    purpose = models.CharField(_("purpose"), max_length=30, choices=Purpose)
    notice_version = models.CharField(_("notice version"), max_length=20)
    text_hash = models.CharField(
        _("hash of the notice"), max_length=64, blank=True, default="", db_default=""
    )
    language = models.CharField(
        _("language of the notice"), max_length=7, blank=True, default="", db_default=""
    )
    is_given = models.BooleanField(_("given"))
    channel = models.CharField(_("channel"), max_length=20, default="web")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("recorded by")
    )
    on_behalf_of = models.ForeignKey(
        Patient,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("on behalf of"),
        db_index=False,
        help_text=_("Who was spoken for, where it was not the patient who spoke."),
    )
    evidence = models.JSONField(
        _("evidence"),
        default=dict,
        blank=True,
        help_text=_("The words that were agreed to, the form, the request."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        # The last word on a purpose; patients are found by it too.
        indexes = [models.Index(fields=["patient", "purpose", "-id"], name="consent_last_word")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.notice_version}"


class SingpassIdentity(models.Model):
    """Whom Singpass says a login is. `sub` is opaque and never an identity number; it differs between Singpass's
    staging and production, hence the issuer."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="singpass", verbose_name=_("login")
    )
    issuer = models.CharField(_("issuer"), max_length=200)
    sub = models.CharField(_("subject"), max_length=255)
    acr = models.CharField(_("assurance of the last login"), max_length=60, blank=True)
    amr = models.CharField(_("means of the last login"), max_length=120, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    last_login_at = models.DateTimeField(_("last login"), null=True, blank=True)

    class Meta:
        verbose_name = _("Singpass identity")
        verbose_name_plural = _("Singpass identities")
        constraints = [models.UniqueConstraint(fields=["issuer", "sub"], name="singpass_identity_once")]

    def __str__(self) -> str:
        return f"Singpass {self.pk}"


class LinkingCode(models.Model):
    """Shown to somebody logged in with Singpass, for the desk to link that login to a record; kept as a digest."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="linking_code", verbose_name=_("login")
    )
    digest = models.CharField(_("digest"), max_length=64, unique=True)
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("linking code")
        verbose_name_plural = _("linking codes")

    def __str__(self) -> str:
        return f"linking code {self.pk}"


# Their app is this one; here they are found by whoever asks for `patients.models`.
from patients.proxies.models import Proxy as Proxy  # noqa: E402
from patients.retention import models as retention_models  # noqa: E402, F401
from patients.rights.models import DataCopy as DataCopy  # noqa: E402
from patients.rights.models import DetailsConfirmed as DetailsConfirmed  # noqa: E402
from patients.rights.models import PrivacyNotice as PrivacyNotice  # noqa: E402
from patients.rights.models import PrivacyRequest as PrivacyRequest  # noqa: E402
from patients.rights.models import PrivacyStep as PrivacyStep  # noqa: E402
