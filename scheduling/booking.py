"""Verbs on bookings: confirm, move, cancel, check in, complete, no-show. See locks.py for the order of locks.

All join the caller's transaction and take its first locks: the slots, then the hold or the booking.
"""

import contextlib
import datetime as dt
import secrets
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import IntegrityError, connection
from django.db.models import F

from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Patient
from scheduling import live, search
from scheduling.errors import (
    ChangedMeanwhile,
    HoldExpired,
    NotOffered,
    PatientBusy,
    SlotBlocked,
    SlotGone,
    SlotPast,
    SlotTaken,
    TooLate,
    WrongState,
)
from scheduling.holds import expire_holds, hold_slots, release_hold, renew_hold
from scheduling.locks import (
    as_stored,
    database_now,
    end_run_out,
    free_slots,
    lock_hold,
    lock_slots,
    lock_slots_of_booking,
)
from scheduling.models import Booking, BookingRequest, Hold, SessionTicket, Slot, VisitTicket

__all__ = [
    "cancel_booking",
    "check_in",
    "complete",
    "confirm_hold",
    "database_now",
    "expire_holds",
    "hold_slots",
    "move_booking",
    "no_show",
    "release_hold",
    "renew_hold",
]

# Without 0, 1, I, O: read out on the telephone. 10 characters are 50 bits.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


# By place and time, not by claim: a hold that ran out may have lost its slots, or may win them back.
SLOTS_OF_HOLD = """
SELECT w.id FROM scheduling_hold h JOIN scheduling_slot w ON w.practitioner_id = h.practitioner_id
    AND w.station_id = h.station_id AND w.starts_at >= h.starts_at AND w.starts_at < h.occupied_until
WHERE h.id = %(hold)s
"""

