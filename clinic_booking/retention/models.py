"""Rules of retention, proofs of erasure, incidents and vendors. Ids and codes; texts are by the privacy office."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


class DataClass(models.TextChoices):
    """What a retention rule is about, one for each line of the schedule (docs/retention.md)."""

    EXPIRED_HOLD = "expired_hold", _("Times held and not booked")
    INACTIVE_ACCOUNT = "inactive_account", _("People who never came and were never billed")
    MISSED_APPOINTMENT = "missed_appointment", _("Cancelled and missed appointments")
    PATIENT_RECORD = "patient_record", _("Patients and the visits they came to")
    WAITLIST = "waitlist", _("Waitlist")
    BILL = "bill", _("Bills, credit notes and references of payments")
    CONSENT = "consent", _("Consents and withdrawals")
    MESSAGE = "message", _("Messages")
    ACCESS_LOG = "access_log", _("Record of who looked")
    CHANGE_LOG = "change_log", _("Record of changes")
    CASE = "case", _("Incidents and requests about data")
    SESSION = "session", _("Logins, sessions and codes")
    BACKUP = "backup", _("Backups")


class RetentionRule(models.Model):
    """One line of the schedule. Append-only: what is in force is the last version of a class."""

    class Action(models.TextChoices):
        DELETE = "delete", _("Deleted")
        ANONYMISE = "anonymise", _("Made anonymous")
        STRIP = "strip", _("Stripped to amounts")
        PURGE = "purge", _("Contents removed; type, time and status stay")
        REVIEW = "review", _("Looked at by a person, then made anonymous with a certificate")
        FOLLOW = "follow", _("Kept as long as the record it is about")

    data_class = models.CharField(_("data"), max_length=20, choices=DataClass)
    version = models.PositiveSmallIntegerField(_("version"), default=1)
    trigger = models.CharField(_("counts from"), max_length=120)
    months = models.PositiveSmallIntegerField(_("months"), default=0)
    days = models.PositiveSmallIntegerField(_("days"), default=0)
    action = models.CharField(_("then"), max_length=10, choices=Action)
    basis = models.CharField(_("why so long"), max_length=300)
    made_at = models.DateTimeField(_("since"), db_default=Now())
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("by")
    )

    class Meta:
        verbose_name = _("retention rule")
        verbose_name_plural = _("retention rules")
        constraints = [
            models.UniqueConstraint(fields=["data_class", "version"], name="retention_rule_version_once"),
            models.CheckConstraint(
                condition=Q(action="follow", months=0, days=0) | (~Q(action="follow") & ~Q(months=0, days=0)),
                name="retention_rule_has_period",
                violation_error_message=_("How long? Give months or days."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.data_class} {self.version}"

    @property
    def period(self) -> str:
        """In words."""
        years, months = divmod(self.months, 12)
        said = [
            (years, ngettext("%d year", "%d years", years)),
            (months, ngettext("%d month", "%d months", months)),
            (self.days, ngettext("%d day", "%d days", self.days)),
        ]
        return " ".join(text % n for n, text in said if n) or str(_("as long as the record"))


class ErasureCertificate(models.Model):
    """Proof of one batch: by which rule, how many of what, by whom. The ids only as keyed digests. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.UUIDField(_("run"))
    data_class = models.CharField(_("data"), max_length=20, choices=DataClass)
    rule_version = models.PositiveSmallIntegerField(_("version of the rule"))
    action = models.CharField(_("what was done"), max_length=10, choices=RetentionRule.Action)
    subject = models.CharField(_("what it is about"), max_length=20)
    digests = ArrayField(models.CharField(max_length=32), verbose_name=_("digests of the ids"))
    counts = models.JSONField(_("rows by table"), default=dict)
    as_of = models.DateField(_("as of"))
    operator = models.CharField(_("operator"), max_length=80)
    is_replay = models.BooleanField(_("replayed after a restore"), default=False)
    made_at = models.DateTimeField(_("made at"), db_default=Now())

    class Meta:
        verbose_name = _("certificate of erasure")
        verbose_name_plural = _("certificates of erasure")
        indexes = [models.Index(fields=["-made_at"], name="certificate_made")]

    def __str__(self) -> str:
        return f"{self.data_class} {self.made_at:%Y-%m-%d}"


class ReviewedErasure(models.Model):
    """The privacy officer looked at a record whose rule says "review", and it may go. Append-only."""

    data_class = models.CharField(_("data"), max_length=20, choices=DataClass)
    subject_id = models.BigIntegerField(_("number of the record"))
    reason = models.CharField(_("reason"), max_length=200)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("reviewed by")
    )
    reviewed_at = models.DateTimeField(_("reviewed at"), db_default=Now())

    class Meta:
        verbose_name = _("reviewed erasure")
        verbose_name_plural = _("reviewed erasures")
        constraints = [
            models.UniqueConstraint(fields=["data_class", "subject_id"], name="reviewed_once"),
        ]

    def __str__(self) -> str:
        return f"{self.data_class} {self.subject_id}"


