"""Demand: what patients are to receive, how they want it, and what waits. Every booking serves one session."""

from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clinic_booking.roles import Can
from clinic_booking.sealed import SealedRow, SealedTextField
from patients.access import Located, broken_glass, clinic_ids, own
from patients.models import Patient, PatientClinic
from scheduling.models.places import Clinic, Practitioner, Service

MAX_SESSIONS = 100
MAX_GAP_DAYS = 365


class Urgency(models.IntegerChoices):
    """FHIR request-priority."""

    ROUTINE = 0, _("Routine")
    URGENT = 1, _("Urgent")
    ASAP = 2, _("As soon as possible")


def wished_at(user: Any, request: str = "") -> Q:
    """Wishes that clinics of the user may fulfil, or whose patients they know; a wish whose hard rules name no clinic
    is the group's. `request` leads to the request: "session__request"."""
    patient = f"{request}__patient" if request else "patient"
    seen = own(user, f"{patient}__")
    if not (ids := clinic_ids(user, Can.SEE_DESK)):
        return seen
    named = BookingPattern.clinics.through.objects.filter(bookingpattern=OuterRef("pk"))
    elsewhere = BookingPattern.objects.filter(
        Exists(named), ~Exists(named.filter(clinic__in=ids)), request=OuterRef(request or "pk"), is_hard=True
    )
    known = PatientClinic.objects.filter(patient=OuterRef(patient), clinic_id__in=ids)
    glass = Q(**{f"{patient}__in": broken_glass(user)})
    return seen | ~Exists(elsewhere) | Exists(known) | glass


class BookingRequestQuerySet(models.QuerySet["BookingRequest"]):
    def visible_to(self, user: Any) -> Self:
        return self.filter(wished_at(user))

    def belonging_to(self, user: Any) -> Self:
        return self.filter(own(user, "patient__"))

    def plannable(self) -> Self:
        """Whose sessions may be given a time without asking. Who waits for an offer or in the queue has not agreed."""
        asked_first = [BookingRequest.Source.WAITLIST, BookingRequest.Source.WALK_IN]
        return self.exclude(source__in=asked_first, is_prepaid=False)


class BookingRequest(models.Model):
    """ "6 sessions of laser hair removal". Those of a contract are closed with it; `contract` is its reference."""

    class Source(models.TextChoices):
        ONLINE = "online", _("Online")
        DESK = "desk", _("Desk")
        CONTRACT = "contract", _("Contract")
        WAITLIST = "waitlist", _("Waitlist")
        WALK_IN = "walk_in", _("Walk-in")

    class Policy(models.TextChoices):
        """What becomes of a session that the patient cancels too late or does not come to."""

        RETURN = "return", _("The session is returned")
        FORFEIT = "forfeit", _("The session is used up")

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="requests", verbose_name=_("patient"))
    service = models.ForeignKey(Service, models.PROTECT, related_name="requests", verbose_name=_("service"))
    source = models.CharField(_("source"), max_length=10, choices=Source)
    contract = models.CharField(_("contract"), max_length=20, blank=True, default="", db_default="")
    quantity = models.PositiveSmallIntegerField(
        _("sessions"), default=1, validators=[MinValueValidator(1), MaxValueValidator(MAX_SESSIONS)]
    )
    is_prepaid = models.BooleanField(
        _("prepaid"), default=False, db_default=False, help_text=_("Its bookings are not paid one by one.")
    )
    price_cents = models.PositiveIntegerField(
        _("agreed price of a session (cents)"),
        null=True,
        blank=True,
        help_text=_("Of those not prepaid. Empty: the price of the service."),
    )
    urgency = models.PositiveSmallIntegerField(
        _("urgency"), choices=Urgency, default=Urgency.ROUTINE, db_default=Urgency.ROUTINE
    )
    valid_from = models.DateField(_("valid from"), null=True, blank=True)
    valid_until = models.DateField(_("valid until"), null=True, blank=True, help_text=_("The last day."))
    late_cancel = models.CharField(
        _("late cancel"), max_length=10, choices=Policy, default=Policy.FORFEIT, db_default=Policy.FORFEIT
    )
    no_show = models.CharField(
        _("no-show"), max_length=10, choices=Policy, default=Policy.FORFEIT, db_default=Policy.FORFEIT
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    closed_at = models.DateTimeField(
        _("closed at"), null=True, blank=True, help_text=_("Nothing more is planned for it.")
    )

    objects = BookingRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("booking request")
        verbose_name_plural = _("booking requests")
        indexes = [models.Index(fields=["contract"], condition=~Q(contract=""), name="request_contract")]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gte=1), name="request_wants_something"),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_until__isnull=True)
                | Q(valid_until__gte=F("valid_from")),
                name="request_valid_in_order",
                violation_error_message=_("“Valid until” is before “valid from”."),
            ),
            models.CheckConstraint(
                condition=Q(source="contract") | Q(contract=""), name="request_contract_has_source"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.service}"

    @property
    def session_price_cents(self) -> int:
        """What the booking of a session costs."""
        if self.is_prepaid:
            return 0
        return self.service.price_cents if self.price_cents is None else self.price_cents

    @property
    def is_returnable(self) -> bool:
        """Whether a session whose booking is cancelled may be planned again."""
        return self.source == self.Source.CONTRACT and self.closed_at is None