BOOK = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
request AS (
    INSERT INTO scheduling_bookingrequest (patient_id, service_id, source, quantity)
    VALUES (%(patient)s, %(service)s, %(source)s, 1) RETURNING id
), session AS (
    INSERT INTO scheduling_sessionticket (request_id, number, status) SELECT id, 1, 'scheduled' FROM request RETURNING id
), visit AS (
    INSERT INTO scheduling_visitticket (patient_id, clinic_id, date) VALUES (%(patient)s, %(clinic)s, %(day)s)
    ON CONFLICT (patient_id, clinic_id, date) DO UPDATE SET date = EXCLUDED.date RETURNING id
), ended AS (
    UPDATE scheduling_hold SET ended_at = now, end_reason = 'confirmed', patient_id = %(patient)s FROM clock
    WHERE id = %(hold)s
), booking AS (
    INSERT INTO scheduling_booking (reference, patient_id, service_id, session_id, visit_id, hold_id, clinic_id,
        practitioner_id, station_id, starts_at, ends_at, price_cents, note, status)
    SELECT %(reference)s, %(patient)s, %(service)s, session.id, visit.id, %(hold)s, %(clinic)s, %(practitioner)s,
        %(station)s, %(starts_at)s, %(ends_at)s, %(price_cents)s, %(note)s, 'booked'
    FROM session, visit RETURNING id, session_id, visit_id, created_at
), claimed AS (
    UPDATE scheduling_slot s SET booking_id = booking.id, hold_id = NULL, held_until = NULL FROM booking
    WHERE s.id = ANY(%(slots)s) RETURNING s.id, s.version
)
SELECT booking.*, ARRAY(SELECT id FROM claimed), ARRAY(SELECT version FROM claimed) FROM booking
"""


def confirm_hold(
    *, hold_id: uuid.UUID, patient: Patient, by: User | None = None, note: str = "", late: bool = False
) -> Booking:
    """Turn the hold into a booking, with its session and visit, and publish `appointment.booked`. Safe to repeat.

    Joins the caller's transaction and takes its first locks: slots, then hold. With `late` a hold that ran out is
    won back while its slots are still free. After an error the caller must roll back.

    Raises HoldGone, HoldExpired, SlotTaken, PatientBusy.
    """
    slots = lock_slots(SLOTS_OF_HOLD, {"hold": hold_id})
    hold = lock_hold(hold_id)
    if hold.end_reason == Hold.EndReason.CONFIRMED:
        return Booking.objects.get(hold=hold)
    now = database_now()
    if not hold.is_live(now) and (
        not late or hold.end_reason == Hold.EndReason.RELEASED or hold.starts_at <= now
    ):
        raise HoldExpired
    _check_claim(hold, slots, now)
    day = hold.clinic.local_date(hold.starts_at)
    values: dict[str, Any] = {
        "hold": hold.pk,
        "patient": patient.pk,
        "service": hold.service_id,
        "source": BookingRequest.Source.DESK if by and by != patient.user else BookingRequest.Source.ONLINE,
        "clinic": hold.clinic_id,
        "practitioner": hold.practitioner_id,
        "station": hold.station_id,
        "starts_at": hold.starts_at,
        "ends_at": hold.ends_at,
        "price_cents": hold.price_cents,
        "note": note or hold.note,
        "day": day,
        "reference": "".join(secrets.choice(ALPHABET) for _ in range(10)),
        "slots": [s.pk for s in slots],
    }
    end_run_out({s.hold_id for s in slots if s.hold_id} - {hold.pk})
    with connection.cursor() as cursor, named_conflicts():
        cursor.execute(BOOK, values)
        pk, session_id, visit_id, created_at, ids, versions = cursor.fetchone()
    booking = as_stored(
        Booking(
            id=pk,
            reference=values["reference"],
            patient=patient,
            service_id=hold.service_id,
            session_id=session_id,
            visit_id=visit_id,
            hold=hold,
            clinic=hold.clinic,
            practitioner_id=hold.practitioner_id,
            station_id=hold.station_id,
            starts_at=hold.starts_at,
            ends_at=hold.ends_at,
            price_cents=hold.price_cents,
            note=values["note"],
            status=Booking.Status.BOOKED,
            created_at=created_at,
        )
    )
    live.announce((hold.clinic_id, day, i, v, "booked", None) for i, v in zip(ids, versions, strict=True))
    _publish("appointment.booked", booking)
    return booking


def _check_claim(hold: Hold, slots: list[Slot], now: dt.datetime) -> None:
    """Under the slots' locks: all still there, and held by this hold or by nobody."""
    end = hold.starts_at
    for slot in sorted(slots, key=lambda s: s.starts_at):
        lapsed = slot.held_until is None or slot.held_until <= now
        if (
            slot.starts_at != end
            or slot.booking_id
            or slot.is_blocked
            or not (slot.hold_id == hold.pk or lapsed)
        ):
            break
        end = slot.ends_at
    if end < hold.occupied_until:
        raise SlotTaken


@contextlib.contextmanager
def named_conflicts() -> Iterator[None]:
    """Says a constraint's refusal in the words of the verb."""
    try:
        yield
    except IntegrityError as error:
        if "patient_in_one_place" in str(error):
            raise PatientBusy from error
        raise


def _publish(topic: str, booking: Booking, **more: Any) -> None:
    data = {"booking": booking.pk, "reference": booking.reference, "version": booking.version} | more
    publish(topic, f"booking:{booking.pk}", data, clinic_id=booking.clinic_id)


# -- Changing ------------------------------------------------------------------------------------


def _lock_booking(booking_id: int, slots: list[Slot], version: int | None = None) -> Booking:
    """Lock the booking after its slots. Refuses when it was moved between finding the slots and locking them."""
    booking = (
        Booking.objects.select_for_update(of=("self",), no_key=True)
        .select_related("clinic", "session")
        .get(pk=booking_id)
    )
    own = set(Slot.objects.filter(booking=booking).values_list("pk", flat=True))
    if own != {s.pk for s in slots if s.booking_id == booking_id} or version not in (None, booking.version):
        raise ChangedMeanwhile
    return booking


