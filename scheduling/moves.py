"""Moving and cancelling bookings: one, or several as a unit, all or none. See locks.py for the order of locks.

All join the caller's transaction and take its first locks: the slots, then equipment, then the bookings.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from django.db.models import F

from clinic_booking.models import User
from scheduling import live, search
from scheduling.equipment import Locked, Want, free_of_bookings, lock_equipment, reserve
from scheduling.errors import (
    ChangedMeanwhile,
    FeeChanged,
    NotOffered,
    SlotBlocked,
    SlotGone,
    SlotPast,
    SlotTaken,
    TooLate,
)
from scheduling.locks import (
    acted,
    database_now,
    end_overbookings,
    end_run_out,
    free_slots,
    lock_bookings,
    lock_slots,
    lock_slots_of_bookings,
    named_conflicts,
    require,
    tell,
)
from scheduling.models import Booking, SessionTicket, Slot, VisitTicket
from scheduling.parts import at, naming
from scheduling.terms import Outcome, outcome_of


class Move(NamedTuple):
    """`version` is that of the booking which the mover saw."""

    booking_id: int
    slot_id: int
    version: int | None = None


class Target(NamedTuple):
    """Where a booking goes: all its slots there, under their locks."""

    booking: Booking
    slots: list[Slot]
    want: Want

    @property
    def first(self) -> Slot:
        return self.slots[0]


# -- Cancelling ----------------------------------------------------------------------------------


def cancel_booking(
    *,
    booking_id: int,
    by: User | None,
    reason: str,
    patient_asks: bool = False,
    seen: Outcome | None = None,
) -> Booking:
    """As `cancel_bookings`, for one."""
    return cancel_bookings(
        booking_ids=[booking_id], by=by, reason=reason, patient_asks=patient_asks, seen=seen
    )[0]


def cancel_bookings(
    *,
    booking_ids: Collection[int],
    by: User | None,
    reason: str,
    patient_asks: bool = False,
    seen: Outcome | None = None,
) -> list[Booking]:
    """Free the slots and the equipment of all of them, or of none. Joins the caller's transaction.

    The session is cancelled too; one of a contract is planned again, unless the patient is late (`reason` "patient") and
    the contract says that it is used up. Who is late owes the fee that was agreed. With `patient_asks` that is possible
    until the visit begins. `seen` is what the page said that it costs: with another outcome nothing is cancelled.

    Raises TooLate, WrongState, ChangedMeanwhile, FeeChanged.
    """
    slots = lock_slots_of_bookings(booking_ids)
    bookings = lock_bookings(booking_ids, slots)
    now = database_now()
    for booking in bookings:
        require(booking, Booking.Status.BOOKED, Booking.Status.ARRIVED)
        if patient_asks and not booking.can_be_cancelled(now):
            raise TooLate
    by_patient = patient_asks or reason == "patient"
    outcomes = [outcome_of(booking, now, by_patient=by_patient) for booking in bookings]
    if seen is not None and seen != Outcome.total(outcomes):
        raise FeeChanged
    for booking, outcome in zip(bookings, outcomes, strict=True):
        _cancel(booking, now, by, reason, outcome)
    free_of_bookings(booking_ids)
    end_overbookings(bookings)
    free_slots(slots)
    for booking in bookings:
        tell("appointment.cancelled", booking, reason=reason, fee_cents=booking.fee_cents, **acted(by))
    return bookings


def _cancel(booking: Booking, now: dt.datetime, by: User | None, reason: str, outcome: Outcome) -> None:
    booking.status, booking.cancelled_at, booking.cancelled_by = Booking.Status.CANCELLED, now, by
    booking.cancel_reason, booking.version = reason, booking.version + 1
    booking.fee_cents = outcome.fee_cents
    changed = ["status", "cancelled_at", "cancelled_by", "cancel_reason", "version", "fee_cents"]
    booking.save(update_fields=changed)
    session, request = booking.session, booking.session.request
    if not request.is_returnable:
        session.status = SessionTicket.Status.CANCELLED
    elif outcome.sessions_used:
        session.status = SessionTicket.Status.FORFEITED
    else:
        session.status = SessionTicket.Status.PLANNED
    session.save(update_fields=["status"])


# -- Moving --------------------------------------------------------------------------------------

# Old and new slots in one statement, so that all are locked in pk order. A visit keeps its length, whatever became of
# the service since.
SLOTS_OF_MOVES = """
SELECT s.id FROM scheduling_slot s WHERE s.booking_id = ANY(%(bookings)s)
UNION
SELECT w.id FROM unnest(%(bookings)s::bigint[], %(slots)s::bigint[]) AS m(booking_id, slot_id)
    JOIN scheduling_booking b ON b.id = m.booking_id JOIN scheduling_service v ON v.id = b.service_id
    JOIN scheduling_slot f ON f.id = m.slot_id
    JOIN scheduling_slot w ON w.practitioner_id = f.practitioner_id AND w.station_id = f.station_id
        AND w.starts_at >= f.starts_at
        AND w.starts_at < f.starts_at + (b.ends_at - b.starts_at + make_interval(mins => v.buffer_minutes))