class PatternFields(models.Model):
    """A rule (hard) or a wish (soft): "Mondays 9–12 with Dr Lim, two weeks apart".

    What is empty is not asked for. Every hard pattern must hold for each session; soft ones count when all they say
    holds. Times of day and dates are those of the clinic. Gaps are whole days between one session's date and the next's.
    """

    is_hard = models.BooleanField(_("must hold"), default=False, db_default=False)
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(7)]),
        verbose_name=_("weekdays"),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("ISO numbers, Monday is 1, Sunday is 7."),
    )
    from_time = models.TimeField(_("not before"), null=True, blank=True, help_text=_("Earliest start."))
    until_time = models.TimeField(_("over by"), null=True, blank=True, help_text=_("Latest end."))
    earliest = models.DateField(_("from date"), null=True, blank=True)
    latest = models.DateField(_("until date"), null=True, blank=True, help_text=_("The last day."))
    min_gap_days = models.PositiveSmallIntegerField(
        _("at least days apart"), null=True, blank=True, validators=[MaxValueValidator(MAX_GAP_DAYS)]
    )
    max_gap_days = models.PositiveSmallIntegerField(
        _("at most days apart"), null=True, blank=True, validators=[MaxValueValidator(MAX_GAP_DAYS)]
    )
    practitioners = models.ManyToManyField(
        Practitioner, blank=True, related_name="+", verbose_name=_("practitioners")
    )
    clinics = models.ManyToManyField(Clinic, blank=True, related_name="+", verbose_name=_("clinics"))

    class Meta:
        abstract = True

    @property
    def in_words(self) -> str:
        """What it asks for, without whether it must. Prefetch `practitioners` and `clinics` where there are many."""
        said = [
            ", ".join(str(WEEKDAYS[day - 1]) for day in sorted(self.weekdays)),
            _between(
                _("%s or later"),
                _("until %s"),
                *(t and f"{t:%H:%M}" for t in (self.from_time, self.until_time)),
            ),
            _between(
                _("from %s"),
                _("until %s"),
                *(d and date_format(d, "j M Y") for d in (self.earliest, self.latest)),
            ),
            _between(
                _("at least %s days apart"), _("at most %s days apart"), self.min_gap_days, self.max_gap_days
            ),
            ", ".join(str(who) for who in self.practitioners.all()),
            ", ".join(str(clinic) for clinic in self.clinics.all()),
        ]
        return " · ".join(part for part in said if part)

    def clean(self) -> None:
        if len(set(self.weekdays or [])) != len(self.weekdays or []):
            raise ValidationError({"weekdays": _("A weekday is given twice.")})


def _between(least: Promise, most: Promise, first: object, last: object) -> str:
    return ", ".join(str(text) % n for text, n in ((least, first), (most, last)) if n not in (None, ""))


def pattern_constraints(prefix: str) -> list[models.BaseConstraint]:
    """For each model of patterns: names of constraints are unique in a schema."""
    return [
        models.CheckConstraint(
            condition=Q(from_time__isnull=True)
            | Q(until_time__isnull=True)
            | Q(until_time__gt=F("from_time")),
            name=f"{prefix}_times_in_order",
            violation_error_message=_("The end must be after the start."),
        ),
        models.CheckConstraint(
            condition=Q(earliest__isnull=True) | Q(latest__isnull=True) | Q(latest__gte=F("earliest")),
            name=f"{prefix}_dates_in_order",
            violation_error_message=_("The last day is before the first."),
        ),
        models.CheckConstraint(
            condition=Q(min_gap_days__isnull=True)
            | Q(max_gap_days__isnull=True)
            | Q(max_gap_days__gte=F("min_gap_days")),
            name=f"{prefix}_gaps_in_order",
            violation_error_message=_("The largest gap is smaller than the smallest."),
        ),
        models.CheckConstraint(
            condition=Q(weekdays__contained_by=[1, 2, 3, 4, 5, 6, 7]), name=f"{prefix}_weekdays_exist"
        ),
    ]


