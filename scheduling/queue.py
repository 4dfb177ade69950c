"""Who of the waitlist comes first for a time that is free. Set-based: thousands wait, a freed time concerns few.

`CHANCES` says in SQL what `fit.py` says of one time in Python; `tests/scheduling/test_queue.py` holds them together.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from scheduling import search
from scheduling.models import Booking, BookingRequest, Clinic, Hold, Service, Slot, Station, WaitlistEntry

# The one order of the waitlist, here and on the page of the staff. Between equals the better fit, then the longer wait.
PRIORITY = ("urgency DESC", "boost DESC", "is_contract DESC")
PATIENCE = ("joined_at", "entry_id")
ORDER = ("-session__request__urgency", "-boost", "-is_contract", "joined_at", "pk")  # the same for the page
MIN_OFFER_MINUTES = 10  # what is left to answer an offer; with less none is made
STARTS_FOR_EACH = 5
# Entries × times that one look considers: all who wait for some freed slots, the first of them for a new day's hundreds.
PAIRS = 50_000
LIMIT = 500


class Freed(NamedTuple):
    """A stretch of time at a clinic that has become free: of one practitioner, or of all."""

    clinic_id: int
    first: dt.datetime
    until: dt.datetime
    practitioner_id: int | None = None

    @classmethod
    def of_hold(cls, hold: Hold) -> "Freed":
        return cls(hold.clinic_id, hold.starts_at, hold.occupied_until, hold.practitioner_id)

    @classmethod
    def of_booking(cls, booking: Booking) -> "Freed":
        until = booking.ends_at + dt.timedelta(minutes=booking.service.buffer_minutes)
        return cls(booking.clinic_id, booking.starts_at, until, booking.practitioner_id)

    @classmethod
    def of_slots(cls, slots: Iterable[Slot]) -> "list[Freed]":
        """One stretch for each day's slots of a practitioner: what lies between them may be free too."""
        found: dict[tuple[int, int, dt.date], Freed] = {}
        for slot in sorted(slots, key=lambda s: s.starts_at):
            key = (slot.clinic_id, slot.practitioner_id, slot.starts_at.date())
            first = found[key].first if key in found else slot.starts_at
            found[key] = cls(slot.clinic_id, first, slot.ends_at, slot.practitioner_id)
        return list(found.values())


class Chance(NamedTuple):
    """A waiting entry and a free time that fits all it must."""

    entry_id: int
    slot_id: int
    score: int


SERVICES = """
SELECT r.service_id, count(*) FROM scheduling_waitlistentry e
JOIN scheduling_sessionticket t ON t.id = e.session_id JOIN scheduling_bookingrequest r ON r.id = t.request_id
WHERE e.status = 'waiting' AND NOT e.is_paused AND t.status = 'planned' AND r.closed_at IS NULL
  AND (%(practitioner)s::bigint IS NULL OR EXISTS (
      SELECT FROM scheduling_service_practitioners o
      WHERE o.service_id = r.service_id AND o.practitioner_id = %(practitioner)s))
GROUP BY 1
"""

# What the pattern `p` asks of `f`, an entry with a time. Gaps are counted to the nearest of the request's other dates.
HOLDS = """(
    p.is_here AND (p.whom = '{}' OR f.practitioner_id = ANY(p.whom))
    AND (p.weekdays = '{}' OR f.weekday = ANY(p.weekdays))
    AND (p.from_time IS NULL OR f.starts::time >= p.from_time)
    AND (p.until_time IS NULL OR (f.ends::date = f.day AND f.ends::time <= p.until_time))
    AND (p.earliest IS NULL OR f.day >= p.earliest) AND (p.latest IS NULL OR f.day <= p.latest)
    AND (NOT p.has_gap OR (
        SELECT coalesce(min(gap) >= coalesce(p.min_gap_days, 0) AND max(gap) <= coalesce(p.max_gap_days, max(gap)), true)
        FROM (SELECT unnest(ARRAY[
                  min(f.day - d.day) FILTER (WHERE d.day <= f.day),
                  min(d.day - f.day) FILTER (WHERE d.day > f.day)]) AS gap
              FROM (SELECT (b.starts_at AT TIME ZONE c.time_zone)::date AS day FROM scheduling_sessionticket x
                    JOIN scheduling_booking b ON b.session_id = x.id AND NOT (b.status IN ('cancelled', 'noshow'))
                    JOIN scheduling_clinic c ON c.id = b.clinic_id
                    WHERE x.request_id = f.request_id AND x.id <> f.session_id) d) g)))"""