def _require(booking: Booking, *statuses: str) -> None:
    if booking.status not in statuses:
        raise WrongState


def cancel_booking(*, booking_id: int, by: User | None, reason: str, patient_asks: bool = False) -> Booking:
    """Free the slots; the session is cancelled too. Joins the caller's transaction (locks slots, booking).

    `patient_asks` applies the clinic's rule on how late. Raises TooLate, WrongState, ChangedMeanwhile.
    """
    slots = lock_slots_of_booking(booking_id)
    booking = _lock_booking(booking_id, slots)
    _require(booking, Booking.Status.BOOKED, Booking.Status.ARRIVED)
    now = database_now()
    if patient_asks and not booking.can_be_changed(now):
        raise TooLate
    booking.status, booking.cancelled_at, booking.cancelled_by = Booking.Status.CANCELLED, now, by
    booking.cancel_reason, booking.version = reason, booking.version + 1
    booking.save(update_fields=["status", "cancelled_at", "cancelled_by", "cancel_reason", "version"])
    SessionTicket.objects.filter(pk=booking.session_id).update(status=SessionTicket.Status.CANCELLED)
    free_slots(slots)
    _publish("appointment.cancelled", booking, reason=reason)
    return booking


# Old and new slots in one statement, so that all are locked in pk order. The visit keeps its length, whatever became of
# the service since.
SLOTS_OF_MOVE = """
SELECT id FROM scheduling_slot WHERE booking_id = %(booking)s
UNION
SELECT w.id FROM scheduling_slot f JOIN scheduling_slot w ON w.practitioner_id = f.practitioner_id
    AND w.station_id = f.station_id AND w.starts_at >= f.starts_at
WHERE f.id = %(slot)s AND w.starts_at < f.starts_at + (
    SELECT b.ends_at - b.starts_at + make_interval(mins => v.buffer_minutes)
    FROM scheduling_booking b JOIN scheduling_service v ON v.id = b.service_id WHERE b.id = %(booking)s)
"""


def move_booking(
    *, booking_id: int, slot_id: int, by: User | None, version: int | None = None, patient_asks: bool = False
) -> Booking:
    """Move to the time that begins with the slot: all its slots or none. Joins the caller's transaction.

    `version` is the one the mover saw. Raises SlotGone, NotOffered, SlotPast, SlotBlocked, SlotTaken, PatientBusy,
    TooLate, WrongState, ChangedMeanwhile.
    """
    locked = lock_slots(SLOTS_OF_MOVE, {"booking": booking_id, "slot": slot_id})
    target = next((s for s in locked if s.pk == slot_id), None)
    if target is None:
        raise SlotGone
    now = database_now()
    end_run_out({s.hold_id for s in locked if s.hold_id and s.held_until and s.held_until <= now})
    booking = _lock_booking(booking_id, locked, version)
    _require(booking, Booking.Status.BOOKED)
    if patient_asks and not booking.can_be_changed(now):
        raise TooLate
    wanted = _wanted_for_move(booking, target, locked, now)
    left = [s for s in locked if s.booking_id == booking_id and s not in wanted]
    before = {"from": booking.starts_at.isoformat(), "from_practitioner": booking.practitioner_id}
    _place(booking, target)
    free_slots(left)
    Slot.objects.filter(pk__in=[s.pk for s in wanted]).update(booking=booking, hold=None, held_until=None)
    day = booking.clinic.local_date(booking.starts_at)
    claimed = Slot.objects.filter(pk__in=[s.pk for s in wanted]).values_list("pk", "version")
    live.announce((booking.clinic_id, day, pk, slot_version, "booked", None) for pk, slot_version in claimed)
    _publish("appointment.moved", booking, **before)
    return booking


