"""Overbooking: a visit that staff add on purpose to a time that is taken. It claims no slot, but one of the few places
that these hours have for it on that day. Everything else holds: the patient is in one place, equipment is reserved.

Locks: the practitioner's slots of that day, then equipment (docs/locking.md).
"""

import datetime as dt
from dataclasses import dataclass

from django.db import IntegrityError
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import User
from clinic_booking.roles import Can, may
from patients.models import Patient
from scheduling import live
from scheduling.equipment import Want, lock_equipment, reserve
from scheduling.errors import BookingError, NotOffered, SessionGone, SlotBlocked, SlotPast
from scheduling.locks import (
    database_now,
    lock_slots,
    named_conflicts,
    new_reference,
    tell,
)
from scheduling.models import (
    Booking,
    BookingRequest,
    Clinic,
    Membership,
    Overbooking,
    Practitioner,
    ScheduleTemplate,
    Service,
    SessionTicket,
    Slot,
    Station,
    VisitTicket,
)

MAX_REASON = 120


class MayNotOverbook(BookingError):
    status = 403
    sentence = _("You may not add visits to times that are taken. Please ask a manager.")


class NoReason(BookingError):
    status = 422
    sentence = _("Please say why this visit is added to a time that is taken.")


class OutsideHours(BookingError):
    status = 422
    sentence = _("A visit can be added only within the working hours of that day.")


class TimeIsFree(BookingError):
    sentence = _("This time is free. Please book it as usual.")


class NoPlaceLeft(BookingError):
    sentence = _("No more visits may be added to these hours on this day.")


@dataclass(frozen=True)
class Places:
    """What is used of the places of some hours on a day."""

    used: int
    limit: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


def may_overbook(user: User, clinic: Clinic) -> bool:
    if may(user, Can.OVERBOOK, clinic):
        return True
    named = Membership.objects.filter(user=user, clinic=clinic, can_overbook=True)
    return may(user, Can.ACT_AT_DESK, clinic) and named.exists()


def places(template: ScheduleTemplate, day: dt.date) -> Places:
    used = Overbooking.objects.filter(template=template, date=day, ended_at=None).count()
    return Places(used, template.overbook_limit)


def hours_at(
    *, clinic: Clinic, practitioner: Practitioner, starts_at: dt.datetime
) -> ScheduleTemplate | None:
    """The hours whose place a visit at this time would take."""
    slot = Slot.objects.filter(
        clinic=clinic, practitioner=practitioner, starts_at__lte=starts_at, ends_at__gt=starts_at
    ).select_related("template")
    found = slot.first()
    return found.template if found else None


SLOTS_OF_DAY = """
SELECT id FROM scheduling_slot WHERE clinic_id = %(clinic)s AND practitioner_id = %(practitioner)s
    AND starts_at >= %(first)s AND starts_at < %(until)s
"""


def overbook(
    *,
    clinic: Clinic,
    practitioner: Practitioner,
    station: Station,
    service: Service,
    starts_at: dt.datetime,
    patient: Patient,
    reason: str,
    by: User,
    session_id: int | None = None,
    may_have_begun: bool = False,
) -> Booking:
    """Add the visit, or the planned session, and publish `appointment.booked` with `overbooked`.

    `may_have_begun`: also to the time under way, for who is served now.

    Joins the caller's transaction and takes its first locks: the practitioner's slots of the day, then equipment. After
    an error the caller must roll back. Raises MayNotOverbook, NoReason, OutsideHours, TimeIsFree, NoPlaceLeft,
    NotOffered, SlotBlocked, SlotPast, EquipmentTaken, PatientBusy, SessionGone.
    """
    reason = reason.strip()[:MAX_REASON]
    if not may_overbook(by, clinic):
        raise MayNotOverbook
    if not reason:
        raise NoReason
    day = clinic.local_date(starts_at)
    first, until = clinic.day_bounds(day)
    asked = {"clinic": clinic.pk, "practitioner": practitioner.pk, "first": first, "until": until}
    slots = lock_slots(SLOTS_OF_DAY, asked)
    ends_at = starts_at + dt.timedelta(minutes=service.duration_minutes)
    if (ends_at if may_have_begun else starts_at) <= database_now():
        raise SlotPast
    template = _hours(slots, station, service, starts_at, ends_at)
    offered = service.practitioners.filter(pk=practitioner.pk).exists()
    if not offered or station.clinic_id != clinic.pk or station.kind != service.station_kind:
        raise NotOffered
    want = Want.of(service, clinic.pk, starts_at, starts_at + service.occupied)
    equipment = lock_equipment([(clinic.pk, want.kinds)])
    session = _session(session_id, patient, service)
    visit, _made = VisitTicket.objects.get_or_create(patient=patient, clinic=clinic, date=day)
    with named_conflicts():
        booking = Booking.objects.create(
            reference=new_reference(),
            patient=patient,
            service=service,
            session=session,
            visit=visit,
            clinic=clinic,
            practitioner=practitioner,
            station=station,
            starts_at=starts_at,
            ends_at=ends_at,
            price_cents=session.request.session_price_cents,
        )
    reserve(want, locked=equipment, booking_id=booking.pk)
    _take_place(booking, template, day, reason, by)
    live.nudge(clinic.pk, day)
    tell("appointment.booked", booking, overbooked=True, by=by.pk)
    return booking