class Incident(models.Model):
    """A breach or the suspicion of one (PDPA part 6A). Its clocks are in `clinic_booking/retention/breach.py`."""

    class Decision(models.TextChoices):
        OPEN = "open", _("Not assessed yet")
        NOTIFIABLE = "notifiable", _("To be notified")
        NOT_NOTIFIABLE = "not_notifiable", _("Not to be notified")

    class Data(models.TextChoices):
        IDENTIFIER = "identifier", _("Names or identity numbers")
        CONTACT = "contact", _("Addresses and telephone numbers")
        HEALTH = "health", _("Health: visits, reasons, notes")
        FINANCIAL = "financial", _("Money: bills, payments")
        VULNERABLE = "vulnerable", _("Children or vulnerable adults")
        SECURITY = "security", _("Passwords, codes, biometrics")

    title = models.CharField(_("what happened"), max_length=160, help_text=_("Without names of patients."))
    facts = models.TextField(_("facts"), max_length=4000, blank=True)
    suspected_at = models.DateTimeField(_("may have begun"), null=True, blank=True)
    discovered_at = models.DateTimeField(_("discovered"))
    contained_at = models.DateTimeField(_("contained"), null=True, blank=True)
    data_classes = ArrayField(
        models.CharField(max_length=12, choices=Data), verbose_name=_("data"), default=list, blank=True
    )
    people = models.PositiveIntegerField(_("people affected"), null=True, blank=True)
    is_internal = models.BooleanField(
        _("wholly inside the organisation"), default=False, help_text=_("PDPA s 26B(4).")
    )
    is_protected = models.BooleanField(
        _("encrypted, and the key is safe"),
        default=False,
        help_text=_("Harm is unlikely for that: individuals need not be told (PDPA s 26D(5)(b))."),
    )
    decision = models.CharField(_("decision"), max_length=14, choices=Decision, default=Decision.OPEN)
    reasons = models.TextField(_("reasons"), max_length=2000, blank=True)
    assessed_at = models.DateTimeField(_("assessed"), null=True, blank=True)
    minister_first_at = models.DateTimeField(_("first report to the Minister"), null=True, blank=True)
    minister_full_at = models.DateTimeField(_("full report to the Minister"), null=True, blank=True)
    commission_at = models.DateTimeField(_("Commission notified"), null=True, blank=True)
    individuals_at = models.DateTimeField(_("individuals notified"), null=True, blank=True)
    letter = models.TextField(
        _("letter to the people"),
        max_length=4000,
        blank=True,
        default="",
        db_default="",
        help_text=_("What happened, which data, what we did, what they can do."),
    )
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    made_at = models.DateTimeField(_("registered"), db_default=Now())
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("registered by")
    )
    # Whose records were looked at: what the audit trail is asked for.
    actor_id = models.BigIntegerField(_("number of the login"), null=True, blank=True)
    clinic_id = models.BigIntegerField(_("number of the clinic"), null=True, blank=True)
    subject_kind = models.CharField(
        _("kind of record"), max_length=40, blank=True, help_text=_("As in the audit trail: booking, bill …")
    )
    from_at = models.DateTimeField(_("records seen from"), null=True, blank=True)
    until_at = models.DateTimeField(_("records seen until"), null=True, blank=True)

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        constraints = [
            models.CheckConstraint(
                condition=Q(decision="open", assessed_at=None)
                | (~Q(decision="open") & Q(assessed_at__isnull=False) & ~Q(reasons="")),
                name="incident_decision_has_time_and_reasons",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | ~Q(decision="open"), name="incident_closed_is_decided"
            ),
            models.CheckConstraint(
                condition=Q(contained_at=None)
                | Q(suspected_at=None)
                | Q(contained_at__gte=F("suspected_at")),
                name="incident_times_in_order",
                violation_error_message=_("It cannot be contained before it began."),
            ),
        ]

    def __str__(self) -> str:
        return f"I-{self.pk}"


class Vendor(models.Model):
    """Who else holds or handles personal data for us (PDPA s 26 and 24: what is sent where, on which terms)."""

    class Ground(models.TextChoices):
        IN_SINGAPORE = "in_singapore", _("Stays in Singapore")
        CONTRACT = "contract", _("Contract with comparable protection")
        RULES = "rules", _("Binding corporate rules")
        CERTIFICATE = "certificate", _("CBPR or PRP certificate")
        OPEN = "open", _("Not settled yet")

    name = models.CharField(_("name"), max_length=120, unique=True)
    service = models.CharField(_("what they do"), max_length=160)
    data = models.CharField(_("what they get"), max_length=300)
    country = models.CharField(_("country"), max_length=80)
    ground = models.CharField(_("ground of the transfer"), max_length=12, choices=Ground)
    contract = models.CharField(_("contract"), max_length=160, blank=True)
    certificate = models.CharField(_("certificate"), max_length=160, blank=True)
    review_on = models.DateField(_("review on"))
    ended_on = models.DateField(_("ended on"), null=True, blank=True)

    class Meta:
        verbose_name = _("vendor")
        verbose_name_plural = _("vendors")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class BreachDeadline(models.Model):
    """A deadline of an incident that somebody was reminded of, once (`breach.remind`)."""

    incident = models.ForeignKey(
        Incident, models.CASCADE, related_name="reminded", verbose_name=_("incident"), db_index=False
    )
    deadline = models.CharField(_("deadline"), max_length=20)
    stage = models.PositiveSmallIntegerField(_("stage"), validators=[MinValueValidator(1)])
    reminded_at = models.DateTimeField(_("reminded at"), db_default=Now())

    class Meta:
        verbose_name = _("reminder of a deadline")
        verbose_name_plural = _("reminders of deadlines")
        constraints = [
            models.UniqueConstraint(fields=["incident", "deadline", "stage"], name="deadline_reminded_once")
        ]

    def __str__(self) -> str:
        return f"{self.incident_id} {self.deadline} {self.stage}"
