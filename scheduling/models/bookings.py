"""Claims on slots: holds for 300 seconds, bookings for good, and the visit that groups a day's bookings.

All changes are verbs in `scheduling/booking.py`.
"""

import datetime as dt
import uuid
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking.roles import Can
from clinic_booking.sealed import SealedModel, SealedRow, SealedTextField
from patients.access import Located, visible
from patients.models import Patient
from scheduling.models.demand import SessionTicket
from scheduling.models.places import MAX_OFFER_HOURS, Clinic, Equipment, Practitioner, Service, Station
from scheduling.models.supply import Occupied, ScheduleTemplate

HOLD_SECONDS = 300
MAX_RENEWALS = 2


class FrozenTerms(models.Model):
    """What was agreed when it was made, whatever becomes of the policies since (ADR 16).

    A trigger fills in what an insert leaves out: a booking has the terms of its hold, all else those of its clinic and
    service at that moment (`visit_terms` in the database is the only place that makes cents of percents).
    """

    free_cancel_hours = models.PositiveSmallIntegerField(
        _("free change until (hours)"), db_default=Value(None)
    )
    late_cancel_fee_cents = models.PositiveIntegerField(
        _("late cancellation (cents)"), db_default=Value(None)
    )
    no_show_fee_cents = models.PositiveIntegerField(_("not attended (cents)"), db_default=Value(None))

    class Meta:
        abstract = True


