from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from clinic_booking import roles
from clinic_booking.messages.kinds import Channel


class User(AbstractUser):
    """Someone who can log in: a patient or a member of staff. What they may do at a clinic is in
    `scheduling.Membership`; an office is held for the whole group."""

    class Office(models.TextChoices):
        PRIVACY_OFFICER = "privacy_officer", _("Privacy officer")
        SYSTEM_ADMIN = "system_admin", _("System administrator")

    office = models.CharField(
        _("office"),
        max_length=20,
        choices=Office,
        blank=True,
        default="",
        db_default="",
        help_text=_("For the whole group. A system administrator sees no patient data."),
    )

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        decided = roles.configures(self, perm)
        return super().has_perm(perm, obj) if decided is None else decided

    def has_module_perms(self, app_label: str) -> bool:
        opened = app_label in roles.CONFIGURATION and roles.may(self, roles.Can.CONFIGURE)
        return opened or super().has_module_perms(app_label)

    session_generation = models.PositiveIntegerField(
        _("generation of sessions"), default=0, db_default=0, editable=False
    )

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """As Django's, and another one in each generation: to log out everywhere is to begin a new one."""
        base: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{base}{self.session_generation}" if self.session_generation else base


class ClockTimestamp(models.Func):
    """The time of the statement, not of the transaction."""

    template = "clock_timestamp()"
    output_field = models.DateTimeField()