class BookingPattern(PatternFields):
    request = models.ForeignKey(
        BookingRequest, models.CASCADE, related_name="patterns", verbose_name=_("request")
    )

    class Meta:
        verbose_name = _("booking pattern")
        verbose_name_plural = _("booking patterns")
        constraints = pattern_constraints("pattern")

    def __str__(self) -> str:
        return f"{self.request_id} · {_('must') if self.is_hard else _('wish')}"


class SessionTicketQuerySet(models.QuerySet["SessionTicket"]):
    def visible_to(self, user: Any) -> Self:
        return self.filter(wished_at(user, "request"))

    def belonging_to(self, user: Any) -> Self:
        return self.filter(own(user, "request__patient__"))


class SessionTicket(models.Model):
    """One unit of demand: session 3 of 6. While planned, `unplaced_reason` says in words why it has no time."""

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
    unplaced_reason = models.CharField(
        _("why it has no time"), max_length=300, blank=True, default="", db_default=""
    )
    tried_at = models.DateTimeField(_("last tried at"), null=True, blank=True)

    objects = SessionTicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("session ticket")
        verbose_name_plural = _("session tickets")
        indexes = [models.Index(fields=["request"], condition=Q(status="planned"), name="session_planned")]
        constraints = [
            models.UniqueConstraint(fields=["request", "number"], name="session_number_once"),
            models.CheckConstraint(
                condition=Q(status="planned") | Q(unplaced_reason=""), name="session_reason_while_planned"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.get_status_display()}"


class WaitlistEntryQuerySet(models.QuerySet["WaitlistEntry"]):
    def visible_to(self, user: Any) -> Self:
        return self.filter(wished_at(user, "session__request"))

    def belonging_to(self, user: Any) -> Self:
        return self.filter(own(user, "session__request__patient__"))


class WaitlistEntry(SealedRow):
    """A planned session that waits for a time to become free. The wishes are the patterns of its request."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        OFFERED = "offered", _("Offered")
        BOOKED = "booked", _("Booked")
        LEFT = "left", _("Left")

    session = models.ForeignKey(
        SessionTicket,
        models.PROTECT,
        related_name="waitlist_entries",
        verbose_name=_("session"),
        db_index=False,
    )
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.WAITING, db_default=Status.WAITING
    )
    joined_at = models.DateTimeField(_("joined at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    notice_minutes = models.PositiveIntegerField(
        _("notice (minutes)"),
        default=120,
        db_default=120,
        help_text=_("How long before a visit the patient must know of it."),
    )
    boost = models.SmallIntegerField(
        _("moved up by staff"), default=0, db_default=0, help_text=_("Higher is offered first.")
    )
    is_paused = models.BooleanField(_("paused"), default=False, db_default=False)
    note = SealedTextField(_("note of the staff"), max_length=200, blank=True, default="", db_default="")

    objects = WaitlistEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("waitlist entry")
        verbose_name_plural = _("waitlist entries")
        indexes = [
            models.Index(
                fields=["joined_at"], condition=Q(status__in=["waiting", "offered"]), name="waitlist_open"
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(status__in=["waiting", "offered"]),
                name="session_waits_once",
                violation_error_message=_("This session is already on the waitlist."),
            ),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "offered"], ended_at__isnull=True)
                | Q(status__in=["booked", "left"], ended_at__isnull=False),
                name="waitlist_end_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} · {self.get_status_display()}"


class WaitlistOfferQuerySet(Located["WaitlistOffer"]):
    clinic, patient = "hold__clinic", "entry__session__request__patient"


class WaitlistOffer(models.Model):
    """An exclusive offer of a freed time: the hold keeps it for the patient until it runs out."""

    class Outcome(models.TextChoices):
        OPEN = "open", _("Open")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        LAPSED = "lapsed", _("Run out")
        WITHDRAWN = "withdrawn", _("Withdrawn by the clinic")

    entry = models.ForeignKey(
        WaitlistEntry, models.PROTECT, related_name="offers", verbose_name=_("entry"), db_index=False
    )
    hold = models.OneToOneField(
        "scheduling.Hold", models.PROTECT, related_name="offer", verbose_name=_("hold")
    )
    outcome = models.CharField(
        _("outcome"), max_length=10, choices=Outcome, default=Outcome.OPEN, db_default=Outcome.OPEN
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = WaitlistOfferQuerySet.as_manager()

    class Meta:
        verbose_name = _("waitlist offer")
        verbose_name_plural = _("waitlist offers")
        constraints = [
            models.UniqueConstraint(fields=["entry"], condition=Q(outcome="open"), name="one_open_offer"),
            models.CheckConstraint(
                condition=Q(outcome="open", ended_at__isnull=True)
                | (~Q(outcome="open") & Q(ended_at__isnull=False)),
                name="offer_end_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} · {self.get_outcome_display()}"
