"""The day of a visit: arrived, called, started, done, did not come; and one step back where that was wrong.

All join the caller's transaction and take its first locks: slots, equipment, the booking, its session, its visit. Each
publishes its event with the actor as `by`. `version` is that of the booking which the actor saw.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, Max
from django.utils.functional import Promise

from clinic_booking.models import User
from scheduling import live, locks
from scheduling.equipment import Want, free_of_bookings, lock_equipment, reserve
from scheduling.errors import (
    BillSettled,
    ChangedMeanwhile,
    NotToday,
    SessionGone,
    SlotBlocked,
    SlotGone,
    SlotTaken,
    TooEarly,
    WrongState,
)
from scheduling.locks import (
    database_now,
    end_run_out,
    end_session,
    free_slots,
    lock_bookings,
    lock_slots,
    lock_slots_of_bookings,
    named_conflicts,
    tell,
)
from scheduling.models import Booking, BookingRequest, Overbooking, SessionTicket, Slot, VisitTicket

Status = Booking.Status
HERE = (Status.BOOKED, Status.ARRIVED)  # who is called or served without a check-in is checked in by it


class Locked(NamedTuple):
    booking: Booking
    slots: list[Slot]
    now: dt.datetime


# -- One step on ---------------------------------------------------------------------------------


def check_in(*, booking_id: int, by: User, version: int | None = None) -> Booking:
    """The patient is here: the visit gets its queue number. Raises WrongState, NotToday, ChangedMeanwhile."""
    booking, slots, now = _lock(booking_id, version)
    _require(booking, Status.BOOKED)
    _arrive(booking, now, by)
    _tell_calendars(booking, slots)
    return booking


def call(*, booking_id: int, by: User, version: int | None = None) -> Booking:
    """To the station of the booking; once more is a recall. Raises WrongState, NotToday, ChangedMeanwhile."""
    booking, slots, now = _lock(booking_id, version)
    _require_waiting(booking, now, by)
    _write(booking, called_at=now)
    tell("appointment.called", booking, by=by.pk, station=booking.station_id)
    _tell_calendars(booking, slots)
    return booking


def start(*, booking_id: int, by: User, version: int | None = None) -> Booking:
    """The service begins. Raises WrongState, NotToday, ChangedMeanwhile."""
    booking, slots, now = _lock(booking_id, version)
    _require_waiting(booking, now, by)
    _write(booking, started_at=now)
    tell("appointment.started", booking, by=by.pk)
    _tell_calendars(booking, slots)
    return booking


def complete(*, booking_id: int, by: User, version: int | None = None) -> Booking:
    """The service was delivered, so is the session. Raises WrongState, TooEarly, ChangedMeanwhile."""
    booking, slots, now = _lock(booking_id, version)
    _require(booking, *HERE)
    if _day(booking, booking.starts_at) > _day(booking, now):
        raise TooEarly
    _write(booking, status=Status.FULFILLED, finished_at=now)
    SessionTicket.objects.filter(pk=booking.session_id).update(status=SessionTicket.Status.COMPLETED)
    tell("appointment.fulfilled", booking, by=by.pk)
    _tell_calendars(booking, slots)
    return booking


def no_show(*, booking_id: int, by: User, version: int | None = None) -> Booking:
    """The patient did not come: frees what is left of the time. Raises WrongState, TooEarly, ChangedMeanwhile.

    A session of a contract is used up or returned, as the contract says. The fee that was agreed is due; what is paid
    above it goes back when the day is over (`Booking.may_still_come`).
    """
    booking, slots, now = _lock(booking_id, version)
    _require(booking, Status.BOOKED)
    if now < booking.starts_at:
        raise TooEarly
    _write(booking, status=Status.NOSHOW, fee_cents=booking.no_show_fee_cents)
    tell("appointment.noshow", booking, fee_cents=booking.fee_cents, by=by.pk)
    free_of_bookings([booking_id])
    end_session(booking.session, booking.session.request.no_show)
    free_slots(slots)
    _nudge_unless(slots, booking)
    return booking


# -- One step back -------------------------------------------------------------------------------


def undo_status(*, booking_id: int, by: User, version: int | None = None) -> Booking:
    """The last step was a mistake: done → in treatment → called → arrived → booked; did not come → booked.

    The queue number stays with the visit: its slip may be printed. A booking that did not come gets its time back while
    it is still free, until what was paid above its fee goes back. Raises WrongState, BillSettled, ChangedMeanwhile,
    SessionGone, SlotGone, SlotTaken, EquipmentTaken, PatientBusy.
    """
    if Booking.objects.filter(pk=booking_id, status=Status.NOSHOW).exists():
        return _undo_no_show(booking_id, by, version)
    booking, slots, _now = _lock(booking_id, version)
    was = step_of(booking)
    if was == "fulfilled":
        status = Status.ARRIVED if booking.arrived_at else Status.BOOKED
        _write(booking, status=status, finished_at=None)
        SessionTicket.objects.filter(pk=booking.session_id).update(status=SessionTicket.Status.SCHEDULED)
    elif was == "started":
        _write(booking, started_at=None)
    elif was == "called":
        _write(booking, called_at=None)
    elif was == "arrived":
        _write(booking, status=Status.BOOKED, arrived_at=None)
    else:
        raise WrongState
    tell("appointment.reverted", booking, by=by.pk, was=was)
    _tell_calendars(booking, slots)
    return booking


def step_of(booking: Booking) -> str:
    """The status, and of who is here how far they are: arrived, called or started."""
    if booking.status != Status.ARRIVED:
        return booking.status
    if booking.started_at:
        return "started"
    return "called" if booking.called_at else "arrived"


# The slots that a booking had, by place and time: it has none any more.
SLOTS_AGAIN = """
SELECT w.id FROM scheduling_booking b JOIN scheduling_service v ON v.id = b.service_id
JOIN scheduling_slot w ON w.practitioner_id = b.practitioner_id AND w.station_id = b.station_id
    AND w.starts_at >= b.starts_at
    AND w.starts_at < b.ends_at + make_interval(mins => v.buffer_minutes)