"""

# Where the row waits while others of the same patient take its time. No constraint sees the middle of a statement.
ASIDE = dt.timedelta(days=365 * 1000)


def move_booking(
    *, booking_id: int, slot_id: int, by: User | None, version: int | None = None, patient_asks: bool = False
) -> Booking:
    """As `move_bookings`, for one."""
    moves = [Move(booking_id, slot_id, version)]
    return move_bookings(moves=moves, by=by, patient_asks=patient_asks)[0]


def move_bookings(
    *,
    moves: Sequence[Move],
    by: User | None,
    patient_asks: bool = False,
    act: str = "",
    back: bool = False,
) -> list[Booking]:
    """Move each to the time that begins with its slot: all or none, also where they take each other's times.

    `act` is the key of an act of the desk: patients are told a little later, for it may be undone. `back` undoes one:
    the old time may have begun meanwhile.

    Joins the caller's transaction. Returns the bookings in the order of the moves. An error names its move as `part`.
    Raises SlotGone, NotOffered, SlotPast, SlotBlocked, SlotTaken, EquipmentTaken, PatientBusy, TooLate, WrongState,
    ChangedMeanwhile.
    """
    if not moves:
        return []
    asked = {"bookings": [move.booking_id for move in moves], "slots": [move.slot_id for move in moves]}
    if len(set(asked["bookings"])) != len(moves):
        raise ChangedMeanwhile
    kinds = _equipment_kinds(asked["bookings"])
    locked = lock_slots(SLOTS_OF_MOVES, asked)
    firsts = {s.pk: s for s in locked}
    for number, move in enumerate(moves):
        if move.slot_id not in firsts:
            raise at(number, SlotGone())
    equipment = lock_equipment((firsts[m.slot_id].clinic_id, kinds.get(m.booking_id, ())) for m in moves)
    now = database_now()
    end_run_out({s.hold_id for s in locked if s.hold_id and s.held_until and s.held_until <= now})
    bookings = {b.pk: b for b in lock_bookings(asked["bookings"], locked)}
    targets = []
    for number, move in enumerate(moves):
        with naming(number):
            booking = bookings[move.booking_id]
            _check(booking, move, now, patient_asks=patient_asks)
            first = firsts[move.slot_id]
            targets.append(_target(booking, first, locked, now, bookings, is_back=back))
    if clash := [pk for pk, n in Counter(s.pk for t in targets for s in t.slots).items() if n > 1]:
        number = next(n for n, t in reversed(list(enumerate(targets))) if clash[0] in {s.pk for s in t.slots})
        raise at(number, SlotTaken())
    said: dict[str, Any] = acted(by)
    if act:
        said |= {"act": act, "moved": asked["bookings"]}
    _write(targets, locked, equipment, said)
    return [target.booking for target in targets]


def _equipment_kinds(booking_ids: list[int]) -> dict[int, list[str]]:
    """A booking's service does not change, so this may be read before the locks."""
    needing = Booking.objects.filter(pk__in=booking_ids).exclude(service__equipment_kinds=[])
    return dict(needing.values_list("pk", "service__equipment_kinds"))


