"""The privacy notice in every version, and what people ask for under the PDPA with all that was done about it."""

import datetime as dt
import secrets
import uuid

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import ClockTimestamp

ANSWER_DAYS = 30  # calendar days, PDPR 5
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


class PrivacyNotice(models.Model):
    """One version in one language. Published by being written: a trigger refuses changes, so every text is kept."""

    version = models.CharField(_("version"), max_length=20, validators=[RegexValidator(r"^[\w.-]+$")])
    language = models.CharField(_("language"), max_length=7, choices=settings.MESSAGE_LANGUAGES, default="en")
    short = models.TextField(_("in short"), help_text=_("What forms show before their first field."))
    text = models.TextField(_("text"), help_text=_("“# ” begins a heading, “- ” an item of a list."))
    text_hash = models.CharField(_("SHA-256 of both"), max_length=64, editable=False)
    valid_from = models.DateTimeField(_("valid from"), db_default=ClockTimestamp())
    created_at = models.DateTimeField(_("published at"), db_default=ClockTimestamp())

    class Meta:
        verbose_name = _("privacy notice")
        verbose_name_plural = _("privacy notices")
        ordering = ["-valid_from", "language"]
        constraints = [
            models.UniqueConstraint(fields=["version", "language"], name="one_notice_of_a_version"),
            models.CheckConstraint(condition=Q(text_hash__regex=r"^[0-9a-f]{64}$"), name="notice_has_hash"),
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.language})"


class DetailsConfirmed(models.Model):
    """Somebody at the desk asked whether the contact details still hold (PDPA s 23). Append-only."""

    patient = models.ForeignKey(
        "patients.Patient",
        models.PROTECT,
        related_name="confirmations",
        verbose_name=_("patient"),
        db_index=False,
    )
    clinic_id = models.BigIntegerField(_("clinic"))
    confirmed_on = models.DateField(_("on"), help_text=_("By the clinic's calendar."))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("confirmation of details")
        verbose_name_plural = _("confirmations of details")
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "confirmed_on", "clinic_id"], name="details_confirmed_once_a_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} {self.confirmed_on}"


def new_reference() -> str:
    return "PR-" + "".join(secrets.choice(ALPHABET) for _n in range(6))