class Hold(SealedModel, FrozenTerms):
    """A claim, live while the database's clock is before `expires_at`: 300 s after `locked_at` during checkout.

    Several that are held together (a whole visit, a course) name the first of them as `lead`: they are confirmed,
    renewed and released as one, and each becomes a booking. An offer to a waitlist entry lasts as the clinic says.
    """

    class Kind(models.TextChoices):
        CHECKOUT = "checkout", _("Checkout")
        OFFER = "offer", _("Waitlist offer")

    class EndReason(models.TextChoices):
        CONFIRMED = "confirmed", _("Confirmed")
        RELEASED = "released", _("Released")
        EXPIRED = "expired", _("Run out")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(
        _("kind"), max_length=10, choices=Kind, default=Kind.CHECKOUT, db_default=Kind.CHECKOUT
    )
    owner = models.CharField(_("owner"), max_length=64, help_text=_("Random token of the browser session."))
    lead = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="followers",
        verbose_name=_("held together with"),
        db_index=False,
    )
    part = models.PositiveSmallIntegerField(_("part"), default=0, db_default=0, help_text=_("0 is the lead."))
    session = models.ForeignKey(
        SessionTicket,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="holds",
        verbose_name=_("session"),
        db_index=False,
        help_text=_("The session it is for; without one, a new request is made when it is confirmed."),
    )
    patient = models.ForeignKey(
        Patient, models.PROTECT, null=True, blank=True, related_name="holds", verbose_name=_("patient")
    )
    service = models.ForeignKey(Service, models.PROTECT, verbose_name=_("service"), db_index=False)
    clinic = models.ForeignKey(Clinic, models.PROTECT, verbose_name=_("clinic"), db_index=False)
    practitioner = models.ForeignKey(
        Practitioner, models.PROTECT, verbose_name=_("practitioner"), db_index=False
    )
    station = models.ForeignKey(Station, models.PROTECT, verbose_name=_("station"), db_index=False)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"), help_text=_("End of the visit, without the buffer."))
    occupied_until = models.DateTimeField(
        _("occupied until"), help_text=_("End of the visit with its buffer.")
    )
    price_cents = models.PositiveIntegerField(_("price (cents)"))
    due_cents = models.PositiveIntegerField(_("payable when booking (cents)"), db_default=Value(None))
    note = SealedTextField(_("note for the clinic"), max_length=300, blank=True, row="id")
    renewals = models.PositiveSmallIntegerField(_("renewals"), default=0, db_default=0)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    locked_at = models.DateTimeField(_("locked at"))
    expires_at = models.DateTimeField(_("expires at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    end_reason = models.CharField(
        _("end reason"), max_length=10, choices=EndReason, blank=True, db_default=""
    )
    address_key = models.CharField(
        _("address"),
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text=_(
            "Keyed hash, of those who are not known, while the time is held; a trigger forgets it then."
        ),
    )

    objects = Located["Hold"].as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(ended_at__isnull=True), name="hold_running_out"),
            BrinIndex(fields=["created_at"], name="hold_created", pages_per_range=32),
            models.Index(fields=["lead"], condition=Q(lead__isnull=False), name="hold_lead"),
            models.Index(
                fields=["address_key"], condition=Q(ended_at=None) & ~Q(address_key=""), name="hold_address"
            ),
            models.Index(fields=["session"], condition=Q(session__isnull=False), name="hold_session"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind="checkout", expires_at=F("locked_at") + Value(dt.timedelta(seconds=HOLD_SECONDS))
                )
                | Q(
                    kind="offer",
                    expires_at__gt=F("locked_at"),
                    expires_at__lte=F("locked_at") + Value(dt.timedelta(hours=MAX_OFFER_HOURS)),
                ),
                name="hold_lasts_300_seconds",
            ),
            models.CheckConstraint(
                condition=Q(part=0, lead__isnull=True) | Q(part__gt=0, lead__isnull=False),
                name="hold_part_has_lead",
            ),
            models.CheckConstraint(
                condition=Q(kind="checkout") | Q(session__isnull=False, patient__isnull=False, part=0),
                name="hold_offer_is_for_a_session",
            ),
            models.CheckConstraint(condition=Q(renewals__lte=MAX_RENEWALS), name="hold_renewals_bounded"),
            models.CheckConstraint(
                condition=Q(
                    due_cents__lte=F("price_cents"),
                    late_cancel_fee_cents__lte=F("price_cents"),
                    no_show_fee_cents__lte=F("price_cents"),
                ),
                name="hold_terms_at_most_price",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, end_reason="")
                | (Q(ended_at__isnull=False) & ~Q(end_reason="")),
                name="hold_end_has_reason",
            ),
            models.UniqueConstraint(
                fields=["owner", "part"], condition=Q(ended_at__isnull=True), name="one_hold_for_each_owner"
            ),
            models.UniqueConstraint(
                fields=["patient", "part"],
                condition=Q(ended_at__isnull=True, kind="checkout"),
                name="one_hold_for_each_patient",
            ),
            # Target of the composite foreign key of Slot(hold, held_until).
            models.UniqueConstraint(fields=["id", "expires_at"], name="hold_id_expires_at"),
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:%M}"

    def is_live(self, now: dt.datetime) -> bool:
        """`now` must come from the database's clock (`booking.database_now`)."""
        return self.ended_at is None and now < self.expires_at

    @property
    def change_until(self) -> dt.datetime:
        return self.starts_at - dt.timedelta(hours=self.free_cancel_hours)


