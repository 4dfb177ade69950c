"""Booking planned sessions straight into slots, many at once: for the matcher and for staff. No hold in between."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection, transaction

from clinic_booking.events import publish_all
from clinic_booking.models import User
from scheduling import live
from scheduling.equipment import Locked, Want, free_of_bookings, lock_equipment, reserve
from scheduling.errors import (
    BookingError,
    PatientBusy,
    SessionGone,
    SlotBlocked,
    SlotPast,
    SlotTaken,
)
from scheduling.locks import acted, database_now, end_run_out, new_reference, news_of
from scheduling.models import Booking, Service, SessionTicket
from scheduling.parts import Part, Supply, check_chain, lock_parts


class Place(NamedTuple):
    session_id: int
    slot_id: int


@dataclass
class Placed:
    """`lost` are the sessions whose time was taken meanwhile, with the reason. They are planned as before."""

    booked: list[Booking] = field(default_factory=list)
    lost: list[tuple[int, BookingError]] = field(default_factory=list)


class Fit(NamedTuple):
    """A session with its slots, found free under their locks."""

    session: SessionTicket
    service: Service
    slots: list[Supply]
    reference: str

    @property
    def starts_at(self) -> dt.datetime:
        return self.slots[0].starts_at

    @property
    def want(self) -> Want:
        until = self.starts_at + self.service.occupied
        return Want.of(self.service, self.slots[0].clinic_id, self.starts_at, until)


def place_sessions(*, places: Sequence[Place], by: User | None, may_have_begun: bool = False) -> Placed:
    """Book each planned session at the time that begins with its slot; those that fit no more are `lost`.

    `may_have_begun` allows the slot that is under way, for somebody who is here.

    Joins the caller's transaction and takes its first locks: all slots by pk, then equipment. Publishes
    `appointment.booked` for each, with `matched`: the e-mail comes with `request.matched`. Sessions of a closed request
    and of a patient who is elsewhere are lost too.
    """
    found = SessionTicket.objects.select_related("request__service", "request__patient").in_bulk(
        {place.session_id for place in places}
    )
    placed = Placed()
    known = [place for place in places if place.session_id in found]
    parts = [Part(p.slot_id, found[p.session_id].request.service_id, p.session_id) for p in known]
    locked = lock_parts(parts)
    by_part: dict[int, list[Supply]] = {}
    for slot in locked:
        for number in slot.wanted_by:
            by_part.setdefault(number, []).append(slot)
    now, taken, fits = database_now(), set[int](), list[Fit]()
    for number, place in enumerate(known):
        try:
            if place.session_id in {fit.session.pk for fit in fits}:
                raise SessionGone
            fit = _fit(
                found[place.session_id], place, number, by_part.get(number, []), now, taken, may_have_begun
            )
        except BookingError as error:
            placed.lost.append((place.session_id, error))
        else:
            taken |= {slot.id for slot in fit.slots}
            fits.append(fit)
    equipment = lock_equipment((fit.want.clinic_id, fit.want.kinds) for fit in fits)
    end_run_out({slot.hold_id for fit in fits for slot in fit.slots if slot.hold_id})
    _book(fits, equipment, placed, by)
    return placed


def _fit(
    session: SessionTicket,
    place: Place,
    number: int,
    slots: list[Supply],
    now: dt.datetime,
    taken: set[int],
    may_have_begun: bool,
) -> Fit:
    service = session.request.service
    slots = sorted(slots, key=lambda s: s.starts_at)
    check_chain(slots, place.slot_id, number, service.occupied)
    if any(s.is_blocked for s in slots):
        raise SlotBlocked
    if (slots[0].ends_at if may_have_begun else slots[0].starts_at) <= now:
        raise SlotPast
    if any(s.booking_id or s.id in taken or (s.held_until and s.held_until > now) for s in slots):
        raise SlotTaken
    return Fit(session, service, slots, new_reference())


# Sorted by patient, so that two runs with the same patients wait for each other instead of both ways round. What
# conflicts (the patient is elsewhere, the session is booked) is left out.
BOOK = """
WITH fit AS MATERIALIZED (
    SELECT * FROM unnest(%(references)s::varchar[], %(sessions)s::bigint[], %(clinics)s::bigint[],
        %(practitioners)s::bigint[], %(stations)s::bigint[], %(starts)s::timestamptz[],
        %(ends)s::timestamptz[], %(days)s::date[])
        AS f(reference, session_id, clinic_id, practitioner_id, station_id, starts_at, ends_at, day)
), open AS MATERIALIZED (
    SELECT fit.*, r.patient_id, r.service_id,
        CASE WHEN r.is_prepaid THEN 0 ELSE coalesce(r.price_cents, v.price_cents) END AS price_cents
    FROM fit JOIN scheduling_sessionticket t ON t.id = fit.session_id
        JOIN scheduling_bookingrequest r ON r.id = t.request_id JOIN scheduling_service v ON v.id = r.service_id
    WHERE t.status = 'planned' AND r.closed_at IS NULL
    -- Or a request that is being closed would find the session planned, and this one not see it cancelled.
    ORDER BY t.id FOR NO KEY UPDATE OF t
), visit AS (
    INSERT INTO scheduling_visitticket (patient_id, clinic_id, date)
    SELECT DISTINCT patient_id, clinic_id, day FROM open ORDER BY 1, 2, 3
    ON CONFLICT (patient_id, clinic_id, date) DO UPDATE SET date = EXCLUDED.date
    RETURNING id, patient_id, clinic_id, date
)
INSERT INTO scheduling_booking (reference, patient_id, service_id, session_id, visit_id, clinic_id, practitioner_id,
    station_id, starts_at, ends_at, price_cents, note, status)