class ThisTransaction(models.Func):
    """The id of the transaction that writes the row, the same in its savepoints."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()


class AuditEvent(models.Model):
    """Who looked at or did what to whose record (FHIR AuditEvent). Append-only; written by `audit.record` alone.

    Ids and codes only, never a value. No foreign keys: it outlives what it is about. The table is partitioned by month,
    so that a month can be dropped.
    """

    class Action(models.TextChoices):
        LOGIN = "login", _("Logged in")
        LOGIN_FAILED = "login_failed", _("Could not log in")
        LOGOUT = "logout", _("Logged out")
        LIST = "list", _("Saw a list")
        VIEW = "view", _("Saw")
        SEARCH = "search", _("Searched")
        EXPORT = "export", _("Exported")
        PRINT = "print", _("Printed")
        UNMASK = "unmask", _("Unmasked")
        BREAK_GLASS = "break_glass", _("Broke the glass")
        OVER_LIMIT = "over_limit", _("Went on above the limit of an hour")
        LINK = "link", _("Linked an identity")
        ACT_FOR = "act_for", _("Acted for")
        CREATE = "create", _("Made")
        CHANGE = "change", _("Changed")
        DELETE = "delete", _("Deleted")
        GRANT = "grant", _("Gave a right")
        REVOKE = "revoke", _("Took a right")

    created_at = models.DateTimeField(_("time"), db_default=ClockTimestamp())
    action = models.CharField(_("action"), max_length=20, choices=Action)
    subject = models.CharField(_("subject"), max_length=80, help_text=_("What it is about, as kind:id."))
    patient_id = models.BigIntegerField(_("patient"), null=True)
    patients = ArrayField(models.BigIntegerField(), verbose_name=_("patients of a list"), null=True)
    actor_id = models.BigIntegerField(_("by"), null=True)
    via = models.CharField(
        _("through"), max_length=80, default="", db_default="", help_text=_("web, or the job or command.")
    )
    role = models.CharField(_("role"), max_length=20, blank=True)
    clinic_id = models.BigIntegerField(_("clinic"), null=True)
    fields = ArrayField(models.CharField(max_length=60), verbose_name=_("fields"), default=list)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    count = models.PositiveIntegerField(_("records"), default=1)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    ip = models.GenericIPAddressField(_("address"), null=True)
    xact = models.BigIntegerField(
        _("transaction"), db_default=ThisTransaction(), help_text=_("For the seals (docs/adr/0015).")
    )

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        indexes = [
            models.Index(fields=["patient_id", "-id"], name="audit_patient"),
            models.Index(fields=["actor_id", "-id"], name="audit_actor"),
            models.Index(fields=["clinic_id", "-id"], name="audit_clinic"),
            models.Index(fields=["xact", "id"], name="audit_seal"),
            GinIndex(fields=["patients"], name="audit_patients", condition=models.Q(patients__isnull=False)),
            BrinIndex(fields=["created_at"], name="audit_created", pages_per_range=32),
            # How many records a login has opened within the hour (`audit/limit.py`).
            models.Index(
                fields=["actor_id", "-created_at"],
                name="audit_openings",
                condition=models.Q(
                    action__in=["view", "print", "export", "unmask", "break_glass", "over_limit"]
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class AuditMonth(models.Model):
    """A month of looks, which is a partition of their table (UTC): a view of the database. `is_held`: a legal hold
    or an open incident needs it."""

    month = models.CharField(_("month"), max_length=7, primary_key=True)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    is_held = models.BooleanField(_("held"))

    class Meta:
        managed = False
        verbose_name = _("month of looks")
        verbose_name_plural = _("months of looks")

    def __str__(self) -> str:
        return self.month


class AuditChange(models.Model):
    """One write to one row, by the trigger `audit_change` alone: which columns, by whom. It lives as long as the record.

    `kept` has what was before and after, of some columns; with `salt` it is what `digest` was made of. Both are
    emptied when a record is made anonymous, which is the only change the database lets through.
    """

    class Operation(models.TextChoices):
        INSERT = "I", _("Made")
        UPDATE = "U", _("Changed")
        DELETE = "D", _("Deleted")

    created_at = models.DateTimeField(_("time"), db_default=ClockTimestamp())
    table = models.CharField(_("table"), max_length=63, db_column="table_name")
    row_id = models.CharField(_("row"), max_length=80)
    operation = models.CharField(_("operation"), max_length=1, choices=Operation)
    fields = ArrayField(models.CharField(max_length=63), verbose_name=_("columns"), default=list)
    kept = models.JSONField(_("before and after"), null=True)
    salt = models.BinaryField(_("salt"), null=True)
    digest = models.BinaryField(_("hash of before and after"), null=True)
    patient_id = models.BigIntegerField(_("patient"), null=True)
    clinic_id = models.BigIntegerField(_("clinic"), null=True)
    actor_id = models.BigIntegerField(_("by"), null=True)
    via = models.CharField(_("through"), max_length=80)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    ip = models.GenericIPAddressField(_("address"), null=True)
    xact = models.BigIntegerField(_("transaction"), db_default=ThisTransaction())

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [
            models.Index(
                fields=["patient_id", "-id"],
                name="change_patient",
                condition=models.Q(patient_id__isnull=False),
            ),
            models.Index(
                fields=["actor_id", "-id"], name="change_actor", condition=models.Q(actor_id__isnull=False)
            ),
            models.Index(fields=["table", "row_id"], name="change_row"),
            models.Index(fields=["xact", "id"], name="change_seal"),
            BrinIndex(fields=["created_at"], name="change_created", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.table}:{self.row_id}"


class AuditSeal(models.Model):
    """A link of the chain over both trails (`audit/seals.py`): what it sealed, and the seal before it."""

    class Kind(models.TextChoices):
        EVENTS = "events", _("Looks and acts")
        CHANGES = "changes", _("Changes")
        CLOSING = "closing", _("End of a day")
        DROPPED = "dropped", _("Taken away by the rule of retention")

    number = models.BigIntegerField(_("number"), primary_key=True)
    sealed_at = models.DateTimeField(_("time"), db_default=ClockTimestamp())
    day = models.DateField(_("day"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    base_id = models.BigIntegerField(_("rows after"), default=0)
    until_xact = models.BigIntegerField(_("until transaction"), default=0)
    until_id = models.BigIntegerField(_("until row"), default=0)
    count = models.PositiveIntegerField(_("rows"), default=0)
    rows = models.BinaryField(_("hashes of the rows"), default=b"")
    payload = models.CharField(_("payload"), max_length=200, blank=True)
    previous = models.BinaryField(_("hash of the seal before"))
    key_id = models.CharField(_("key"), max_length=12)
    mac = models.BinaryField(_("hash"))

    class Meta:
        verbose_name = _("seal")
        verbose_name_plural = _("seals")
        ordering = ["number"]
        indexes = [models.Index(fields=["kind", "-number"], name="seal_kind")]
        constraints = [
            models.UniqueConstraint(
                fields=["day"], condition=models.Q(kind="closing"), name="seal_closes_a_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.kind} {self.day}"


class AuditAlert(models.Model):
    """Unusual looks of one login on one day (`scheduling/audit_alerts.py`). Ids and numbers only."""

    class Kind(models.TextChoices):
        RECORDS = "records", _("Far more records than usual")
        NIGHT = "night", _("Many records at night")
        UNMASK = "unmask", _("Many identity numbers unmasked")
        BREAK_GLASS = "break_glass", _("Broke the glass often")
        EXPORT = "export", _("Many exports")
        LOGIN_FAILED = "login_failed", _("Many failed logins")
        COLLEAGUE = "colleague", _("Opened the record of a member of staff")
        OVER_LIMIT = "over_limit", _("Went on above the limit of an hour")

    created_at = models.DateTimeField(_("time"), db_default=ClockTimestamp())
    day = models.DateField(_("day"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    actor_id = models.BigIntegerField(_("login"))
    patient_id = models.BigIntegerField(_("patient"), null=True)
    count = models.PositiveIntegerField(_("number"))
    limit = models.PositiveIntegerField(_("limit"))
    closed_at = models.DateTimeField(_("closed at"), null=True)
    closed_by_id = models.BigIntegerField(_("closed by"), null=True)
    note = models.CharField(_("what was found"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["day", "kind", "actor_id", "patient_id"],
                name="alert_once_a_day",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.actor_id} {self.day}"


class Event(models.Model):
    """Something that happened. Append-only (a trigger refuses changes); written by `events.publish` alone."""

    topic = models.CharField(_("topic"), max_length=40)
    version = models.PositiveSmallIntegerField(_("payload version"), default=1)
    subject = models.CharField(_("subject"), max_length=80, help_text=_("What it is about, as kind:id."))
    clinic_id = models.BigIntegerField(_("clinic"), null=True)
    data = models.JSONField(_("data"), default=dict)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    xact = models.BigIntegerField(
        _("transaction"),
        db_default=ThisTransaction(),
        help_text=_("For readers of the stream (docs/adr/0012)."),
    )

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["topic", "clinic_id"], name="event_topic_clinic"),
            models.Index(fields=["subject"], name="event_subject"),
            models.Index(fields=["xact", "id"], name="event_stream"),
            # Events are written in order of time: a tenth of a thousandth of a B-tree, and as good for a period.
            BrinIndex(fields=["created_at"], name="event_created", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.subject}"


class Reader(models.Model):
    """How far somebody has read the stream of events: all up to this place is done (`stream.Place`)."""

    name = models.CharField(_("name"), max_length=40, primary_key=True)
    xact = models.BigIntegerField(_("transaction"), default=0)
    event_id = models.BigIntegerField(_("event"), default=0)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        verbose_name = _("reader of events")
        verbose_name_plural = _("readers of events")

    def __str__(self) -> str:
        return self.name


class EventCount(models.Model):
    """How many events the reader "counts" has passed: what /metrics need not count again."""

    topic = models.CharField(_("topic"), max_length=40)
    clinic_id = models.BigIntegerField(_("clinic"), null=True)
    n = models.BigIntegerField(_("number"))

    class Meta:
        verbose_name = _("count of events")
        verbose_name_plural = _("counts of events")
        constraints = [
            models.UniqueConstraint(
                fields=["topic", "clinic_id"], name="event_count_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.clinic_id}: {self.n}"


class Parked(models.Model):
    """An event that could not be delivered to one subscriber. It waits for somebody to retry or to discard it."""

    class End(models.TextChoices):
        RETRIED = "retried", _("Retried")
        DISCARDED = "discarded", _("Discarded")

    event = models.ForeignKey(Event, models.PROTECT, verbose_name=_("event"), related_name="parked")
    subscriber = models.CharField(_("subscriber"), max_length=120)
    tries = models.PositiveSmallIntegerField(_("tries"))
    error = models.CharField(_("error"), max_length=80, help_text=_("The kind of error, no personal data."))
    parked_at = models.DateTimeField(_("parked at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True)
    ended_as = models.CharField(_("ended as"), max_length=10, choices=End, blank=True)
    ended_by = models.ForeignKey(
        User, models.PROTECT, verbose_name=_("ended by"), null=True, related_name="+"
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("parked delivery")
        verbose_name_plural = _("parked deliveries")
        indexes = [models.Index(fields=["subscriber"], condition=models.Q(ended_at=None), name="parked_open")]
        constraints = [
            models.UniqueConstraint(
                fields=["event", "subscriber"], condition=models.Q(ended_at=None), name="parked_once"
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, ended_as="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(ended_as="")),
                name="parked_end_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} {self.event_id}"


class Notification(models.Model):
    """One message to one person by one channel. The address stays with the patient record, the text is made when it is
    sent. Those of one event and kind are one message: what fails by one channel goes by the next."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        SENT = "sent", _("Sent")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")
        BY_PHONE = "by_phone", _("Told by telephone")
        SKIPPED = "skipped", _("Not sent")

    event = models.ForeignKey(Event, models.PROTECT, verbose_name=_("event"), related_name="notifications")
    kind = models.CharField(_("kind"), max_length=40)
    channel = models.CharField(_("channel"), max_length=10, default="email")
    patient_id = models.BigIntegerField(_("patient"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    error = models.CharField(
        _("error"), max_length=80, blank=True, help_text=_("The kind of error, no personal data.")
    )
    perhaps_twice = models.BooleanField(
        _("perhaps twice"),
        default=False,
        db_default=False,
        help_text=_("A try was cut off before it left word: the message may have arrived twice."),
    )
    provider_ref = models.CharField(
        _("id at the provider"), max_length=120, blank=True, default="", db_default=""
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    next_try_at = models.DateTimeField(_("next try at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [
            models.Index(
                fields=["created_at"], condition=models.Q(status="failed"), name="notification_failed"
            ),
            models.Index(
                fields=["created_at"], condition=models.Q(status="queued"), name="notification_queued"
            ),
            BrinIndex(fields=["created_at"], name="notification_created", pages_per_range=32),
            models.Index(
                fields=["provider_ref"],
                condition=~models.Q(provider_ref=""),
                name="notification_provider_ref",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "kind", "channel"], name="notification_once"),
            models.CheckConstraint(
                condition=models.Q(status__in=["sent", "delivered"], sent_at__isnull=False)
                | models.Q(status__in=["queued", "skipped"], sent_at__isnull=True)
                | models.Q(status__in=["failed", "by_phone"]),
                name="notification_sent_has_time",
            ),
            models.CheckConstraint(
                condition=models.Q(status="delivered", delivered_at__isnull=False)
                | (~models.Q(status="delivered") & models.Q(delivered_at__isnull=True)),
                name="notification_delivered_has_time",
            ),
            models.CheckConstraint(
                condition=models.Q(status="queued") | models.Q(next_try_at__isnull=True),
                name="notification_only_queued_is_tried",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.channel} {self.status}"

    @property
    def is_told(self) -> bool:
        """The person has it, as far as anybody knows."""
        return self.status in (self.Status.SENT, self.Status.DELIVERED, self.Status.BY_PHONE)


class MessageTemplate(models.Model):
    """A text by the staff, instead of the one that is shipped. It names facts in braces: {date}."""

    kind = models.CharField(_("kind"), max_length=40)
    channel = models.CharField(_("channel"), max_length=10, choices=Channel, default=Channel.EMAIL)
    language = models.CharField(_("language"), max_length=7, choices=settings.MESSAGE_LANGUAGES, default="en")
    subject = models.CharField(_("subject"), max_length=160, blank=True, help_text=_("Of e-mails only."))
    body = models.TextField(_("text"), max_length=4000)
    problem = models.CharField(
        _("problem"), max_length=80, blank=True, editable=False, help_text=_("Why the shipped text was sent.")
    )
    problem_at = models.DateTimeField(_("problem since"), null=True, blank=True, editable=False)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        constraints = [
            models.UniqueConstraint(fields=["kind", "channel", "language"], name="one_text_of_a_kind")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.channel} {self.language}"


from clinic_booking.accounts.models import Device, DeviceLogin, DoorLock, OneTimeCode  # noqa: E402, F401
from clinic_booking.retention import models as retention_models  # noqa: E402, F401  (they name User by its label)