def _check(booking: Booking, move: Move, now: dt.datetime, *, patient_asks: bool) -> None:
    if move.version not in (None, booking.version):
        raise ChangedMeanwhile
    require(booking, Booking.Status.BOOKED)
    if patient_asks and not booking.can_be_changed(now):
        raise TooLate


def _target(
    booking: Booking,
    first: Slot,
    locked: list[Slot],
    now: dt.datetime,
    moving: Collection[int],
    *,
    is_back: bool,
) -> Target:
    service = booking.service
    length = booking.ends_at - booking.starts_at
    until = first.starts_at + length + dt.timedelta(minutes=service.buffer_minutes)
    slots = [
        s
        for s in sorted(locked, key=lambda s: s.starts_at)
        if (s.practitioner_id, s.station_id) == (first.practitioner_id, first.station_id)
        and first.starts_at <= s.starts_at < until
    ]
    end = first.starts_at
    for slot in slots:
        if slot.starts_at != end:
            raise NotOffered
        end = slot.ends_at
    offers = service.practitioners.filter(pk=first.practitioner_id).exists()
    if end < until or not offers or first.station.kind != service.station_kind:
        raise NotOffered
    if first.starts_at <= now and not is_back:
        raise SlotPast
    if any(s.is_blocked for s in slots):
        raise SlotBlocked
    for slot in slots:
        if slot.booking_id not in (None, *moving) or (slot.held_until and slot.held_until > now):
            clinics = [first.clinic_id]
            raise SlotTaken(
                search.nearest_free(
                    service_id=service.pk, clinic_ids=clinics, around=first.starts_at, limit=6
                )
            )
    return Target(booking, slots, Want.of(service, first.clinic_id, first.starts_at, until))


def _write(targets: list[Target], locked: list[Slot], equipment: Locked, said: dict[str, Any]) -> None:
    moving = {target.booking.pk for target in targets}
    wanted = {slot.pk for target in targets for slot in target.slots}
    end_overbookings(target.booking for target in targets)
    _step_aside(targets)
    for number, target in enumerate(targets):
        before = {
            "from": target.booking.starts_at.isoformat(),
            "from_practitioner": target.booking.practitioner_id,
            "from_station": target.booking.station_id,
            "from_clinic": target.booking.clinic_id,
        }
        with naming(number):
            _place(target)
        Slot.objects.filter(pk__in=[s.pk for s in target.slots]).update(
            booking=target.booking, hold=None, held_until=None
        )
        tell("appointment.moved", target.booking, **before, **said)
    free_slots(s for s in locked if s.booking_id in moving and s.pk not in wanted)
    for target in targets:
        _announce(target)
    free_of_bookings([target.booking.pk for target in targets if target.want.kinds])
    for number, target in enumerate(targets):
        with naming(number):
            reserve(target.want, locked=equipment, booking_id=target.booking.pk)


def _step_aside(targets: list[Target]) -> None:
    """So that a patient's visits can take each other's times."""
    patients = Counter(target.booking.patient_id for target in targets)
    crossing = [t.booking.pk for t in targets if patients[t.booking.patient_id] > 1]
    if crossing:
        Booking.objects.filter(pk__in=crossing).update(
            starts_at=F("starts_at") - ASIDE, ends_at=F("ends_at") - ASIDE
        )


def _place(target: Target) -> None:
    booking, first = target.booking, target.first
    booking.clinic, booking.practitioner, booking.station = first.clinic, first.practitioner, first.station
    length = booking.ends_at - booking.starts_at
    booking.starts_at, booking.ends_at = first.starts_at, first.starts_at + length
    booking.visit, _created = VisitTicket.objects.get_or_create(
        patient_id=booking.patient_id, clinic=first.clinic, date=first.clinic.local_date(first.starts_at)
    )
    booking.version += 1
    with named_conflicts():
        booking.save(
            update_fields=["clinic", "practitioner", "station", "starts_at", "ends_at", "visit", "version"]
        )


def _announce(target: Target) -> None:
    booking = target.booking
    day = booking.clinic.local_date(booking.starts_at)
    claimed = Slot.objects.filter(pk__in=[s.pk for s in target.slots]).values_list("pk", "version")
    live.announce((booking.clinic_id, day, pk, version, "booked", None) for pk, version in claimed)