SELECT o.reference, o.patient_id, o.service_id, o.session_id, v.id, o.clinic_id, o.practitioner_id, o.station_id,
    o.starts_at, o.ends_at, o.price_cents, '', 'booked'
FROM open o JOIN visit v ON (v.patient_id, v.clinic_id, v.date) = (o.patient_id, o.clinic_id, o.day)
ORDER BY o.patient_id, o.starts_at
ON CONFLICT DO NOTHING
RETURNING id, session_id
"""

SCHEDULE = """
UPDATE scheduling_sessionticket SET status = 'scheduled', unplaced_reason = '' WHERE id = ANY(%(sessions)s)
"""

CLAIM = """
UPDATE scheduling_slot s SET booking_id = c.booking_id, hold_id = NULL, held_until = NULL
FROM unnest(%(slots)s::bigint[], %(bookings)s::bigint[]) AS c(slot_id, booking_id)
WHERE s.id = c.slot_id RETURNING s.id, s.version
"""


def _book(fits: list[Fit], equipment: Locked, placed: Placed, by: User | None) -> None:
    if not fits:
        return
    with connection.cursor() as cursor:
        cursor.execute(BOOK, _columns(fits))
        ids = {session_id: pk for pk, session_id in cursor.fetchall()}
    booked = []
    for fit in fits:
        pk = ids.get(fit.session.pk)
        if pk is None:
            planned = SessionTicket.objects.filter(
                pk=fit.session.pk, status="planned", request__closed_at=None
            )
            placed.lost.append((fit.session.pk, PatientBusy() if planned.exists() else SessionGone()))
        elif error := _equip(fit, pk, equipment):
            placed.lost.append((fit.session.pk, error))
        else:
            booked.append((fit, pk))
    _claim(booked)
    bookings = Booking.objects.select_related("clinic", "service", "practitioner", "station", "session")
    made = bookings.in_bulk([pk for _fit, pk in booked])
    placed.booked += [made[pk] for _fit, pk in booked]
    more = {"matched": True} | acted(by)
    publish_all(news_of("appointment.booked", booking, **more) for booking in placed.booked)


def _columns(fits: list[Fit]) -> dict[str, Any]:
    return {
        "references": [fit.reference for fit in fits],
        "sessions": [fit.session.pk for fit in fits],
        "clinics": [fit.slots[0].clinic_id for fit in fits],
        "practitioners": [fit.slots[0].practitioner_id for fit in fits],
        "stations": [fit.slots[0].station_id for fit in fits],
        "starts": [fit.starts_at for fit in fits],
        "ends": [fit.starts_at + dt.timedelta(minutes=fit.service.duration_minutes) for fit in fits],
        "days": [fit.slots[0].day for fit in fits],
    }


def _equip(fit: Fit, booking_id: int, equipment: Locked) -> BookingError | None:
    """Takes the booking back where a unit is lacking: it was made a moment ago, nothing refers to it."""
    if not fit.want.kinds:
        return None
    try:
        with transaction.atomic():
            reserve(fit.want, locked=equipment, booking_id=booking_id)
    except BookingError as error:
        free_of_bookings([booking_id])
        Booking.objects.filter(pk=booking_id).delete()
        return error
    return None


def _claim(booked: list[tuple[Fit, int]]) -> None:
    slots = {slot.id: (slot, pk) for fit, pk in booked for slot in fit.slots}
    with connection.cursor() as cursor:
        cursor.execute(SCHEDULE, {"sessions": [fit.session.pk for fit, _pk in booked]})
        cursor.execute(CLAIM, {"slots": list(slots), "bookings": [pk for _slot, pk in slots.values()]})
        versions = cursor.fetchall()
    live.announce(
        (slots[pk][0].clinic_id, slots[pk][0].day, pk, version, "booked", None) for pk, version in versions
    )