WHERE b.id = %(booking)s AND NOT EXISTS (SELECT FROM scheduling_overbooking o WHERE o.booking_id = b.id
    AND o.ended_at IS NULL)
"""


def _undo_no_show(booking_id: int, by: User, version: int | None) -> Booking:
    slots = lock_slots(SLOTS_AGAIN, {"booking": booking_id})
    found = Booking.objects.select_related("service").get(pk=booking_id)
    equipment = lock_equipment([(found.clinic_id, found.service.equipment_kinds)])
    now = locks.database_now()
    end_run_out({s.hold_id for s in slots if s.hold_id and s.held_until and s.held_until <= now})
    (booking,) = lock_bookings([booking_id], [])
    if version not in (None, booking.version):
        raise ChangedMeanwhile
    _require(booking, Status.NOSHOW)
    if (booking.fee_cents or 0) < booking.price_cents and not booking.may_still_come(now):
        raise BillSettled
    until = booking.ends_at + dt.timedelta(minutes=booking.service.buffer_minutes)
    if not Overbooking.objects.filter(booking=booking, ended_at=None).exists():
        _check_free(booking.starts_at, until, sorted(slots, key=lambda s: s.starts_at), now)
    _take_session_back(booking)
    with named_conflicts():
        _write(booking, status=Status.BOOKED, fee_cents=None)
    claimed = [s.pk for s in slots]
    Slot.objects.filter(pk__in=claimed).update(booking=booking, hold=None, held_until=None)
    want = Want.of(booking.service, booking.clinic_id, booking.starts_at, until)
    reserve(want, locked=equipment, booking_id=booking.pk)
    tell("appointment.reverted", booking, by=by.pk, was="noshow")
    day = _day(booking, booking.starts_at)
    versions = Slot.objects.filter(pk__in=claimed).values_list("pk", "version")
    live.announce((booking.clinic_id, day, pk, v, "booked", None) for pk, v in versions)
    _nudge_unless(slots, booking)
    return booking


def _check_free(begin: dt.datetime, until: dt.datetime, slots: Sequence[Slot], now: dt.datetime) -> None:
    end = begin
    for slot in slots:
        if slot.starts_at != end:
            raise SlotGone
        if slot.booking_id or (slot.held_until and slot.held_until > now):
            raise SlotTaken
        if slot.is_blocked:
            raise SlotBlocked
        end = slot.ends_at
    if end < until:
        raise SlotGone


def _take_session_back(booking: Booking) -> None:
    """What the no-show used up, or gave back to be planned, unless it is planned anew or not wanted any more."""
    given_up = [SessionTicket.Status.FORFEITED, SessionTicket.Status.PLANNED]
    sessions = SessionTicket.objects.filter(pk=booking.session_id, status__in=given_up)
    if booking.session.request.source == BookingRequest.Source.CONTRACT:
        sessions = sessions.filter(request__closed_at=None)
    if not sessions.update(status=SessionTicket.Status.SCHEDULED, unplaced_reason=""):
        raise SessionGone


# -- Under the locks -----------------------------------------------------------------------------


def _lock(booking_id: int, version: int | None) -> Locked:
    slots = lock_slots_of_bookings([booking_id])
    (booking,) = lock_bookings([booking_id], slots)
    if version not in (None, booking.version):
        raise ChangedMeanwhile
    return Locked(booking, slots, database_now())


def _require(booking: Booking, *statuses: str) -> None:
    if booking.status not in statuses:
        raise WrongState(SAID_OF.get(booking.status))


def _require_waiting(booking: Booking, now: dt.datetime, by: User) -> None:
    """Here, and not yet served. Who was not checked in is so by this."""
    _require(booking, *HERE)
    if booking.started_at:
        raise WrongState(WrongState.begun)
    if booking.status == Status.BOOKED:
        _arrive(booking, now, by)


SAID_OF: dict[str, Promise] = {
    Status.CANCELLED: WrongState.cancelled,
    Status.FULFILLED: WrongState.fulfilled,
    Status.NOSHOW: WrongState.noshow,
    Status.ARRIVED: WrongState.arrived,
}


def _arrive(booking: Booking, now: dt.datetime, by: User) -> None:
    if _day(booking, booking.starts_at) != _day(booking, now):
        raise NotToday
    # Before the booking is written: who books for the same patient holds the visit and looks at their bookings.
    visit = give_number(booking.visit_id, now)
    _write(booking, status=Status.ARRIVED, arrived_at=now)
    tell("appointment.arrived", booking, by=by.pk, visit=visit.pk, number=visit.number)


def give_number(visit_id: int, now: dt.datetime) -> VisitTicket:
    """The next free queue number of the clinic's day, once for each visit. Locks the visit; the last but walk-ins."""
    visit = VisitTicket.objects.select_for_update(of=("self",), no_key=True).get(pk=visit_id)
    if visit.number is None:
        with connection.cursor() as cursor:
            key = f"queue number {visit.clinic_id} {visit.date}"
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        same_day = VisitTicket.objects.filter(clinic_id=visit.clinic_id, date=visit.date)
        visit.number = (same_day.aggregate(last=Max("number"))["last"] or 0) + 1
        visit.arrived_at = visit.arrived_at or now
        visit.save(update_fields=["number", "arrived_at"])
    return visit


def _write(booking: Booking, **values: Any) -> None:
    for name, value in values.items():
        setattr(booking, name, value)
    booking.version += 1
    booking.save(update_fields=[*values, "version"])


def _day(booking: Booking, instant: dt.datetime) -> dt.date:
    return booking.clinic.local_date(instant)


def _tell_calendars(booking: Booking, slots: list[Slot]) -> None:
    """The claim is unchanged, so count the slots' versions up: open calendars then look at the booking again."""
    Slot.objects.filter(pk__in=[s.pk for s in slots]).update(version=F("version") + 1)
    day = _day(booking, booking.starts_at)
    live.announce((s.clinic_id, day, s.pk, s.version + 1, "booked", None) for s in slots)
    _nudge_unless(slots, booking)


def _nudge_unless(slots: Sequence[Slot], booking: Booking) -> None:
    """An overbooked visit has no slots of its own that would tell of it."""
    if not slots:
        live.nudge(booking.clinic_id, _day(booking, booking.starts_at))
