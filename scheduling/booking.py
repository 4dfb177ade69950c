"""Verbs on bookings: confirm; `moves.py`, `placing.py`, `arrivals.py` and `walk_ins.py` have the others.

All join the caller's transaction and take its first locks: see locks.py for the order.
"""

import datetime as dt
import uuid
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from clinic_booking.models import User
from clinic_booking.sealed import sealed
from patients.models import Patient
from patients.proxies import acts
from scheduling import live
from scheduling.arrivals import call, check_in, complete, no_show, start, undo_status
from scheduling.equipment import lock_equipment, reserve_again
from scheduling.errors import EquipmentTaken, HoldExpired, SessionGone, SlotTaken
from scheduling.holds import (
    expire_holds,
    hold_offer,
    hold_slots,
    hold_together,
    release_hold,
    renew_hold,
    take_offer,
)
from scheduling.locks import (
    acted,
    as_stored,
    database_now,
    end_run_out,
    lock_holds,
    lock_slots,
    named_conflicts,
    new_reference,
    tell,
)
from scheduling.models import Booking, BookingRequest, Hold, Slot
from scheduling.moves import Move, cancel_booking, cancel_bookings, move_booking, move_bookings
from scheduling.parts import Part
from scheduling.placing import Place, Placed, place_sessions
from scheduling.walk_ins import add_walk_in, call_walk_in, leave_queue, start_walk_in

__all__ = [
    "Move",
    "Part",
    "Place",
    "Placed",
    "add_walk_in",
    "bookings_of",
    "call",
    "call_walk_in",
    "cancel_booking",
    "cancel_bookings",
    "check_in",
    "complete",
    "confirm_hold",
    "database_now",
    "expire_holds",
    "hold_offer",
    "hold_slots",
    "hold_together",
    "leave_queue",
    "move_booking",
    "move_bookings",
    "no_show",
    "place_sessions",
    "release_hold",
    "renew_hold",
    "start",
    "start_walk_in",
    "take_offer",
    "undo_status",
]

# By place and time, not by claim: a hold that ran out may have lost its slots, or may win them back.
SLOTS_OF_HOLD = """
SELECT w.id FROM scheduling_hold h JOIN scheduling_slot w ON w.practitioner_id = h.practitioner_id
    AND w.station_id = h.station_id AND w.starts_at >= h.starts_at AND w.starts_at < h.occupied_until
WHERE h.id = %(hold)s OR h.lead_id = %(hold)s
"""

# Demand made in passing, or the planned session that the hold is for.
NEW_SESSION = """request AS (
    INSERT INTO scheduling_bookingrequest (patient_id, service_id, source, quantity)
    VALUES (%(patient)s, %(service)s, %(source)s, 1) RETURNING id
), session AS (
    INSERT INTO scheduling_sessionticket (request_id, number, status) SELECT id, 1, 'scheduled' FROM request RETURNING id
)"""
OWN_SESSION = """session AS (
    UPDATE scheduling_sessionticket t SET status = 'scheduled', unplaced_reason = '' FROM scheduling_bookingrequest r
    WHERE t.id = %(session)s AND t.status = 'planned' AND r.id = t.request_id AND r.patient_id = %(patient)s
        AND r.closed_at IS NULL
    RETURNING t.id
)"""

BOOK = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
{session}, visit AS (
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
), reserved AS (
    UPDATE scheduling_equipmentreservation r SET booking_id = booking.id, hold_id = NULL, held_until = NULL FROM booking
    WHERE r.hold_id = %(hold)s RETURNING r.id
)
SELECT booking.*, ARRAY(SELECT id FROM claimed), ARRAY(SELECT version FROM claimed), (SELECT count(*) FROM reserved),
    (SELECT count(DISTINCT kind) FROM scheduling_service v, unnest(v.equipment_kinds) kind WHERE v.id = %(service)s)