def _wanted_for_move(booking: Booking, target: Slot, locked: list[Slot], now: dt.datetime) -> list[Slot]:
    service = booking.service
    until = (
        target.starts_at
        + (booking.ends_at - booking.starts_at)
        + dt.timedelta(minutes=service.buffer_minutes)
    )
    wanted = [
        s
        for s in sorted(locked, key=lambda s: s.starts_at)
        if s.practitioner_id == target.practitioner_id
        and s.station_id == target.station_id
        and target.starts_at <= s.starts_at < until
    ]
    end = target.starts_at
    for slot in wanted:
        if slot.starts_at != end:
            raise NotOffered
        end = slot.ends_at
    offers = service.practitioners.filter(pk=target.practitioner_id).exists()
    if end < until or not offers or target.station.kind != service.station_kind:
        raise NotOffered
    if target.starts_at <= now:
        raise SlotPast
    if any(s.is_blocked for s in wanted):
        raise SlotBlocked
    for slot in wanted:
        if slot.booking_id not in (None, booking.pk) or (slot.held_until and slot.held_until > now):
            raise SlotTaken(
                search.nearest_free(
                    service_id=service.pk, clinic_ids=[target.clinic_id], around=target.starts_at, limit=6
                )
            )
    return wanted


def _place(booking: Booking, target: Slot) -> None:
    booking.clinic, booking.practitioner, booking.station = target.clinic, target.practitioner, target.station
    length = booking.ends_at - booking.starts_at
    booking.starts_at, booking.ends_at = target.starts_at, target.starts_at + length
    booking.visit, _created = VisitTicket.objects.get_or_create(
        patient_id=booking.patient_id, clinic=target.clinic, date=target.clinic.local_date(target.starts_at)
    )
    booking.version += 1
    with named_conflicts():
        booking.save(
            update_fields=["clinic", "practitioner", "station", "starts_at", "ends_at", "visit", "version"]
        )


def check_in(*, booking_id: int, by: User) -> Booking:
    """The patient is here. Joins the caller's transaction. Raises WrongState."""
    return _advance(booking_id, by, Booking.Status.ARRIVED, "appointment.arrived", Booking.Status.BOOKED)


def complete(*, booking_id: int, by: User) -> Booking:
    """The service was delivered, so is the session. Joins the caller's transaction. Raises WrongState."""
    booking = _advance(
        booking_id,
        by,
        Booking.Status.FULFILLED,
        "appointment.fulfilled",
        Booking.Status.BOOKED,
        Booking.Status.ARRIVED,
    )
    SessionTicket.objects.filter(pk=booking.session_id).update(status=SessionTicket.Status.COMPLETED)
    return booking


def no_show(*, booking_id: int, by: User) -> Booking:
    """The patient did not come: frees what is left of the time. Joins the caller's transaction. Raises WrongState."""
    slots = lock_slots_of_booking(booking_id)
    booking = _advance(
        booking_id, by, Booking.Status.NOSHOW, "appointment.noshow", Booking.Status.BOOKED, slots=slots
    )
    SessionTicket.objects.filter(pk=booking.session_id).update(status=SessionTicket.Status.FORFEITED)
    free_slots(slots)
    return booking


def _advance(
    booking_id: int,
    by: User,
    status: Booking.Status,
    topic: str,
    *allowed: str,
    slots: list[Slot] | None = None,
) -> Booking:
    if slots is None:
        slots = lock_slots_of_booking(booking_id)
    booking = _lock_booking(booking_id, slots)
    _require(booking, *allowed)
    booking.status, booking.version = status, booking.version + 1
    booking.save(update_fields=["status", "version"])
    _tell_calendars(booking, slots)
    _publish(topic, booking, by=by.pk)
    return booking


def _tell_calendars(booking: Booking, slots: list[Slot]) -> None:
    """The claim is unchanged, so count the slots' versions up: open calendars then look at the booking again."""
    Slot.objects.filter(pk__in=[s.pk for s in slots]).update(version=F("version") + 1)
    day = booking.clinic.local_date(booking.starts_at)
    live.announce((s.clinic_id, day, s.pk, s.version + 1, "booked", None) for s in slots)