def _hours(
    slots: list[Slot], station: Station, service: Service, starts_at: dt.datetime, ends_at: dt.datetime
) -> ScheduleTemplate:
    """The template whose slots cover the time without a gap. The slots are locked."""
    now = database_now()
    over = sorted(
        (s for s in slots if s.starts_at < ends_at and s.ends_at > starts_at), key=lambda s: s.starts_at
    )
    reached = starts_at
    for slot in over:
        if slot.starts_at > reached:
            break
        reached = slot.ends_at
    if not over or reached < ends_at or any(s.station_id != station.pk for s in over):
        raise OutsideHours
    template_id = over[0].template_id
    if template_id is None or any(s.template_id != template_id for s in over):
        raise OutsideHours
    if any(s.is_blocked for s in over):
        raise SlotBlocked
    buffer = dt.timedelta(minutes=service.buffer_minutes)
    needed = [s for s in slots if s.starts_at < ends_at + buffer and s.ends_at > starts_at]
    free = [
        not s.booking_id and not s.is_blocked and not (s.held_until and s.held_until > now) for s in needed
    ]
    if all(free) and over[0].starts_at == starts_at and needed[-1].ends_at >= ends_at + buffer:
        raise TimeIsFree
    return ScheduleTemplate.objects.get(pk=template_id)


def _session(session_id: int | None, patient: Patient, service: Service) -> SessionTicket:
    """The planned session, or demand made in passing."""
    if session_id is None:
        request = BookingRequest.objects.create(
            patient=patient, service=service, source=BookingRequest.Source.DESK, quantity=1
        )
        return SessionTicket.objects.create(request=request, number=1, status=SessionTicket.Status.SCHEDULED)
    planned = SessionTicket.objects.filter(
        pk=session_id,
        status=SessionTicket.Status.PLANNED,
        request__patient=patient,
        request__service=service,
        request__closed_at=None,
    )
    # The condition is looked at again by the update, whoever was faster.
    if not planned.update(status=SessionTicket.Status.SCHEDULED, unplaced_reason=""):
        raise SessionGone
    return SessionTicket.objects.select_related("request").get(pk=session_id)


def _take_place(booking: Booking, template: ScheduleTemplate, day: dt.date, reason: str, by: User) -> None:
    """The lowest number that is free. Whoever holds the slots of the day takes it alone; the constraints watch."""
    taken = Overbooking.objects.filter(template=template, date=day, ended_at=None)
    used = set(taken.values_list("number", flat=True))
    number = next(n for n in range(1, len(used) + 2) if n not in used)
    if number > template.overbook_limit:
        raise NoPlaceLeft
    try:
        Overbooking.objects.create(
            booking=booking,
            template=template,
            date=day,
            number=number,
            limit=template.overbook_limit,
            reason=reason,
            added_by=by,
        )
    except IntegrityError as error:
        if "overbooking_" in str(error):
            raise NoPlaceLeft from error
        raise