FROM booking
"""
BOOK_NEW, BOOK_SESSION = BOOK.format(session=NEW_SESSION), BOOK.format(session=OWN_SESSION)


def confirm_hold(
    *, hold_id: uuid.UUID, patient: Patient, by: User | None = None, note: str = "", late: bool = False
) -> Booking:
    """Turn the hold into a booking, with its session and visit, and publish `appointment.booked`. Safe to repeat.

    What is held together with it is booked too, all or nothing (`bookings_of`). Joins the caller's transaction and takes
    its first locks: slots, then holds. With `late` a hold that ran out is won back while its slots and its equipment
    are still free. After an error the caller must roll back.

    Raises HoldGone, HoldExpired, SlotTaken, EquipmentTaken, PatientBusy, SessionGone.
    """
    slots = lock_slots(SLOTS_OF_HOLD, {"hold": hold_id})
    equipment = lock_equipment(_wanted_equipment(hold_id)) if late else {}
    holds = lock_holds(hold_id)
    if holds[0].end_reason == Hold.EndReason.CONFIRMED:
        return Booking.objects.get(hold=holds[0])
    now = database_now()
    mine = [hold.pk for hold in holds]
    bookings = []
    for hold in holds:
        if not hold.is_live(now) and (
            not late or hold.end_reason == Hold.EndReason.RELEASED or hold.starts_at <= now
        ):
            raise HoldExpired
        own = [s for s in slots if _is_of(s, hold)]
        _check_claim(hold, own, now)
        end_run_out({s.hold_id for s in own if s.hold_id} - set(mine))
        if equipment:
            reserve_again(hold, equipment)
        bookings.append(_book(hold, patient, by, note, own))
    return bookings[0]


def bookings_of(hold: Hold) -> QuerySet[Booking]:
    """What became of the hold and of those held together with it, in order of time."""
    return Booking.objects.filter(Q(hold=hold) | Q(hold__lead=hold)).order_by("starts_at")


def _wanted_equipment(hold_id: uuid.UUID) -> list[tuple[int, list[str]]]:
    group = Hold.objects.filter(Q(pk=hold_id) | Q(lead=hold_id)).exclude(service__equipment_kinds=[])
    return list(group.values_list("clinic_id", "service__equipment_kinds"))


def _is_of(slot: Slot, hold: Hold) -> bool:
    return (slot.practitioner_id, slot.station_id) == (hold.practitioner_id, hold.station_id) and (
        hold.starts_at <= slot.starts_at < hold.occupied_until
    )


def _book(hold: Hold, patient: Patient, by: User | None, note: str, slots: list[Slot]) -> Booking:
    day = hold.clinic.local_date(hold.starts_at)
    reference, text = new_reference(), note or hold.note
    values: dict[str, Any] = {
        "hold": hold.pk,
        "session": hold.session_id,
        "patient": patient.pk,
        "service": hold.service_id,
        "source": _source(by, patient),
        "clinic": hold.clinic_id,
        "practitioner": hold.practitioner_id,
        "station": hold.station_id,
        "starts_at": hold.starts_at,
        "ends_at": hold.ends_at,
        "price_cents": hold.price_cents,
        "note": sealed(Booking, "note", row=reference, text=text),
        "day": day,
        "reference": reference,
        "slots": [s.pk for s in slots],
    }
    with connection.cursor() as cursor, named_conflicts():
        cursor.execute(BOOK_SESSION if hold.session_id else BOOK_NEW, values)
        row = cursor.fetchone()
    if row is None:
        raise SessionGone
    pk, session_id, visit_id, created_at, ids, versions, reserved, needed = row
    if reserved < needed:
        raise EquipmentTaken
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
            free_cancel_hours=hold.free_cancel_hours,
            late_cancel_fee_cents=hold.late_cancel_fee_cents,
            no_show_fee_cents=hold.no_show_fee_cents,
            note=text,
            status=Booking.Status.BOOKED,
            created_at=created_at,
        )
    )
    live.announce((hold.clinic_id, day, i, v, "booked", None) for i, v in zip(ids, versions, strict=True))
    tell("appointment.booked", booking, **acted(by))
    return booking


def _source(by: User | None, patient: Patient) -> BookingRequest.Source:
    is_online = by is None or by == patient.user or acts.may_act(by, patient)
    return BookingRequest.Source.ONLINE if is_online else BookingRequest.Source.DESK


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