class PrivacyRequest(models.Model):
    """What somebody asks of the privacy officer. Its steps say who did what; verbs in `patients/rights/requests.py`."""

    class Kind(models.TextChoices):
        ACCESS = "access", _("A copy of the data")
        CORRECTION = "correction", _("A correction")
        WITHDRAWAL = "withdrawal", _("Withdrawal of a consent")
        COMPLAINT = "complaint", _("A complaint")
        ERASURE = "erasure", _("A question about erasure")

    class Channel(models.TextChoices):
        WEB = "web", _("Web page")
        EMAIL = "email", _("E-mail")
        PHONE = "phone", _("Telephone")
        COUNTER = "counter", _("At the counter")
        LETTER = "letter", _("Letter")

    class Proof(models.TextChoices):
        """How it is known who asks. Never by an identity number or a date of birth."""

        NONE = "none", _("Not yet")
        LOGIN = "login", _("Logged in")
        CODE = "code", _("Code sent to the contact on file")
        IN_PERSON = "in_person", _("Seen in person with a document")
        AUTHORITY = "authority", _("Written authority of the patient")

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        GRANTED = "granted", _("Done as asked")
        PARTLY = "partly", _("Done in part")
        REFUSED = "refused", _("Refused")

    reference = models.CharField(_("reference"), max_length=12, unique=True, default=new_reference)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    channel = models.CharField(_("came by"), max_length=10, choices=Channel)
    patient = models.ForeignKey(
        "patients.Patient",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="privacy_requests",
        verbose_name=_("patient"),
    )
    clinic_id = models.BigIntegerField(_("clinic"), null=True, blank=True)
    name = models.CharField(_("name"), max_length=120, blank=True, help_text=_("Of who is not on file."))
    contact = models.CharField(_("where to answer"), max_length=254, blank=True)
    text = models.TextField(_("what is asked"), max_length=2000)
    received_at = models.DateTimeField(_("received at"), db_default=ClockTimestamp())
    received_on = models.DateField(_("received on"))
    due_on = models.DateField(_("to be answered by"))
    identity_proof = models.CharField(
        _("identity"), max_length=10, choices=Proof, default=Proof.NONE, db_default=Proof.NONE
    )
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.OPEN, db_default=Status.OPEN
    )
    reasons = models.TextField(_("reasons"), max_length=2000, blank=True, default="", db_default="")
    annotation = models.TextField(
        _("annotation"),
        max_length=2000,
        blank=True,
        default="",
        db_default="",
        help_text=_("What is noted beside the record when a correction is refused."),
    )
    fee_cents = models.PositiveIntegerField(_("fee estimated (cents)"), null=True, blank=True)
    fee_agreed = models.BooleanField(_("fee agreed"), default=False, db_default=False)
    preserved = models.BinaryField(_("copy of what was refused"), null=True, editable=False)
    preserved_until = models.DateField(_("copy kept until"), null=True, blank=True)
    closed_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("decided by"),
    )

    class Meta:
        verbose_name = _("privacy request")
        verbose_name_plural = _("privacy requests")
        ordering = ["due_on", "pk"]
        indexes = [
            models.Index(fields=["due_on"], condition=Q(status="open"), name="privacy_request_open"),
            models.Index(fields=["received_at"], name="privacy_request_received"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(due_on__gt=F("received_on")), name="request_due_after_receipt"
            ),
            models.CheckConstraint(
                condition=Q(status="open", closed_at__isnull=True, closed_by__isnull=True)
                | (~Q(status="open") & Q(closed_at__isnull=False)),
                name="request_decided_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["refused", "partly"]) | ~Q(reasons=""),
                name="request_refused_has_reasons",
            ),
            # PDPA s 22A: what is refused is kept.
            models.CheckConstraint(
                condition=~Q(kind="access", status="refused") | Q(preserved_until__isnull=False),
                name="request_refused_access_is_kept",
            ),
            # PDPA s 22(5)
            models.CheckConstraint(
                condition=~Q(kind="correction", status="refused") | ~Q(annotation=""),
                name="request_refused_correction_is_noted",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def is_open(self) -> bool:
        return self.status == self.Status.OPEN

    def days_left(self, today: dt.date) -> int:
        """Negative when it is overdue."""
        return (self.due_on - today).days

    def is_overdue(self, today: dt.date) -> bool:
        return self.is_open and today > self.due_on


class PrivacyStep(models.Model):
    """What was done about a request. Append-only: the log of disclosures and of who was told."""

    class Act(models.TextChoices):
        RECEIVED = "received", _("Received")
        IDENTIFIED = "identified", _("Identity checked")
        EXTENDED = "extended", _("Told that it takes longer")
        FEE = "fee", _("Fee estimated in writing")
        FEE_AGREED = "fee_agreed", _("Fee agreed")
        DISCLOSED = "disclosed", _("Data handed over")
        CORRECTED = "corrected", _("Corrected")
        NOTIFIED = "notified", _("Recipient told of the correction")
        NOTED = "noted", _("Noted")
        DECIDED = "decided", _("Decided")
        PRESERVED = "preserved", _("Copy of what was refused kept")
        REVIEW = "review", _("Kept longer: a review is under way")
        REMINDED = "reminded", _("Privacy officer reminded")

    request = models.ForeignKey(
        PrivacyRequest, models.PROTECT, related_name="steps", verbose_name=_("request")
    )
    act = models.CharField(_("act"), max_length=12, choices=Act)
    text = models.TextField(_("text"), max_length=2000, blank=True, default="")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("by")
    )
    created_at = models.DateTimeField(_("time"), db_default=ClockTimestamp())

    class Meta:
        verbose_name = _("step of a privacy request")
        verbose_name_plural = _("steps of privacy requests")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.request_id} {self.act}"


class DataCopy(models.Model):
    """A copy of what is held about a patient, to be fetched once within 24 hours. Sealed: of no use without the key
    that is kept outside of the database, and emptied when it is over."""

    class Form(models.TextChoices):
        JSON = "json", _("For computers (JSON)")
        PDF = "pdf", _("To read (PDF)")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(
        "patients.Patient", models.PROTECT, related_name="data_copies", verbose_name=_("patient")
    )
    form = models.CharField(_("form"), max_length=4, choices=Form)
    request = models.ForeignKey(
        PrivacyRequest,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="copies",
        verbose_name=_("request"),
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("asked for by")
    )
    created_at = models.DateTimeField(_("asked for at"), db_default=ClockTimestamp())
    content = models.BinaryField(_("content"), null=True, editable=False)
    ready_at = models.DateTimeField(_("ready at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("to be fetched until"), null=True, blank=True)
    fetched_at = models.DateTimeField(_("fetched at"), null=True, blank=True)

    class Meta:
        verbose_name = _("copy of data")
        verbose_name_plural = _("copies of data")
        constraints = [
            models.CheckConstraint(
                condition=Q(ready_at__isnull=True, expires_at__isnull=True, fetched_at__isnull=True)
                | Q(
                    ready_at__isnull=False,
                    expires_at__lte=F("ready_at") + models.Value(dt.timedelta(hours=24)),
                ),
                name="copy_is_there_for_a_day",
            ),
            models.CheckConstraint(
                condition=Q(fetched_at__isnull=True) | Q(content__isnull=True), name="copy_is_fetched_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.form} {self.created_at:%Y-%m-%d}"

    def is_over(self, now: dt.datetime) -> bool:
        return self.fetched_at is not None or (self.expires_at is not None and self.expires_at <= now)