# Never a time that this entry was offered before or that its session had and gave up, nor one at which the patient is
# busy or has another offer. Patterns are read once and joined, not looked up for each of entries × times.
CHANCES = f"""
WITH t AS MATERIALIZED (
    SELECT service_id, slot_id, practitioner_id, starts_at, ends_at, starts, starts::date AS day,
           extract(isodow FROM starts)::int AS weekday, ends_at AT TIME ZONE %(zone)s AS ends
    FROM unnest(%(services)s::bigint[], %(slots)s::bigint[], %(practitioners)s::bigint[], %(starts)s::timestamptz[],
                %(ends)s::timestamptz[]) AS given(service_id, slot_id, practitioner_id, starts_at, ends_at),
         LATERAL (SELECT starts_at AT TIME ZONE %(zone)s AS starts) l
), e AS MATERIALIZED (
    SELECT * FROM (
    SELECT w.id AS entry_id, w.joined_at, w.boost, w.notice_minutes, s.id AS session_id, r.id AS request_id,
           r.patient_id, r.service_id, r.urgency, r.source = 'contract' AS is_contract, r.valid_from, r.valid_until,
           row_number() OVER (PARTITION BY r.service_id ORDER BY r.urgency DESC, w.boost DESC,
                              (r.source = 'contract') DESC, w.joined_at, w.id) AS place
    FROM scheduling_waitlistentry w JOIN scheduling_sessionticket s ON s.id = w.session_id
    JOIN scheduling_bookingrequest r ON r.id = s.request_id
    WHERE w.status = 'waiting' AND NOT w.is_paused AND s.status = 'planned' AND r.closed_at IS NULL
      AND r.service_id = ANY(%(services)s)
    ) waiting WHERE place > %(skip)s AND place <= %(skip)s + %(depth)s
), p AS MATERIALIZED (
    SELECT q.*, coalesce(q.min_gap_days, q.max_gap_days) IS NOT NULL AS has_gap,
           coalesce(w.whom, '{{}}') AS whom, coalesce(c.is_here, true) AS is_here
    FROM e JOIN scheduling_bookingpattern q USING (request_id)
    LEFT JOIN (SELECT m.bookingpattern_id, array_agg(m.practitioner_id) AS whom FROM e
               JOIN scheduling_bookingpattern q USING (request_id)
               JOIN scheduling_bookingpattern_practitioners m ON m.bookingpattern_id = q.id GROUP BY 1) w
        ON w.bookingpattern_id = q.id
    LEFT JOIN (SELECT m.bookingpattern_id, bool_or(m.clinic_id = %(clinic)s) AS is_here FROM e
               JOIN scheduling_bookingpattern q USING (request_id)
               JOIN scheduling_bookingpattern_clinics m ON m.bookingpattern_id = q.id GROUP BY 1) c
        ON c.bookingpattern_id = q.id
), fitting AS MATERIALIZED (
    SELECT f.* FROM (SELECT * FROM e JOIN t USING (service_id)) f
    WHERE f.starts_at >= clock_timestamp() + make_interval(mins => f.notice_minutes + {MIN_OFFER_MINUTES})
      AND (f.valid_from IS NULL OR f.day >= f.valid_from) AND (f.valid_until IS NULL OR f.day <= f.valid_until)
      AND NOT EXISTS (SELECT FROM p WHERE p.request_id = f.request_id AND p.is_hard AND NOT {HOLDS})
      AND NOT EXISTS (SELECT FROM scheduling_waitlistoffer o JOIN scheduling_hold h ON h.id = o.hold_id
                      WHERE o.entry_id = f.entry_id AND h.starts_at = f.starts_at
                        AND h.practitioner_id = f.practitioner_id)
      AND NOT EXISTS (SELECT FROM scheduling_booking b
                      WHERE b.patient_id = f.patient_id AND b.starts_at < f.ends_at
                        AND b.starts_at > f.starts_at - interval '1 day' AND b.ends_at > f.starts_at
                        AND (b.status NOT IN ('cancelled', 'noshow')
                             OR (b.session_id = f.session_id AND b.starts_at = f.starts_at
                                 AND b.practitioner_id = f.practitioner_id)))
      AND NOT EXISTS (SELECT FROM scheduling_hold h
                      WHERE h.patient_id = f.patient_id AND h.kind = 'offer' AND h.ended_at IS NULL
                        AND h.starts_at < f.ends_at AND h.ends_at > f.starts_at)
), scored AS (
    SELECT f.entry_id, f.service_id, f.slot_id, f.starts_at, f.urgency, f.boost, f.is_contract, f.joined_at,
           count(p.id) AS score
    FROM fitting f LEFT JOIN p ON p.request_id = f.request_id AND NOT p.is_hard AND {HOLDS}
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY entry_id ORDER BY score DESC, starts_at, slot_id) AS rank FROM scored
)
SELECT entry_id, slot_id, score FROM ranked WHERE rank <= {STARTS_FOR_EACH}
ORDER BY {", ".join(PRIORITY)}, score DESC, {", ".join(PATIENCE)}, starts_at, slot_id LIMIT {LIMIT}
"""  # noqa: S608  (constants)