class VisitTicket(models.Model):
    """All of one patient's bookings at one clinic on one day (the clinic's date)."""

    patient = models.ForeignKey(
        Patient, models.PROTECT, related_name="visits", verbose_name=_("patient"), db_index=False
    )
    clinic = models.ForeignKey(Clinic, models.PROTECT, related_name="visits", verbose_name=_("clinic"))
    date = models.DateField(_("date"))
    number = models.PositiveSmallIntegerField(
        _("queue number"), null=True, blank=True, help_text=_("Given when the patient is here; called by it.")
    )
    arrived_at = models.DateTimeField(_("arrived at"), null=True, blank=True)

    objects = Located["VisitTicket"].as_manager()

    class Meta:
        verbose_name = _("visit ticket")
        verbose_name_plural = _("visit tickets")
        constraints = [
            models.UniqueConstraint(fields=["patient", "clinic", "date"], name="one_visit_a_day"),
            models.UniqueConstraint(
                fields=["clinic", "date", "number"],
                condition=Q(number__isnull=False),
                name="queue_number_once_a_day",
            ),
            models.CheckConstraint(
                condition=Q(number__isnull=True) | Q(number__gte=1, arrived_at__isnull=False),
                name="queue_number_of_who_is_here",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.date}"

    @property
    def ticket(self) -> str:
        """What is called out and shown in the waiting room."""
        return f"A {self.number:03d}" if self.number else ""


class BookingQuerySet(Located["Booking"]):
    def visible_to(self, user: Any, *, references: list[str] | None = None) -> Self:
        """Those this browser was given, too."""
        allowed = Q(reference__in=references or [])
        return self.filter(allowed | visible(user, Can.SEE_DESK, clinic="clinic", patient="patient"))

    def live(self) -> Self:
        return self.exclude(status__in=[Booking.Status.CANCELLED, Booking.Status.NOSHOW])


class Booking(SealedModel, FrozenTerms):
    """The match of one session to its slots. Statuses are those of FHIR Appointment."""

    class Status(models.TextChoices):
        BOOKED = "booked", _("Booked")
        ARRIVED = "arrived", _("Arrived")
        FULFILLED = "fulfilled", _("Done")
        CANCELLED = "cancelled", _("Cancelled")
        NOSHOW = "noshow", _("Did not come")

    reference = models.CharField(_("reference"), max_length=12, unique=True)
    patient = models.ForeignKey(
        Patient, models.PROTECT, related_name="bookings", verbose_name=_("patient"), db_index=False
    )
    service = models.ForeignKey(Service, models.PROTECT, verbose_name=_("service"), db_index=False)
    session = models.ForeignKey(
        SessionTicket, models.PROTECT, related_name="bookings", verbose_name=_("session"), db_index=False
    )
    visit = models.ForeignKey(VisitTicket, models.PROTECT, related_name="bookings", verbose_name=_("visit"))
    hold = models.OneToOneField(
        Hold, models.PROTECT, null=True, blank=True, related_name="booking", verbose_name=_("hold")
    )
    clinic = models.ForeignKey(Clinic, models.PROTECT, verbose_name=_("clinic"), db_index=False)
    practitioner = models.ForeignKey(
        Practitioner, models.PROTECT, verbose_name=_("practitioner"), db_index=False
    )
    station = models.ForeignKey(Station, models.PROTECT, verbose_name=_("station"), db_index=False)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"))
    price_cents = models.PositiveIntegerField(_("price (cents)"))
    fee_cents = models.PositiveIntegerField(
        _("charged all the same (cents)"),
        null=True,
        blank=True,
        help_text=_("Of a visit that did not take place. Empty: not decided, or it does."),
    )
    note = SealedTextField(_("note for the clinic"), max_length=300, blank=True, row="reference")
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.BOOKED)
    version = models.PositiveIntegerField(_("version"), default=1, db_default=1)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("cancelled by")
    )
    cancel_reason = models.CharField(_("cancel reason"), max_length=20, blank=True, db_default="")
    confirmed_at = models.DateTimeField(_("confirmed by the patient at"), null=True, blank=True)
    confirmed_version = models.PositiveIntegerField(_("version that was confirmed"), null=True, blank=True)
    arrived_at = models.DateTimeField(_("arrived at"), null=True, blank=True)
    called_at = models.DateTimeField(_("called at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    objects = BookingQuerySet.as_manager()

    class Meta:
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        indexes = [
            models.Index(fields=["clinic", "starts_at"], name="booking_clinic_start"),
            models.Index(fields=["patient", "starts_at"], name="booking_patient_start"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="booking_ends_after_start"),
            models.CheckConstraint(
                condition=Q(fee_cents__isnull=True)
                | Q(status__in=["cancelled", "noshow"], fee_cents__lte=F("price_cents")),
                name="booking_fee_at_most_price",
            ),
            models.CheckConstraint(
                condition=Q(
                    late_cancel_fee_cents__lte=F("price_cents"), no_show_fee_cents__lte=F("price_cents")
                ),
                name="booking_terms_at_most_price",
            ),
            models.UniqueConstraint(
                fields=["session"],
                condition=~Q(status__in=["cancelled", "noshow"]),
                name="session_booked_once",
                violation_error_message=_("This session is already booked."),
            ),
            models.CheckConstraint(
                condition=Q(status="cancelled", cancelled_at__isnull=False)
                | (
                    ~Q(status="cancelled")
                    & Q(cancelled_at__isnull=True, cancelled_by__isnull=True, cancel_reason="")
                ),
                name="booking_cancelled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at__isnull=True, confirmed_version__isnull=True)
                | Q(confirmed_at__isnull=False, confirmed_version__isnull=False),
                name="booking_confirmed_has_version",
            ),
            models.CheckConstraint(
                condition=~Q(status="booked")
                | Q(arrived_at__isnull=True, called_at__isnull=True, started_at__isnull=True),
                name="booking_booked_is_not_here",
            ),
            models.CheckConstraint(
                condition=Q(status="fulfilled") | Q(finished_at__isnull=True),
                name="booking_finished_has_status",
            ),
            ExclusionConstraint(
                name="patient_in_one_place",
                expressions=[(Occupied("patient_id"), RangeOperators.OVERLAPS)],
                condition=~Q(status__in=["cancelled", "noshow"]),
                violation_error_message=_("The patient already has a visit at this time."),
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def is_confirmed(self) -> bool:
        """The patient has said that they come, at this time: a move makes another version."""
        return self.confirmed_version == self.version

    @property
    def change_until(self) -> dt.datetime:
        """Until when the patient may move it, and cancel it free of charge."""
        return self.starts_at - dt.timedelta(hours=self.free_cancel_hours)

    def can_be_changed(self, now: dt.datetime | None = None) -> bool:
        return self.status == self.Status.BOOKED and not self.is_late(now or timezone.now())

    def can_be_cancelled(self, now: dt.datetime | None = None) -> bool:
        """By the patient: until it begins, late at a fee."""
        return self.status == self.Status.BOOKED and (now or timezone.now()) < self.starts_at

    def is_late(self, now: dt.datetime) -> bool:
        """Too late for the patient to change it free of charge. Not so where the clinic has just moved it."""
        if now < self.change_until:
            return False
        return now >= self.starts_at or not self.is_replanned

    def may_still_come(self, now: dt.datetime) -> bool:
        """Noted as not attended, which may be undone until the clinic's day is over, unless the fee is waived."""
        is_waived = self.fee_cents is not None and self.fee_cents < self.no_show_fee_cents
        is_today = self.clinic.local_date(now) <= self.clinic.local_date(self.starts_at)
        return self.status == self.Status.NOSHOW and is_today and not is_waived

    @property
    def is_replanned(self) -> bool:
        """A change of the hours gave it this time, or left it without one."""
        applied = self.change_proposals.filter(plan__status="applied")
        return applied.filter(
            Q(moved_version=self.version) | Q(decision="open", from_starts_at=self.starts_at)
        ).exists()


class Overbooking(SealedRow):
    """A booking that staff added on purpose to a time that is taken: it claims no slot, but one of the day's places.

    `limit` is that of the hours when it was added, so that the database holds it.
    """

    booking = models.OneToOneField(
        Booking, models.PROTECT, related_name="overbooking", verbose_name=_("booking")
    )
    template = models.ForeignKey(
        ScheduleTemplate, models.PROTECT, related_name="+", verbose_name=_("hours"), db_index=False
    )
    date = models.DateField(_("date"))
    number = models.PositiveSmallIntegerField(_("number"))
    limit = models.PositiveSmallIntegerField(_("limit"))
    reason = SealedTextField(_("reason"), max_length=120)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, verbose_name=_("added by"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    ended_at = models.DateTimeField(
        _("ended at"), null=True, blank=True, help_text=_("Cancelled, or moved to a free time.")
    )

    class Meta:
        verbose_name = _("overbooking")
        verbose_name_plural = _("overbookings")
        constraints = [
            models.UniqueConstraint(
                fields=["template", "date", "number"],
                condition=Q(ended_at__isnull=True),
                name="overbooking_number_once",
            ),
            models.CheckConstraint(
                condition=Q(number__gte=1, number__lte=F("limit")),
                name="overbooking_within_limit",
                violation_error_message=_("No more visits may be added to these hours on this day."),
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="overbooking_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.number}/{self.limit}"


class WalkInQuerySet(Located["WalkIn"]):
    clinic, patient = "visit__clinic", "visit__patient"


class WalkIn(models.Model):
    """Someone who came without a booking and waits. When served it becomes a booking of the session."""

    visit = models.ForeignKey(VisitTicket, models.PROTECT, related_name="walk_ins", verbose_name=_("visit"))
    session = models.OneToOneField(
        SessionTicket, models.PROTECT, related_name="walk_in", verbose_name=_("session")
    )
    practitioner = models.ForeignKey(
        Practitioner,
        models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("practitioner"),
        db_index=False,
        help_text=_("Empty: whoever is free first."),
    )
    arrived_at = models.DateTimeField(_("arrived at"), db_default=Now())
    called_at = models.DateTimeField(_("called at"), null=True, blank=True)
    called_to = models.ForeignKey(
        Station, models.PROTECT, null=True, blank=True, verbose_name=_("called to"), db_index=False
    )
    booking = models.OneToOneField(
        Booking, models.PROTECT, null=True, blank=True, related_name="walk_in", verbose_name=_("booking")
    )
    left_at = models.DateTimeField(_("left at"), null=True, blank=True)

    objects = WalkInQuerySet.as_manager()

    class Meta:
        verbose_name = _("walk-in")
        verbose_name_plural = _("walk-ins")
        constraints = [
            models.CheckConstraint(
                condition=Q(booking__isnull=True) | Q(left_at__isnull=True), name="walk_in_served_or_left"
            )
        ]

    def __str__(self) -> str:
        return f"{self.visit_id} · {self.session_id}"


class DeskNote(SealedRow):
    """A word from the practitioner to the desk about a visit: "wants a follow-up in 2 weeks"."""

    booking = models.ForeignKey(Booking, models.PROTECT, related_name="desk_notes", verbose_name=_("booking"))
    text = SealedTextField(_("note"), max_length=300)
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("written by")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("done by"),
    )

    class Meta:
        verbose_name = _("note to the desk")
        verbose_name_plural = _("notes to the desk")
        constraints = [
            models.CheckConstraint(
                condition=Q(done_at__isnull=True, done_by__isnull=True)
                | Q(done_at__isnull=False, done_by__isnull=False),
                name="desk_note_done_by_somebody",
            )
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}"


class EquipmentReservation(models.Model):
    """One unit of equipment for the time of a hold (until `held_until`) or of a booking.

    Written under the lock of its `Equipment` row by `equipment.py`. What a run-out hold reserved counts for nothing:
    whoever reserves next removes it.
    """

    equipment = models.ForeignKey(
        Equipment, models.PROTECT, related_name="reservations", verbose_name=_("equipment"), db_index=False
    )
    unit = models.PositiveSmallIntegerField(_("unit"), help_text=_("1 to the number of units."))
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"))
    hold = models.ForeignKey(
        Hold, models.CASCADE, null=True, blank=True, related_name="reservations", verbose_name=_("hold")
    )
    held_until = models.DateTimeField(_("held until"), null=True, blank=True)
    booking = models.ForeignKey(
        Booking, models.PROTECT, null=True, blank=True, related_name="reservations", verbose_name=_("booking")
    )

    class Meta:
        verbose_name = _("equipment reservation")
        verbose_name_plural = _("equipment reservations")
        indexes = [models.Index(fields=["equipment", "starts_at"], name="reservation_equipment_start")]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="reservation_ends_after_start"
            ),
            models.CheckConstraint(condition=Q(unit__gte=1), name="reservation_unit_counts_from_1"),
            models.CheckConstraint(
                condition=Q(hold__isnull=False, held_until__isnull=False, booking__isnull=True)
                | Q(hold__isnull=True, held_until__isnull=True, booking__isnull=False),
                name="reservation_one_claim",
            ),
            ExclusionConstraint(
                name="equipment_unit_used_once",
                expressions=[(Occupied(F("equipment_id") * 1000 + F("unit")), RangeOperators.OVERLAPS)],
                violation_error_message=_("This unit is already used at this time."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.equipment_id}/{self.unit} {self.starts_at:%Y-%m-%d %H:%M}"