def in_order(entries: QuerySet[WaitlistEntry]) -> QuerySet[WaitlistEntry]:
    """As they will be offered a time that suits all of them alike."""
    is_contract = Q(session__request__source=BookingRequest.Source.CONTRACT)
    return entries.annotate(is_contract=ExpressionWrapper(is_contract, BooleanField())).order_by(*ORDER)


class Look(NamedTuple):
    """`next_skip` is where to look on; None where all who wait were considered, or nothing is free."""

    chances: list[Chance]
    next_skip: int | None


def look(freed: Freed, skip: int = 0) -> Look:
    """Waiting entries with free times that touch the freed stretch and fit; those to be offered first at the front."""
    clinic = Clinic.objects.get(pk=freed.clinic_id)
    services = _waited_for(freed) if clinic.is_active else {}
    found = {service: times for service in services if (times := _starts(service, freed))}
    if not found:
        return Look([], None)
    starts = [(service, start) for service, times in found.items() for start in times]
    depth = max(1, PAIRS // len(starts))
    most = max(services[service] for service in found)
    more = skip + depth if skip + depth < most else None
    return Look(match(clinic, starts, skip=skip, depth=depth), more)


def match(
    clinic: Clinic, starts: Sequence[tuple[Service, search.Start]], *, skip: int = 0, depth: int = PAIRS
) -> list[Chance]:
    """Of the entries that wait for these services at these starts, from a place in line on."""
    asked: dict[str, Any] = {
        "clinic": clinic.pk,
        "zone": clinic.time_zone,
        "skip": skip,
        "depth": depth,
        "services": [service.pk for service, _ in starts],
        "slots": [start.slot_id for _, start in starts],
        "practitioners": [start.practitioner_id for _, start in starts],
        "starts": [start.starts_at for _, start in starts],
        "ends": [
            start.starts_at + dt.timedelta(minutes=service.duration_minutes) for service, start in starts
        ],
    }
    with connection.cursor() as cursor:
        cursor.execute(CHANCES, asked)
        return [Chance._make(row) for row in cursor.fetchall()]


def _waited_for(freed: Freed) -> dict[Service, int]:
    """How many wait for each service that may be given there."""
    with connection.cursor() as cursor:
        cursor.execute(SERVICES, {"practitioner": freed.practitioner_id})
        waiting = dict(cursor.fetchall())
    kinds = Station.objects.filter(clinic=freed.clinic_id).values("kind")
    services = Service.objects.filter(pk__in=waiting, station_kind__in=kinds) if waiting else []
    return {service: waiting[service.pk] for service in services}


def _starts(service: Service, freed: Freed) -> list[search.Start]:
    """What is freed may be any part of a visit."""
    first = freed.first - service.occupied + dt.timedelta(microseconds=1)
    found = search.free_starts(service=service, clinics=[freed.clinic_id], first=first, until=freed.until)
    return [start for start in found if freed.practitioner_id in (None, start.practitioner_id)]
