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
SELECT DISTINCT r.service_id FROM scheduling_waitlistentry e
JOIN scheduling_sessionticket t ON t.id = e.session_id JOIN scheduling_bookingrequest r ON r.id = t.request_id
WHERE e.status = 'waiting' AND NOT e.is_paused AND t.status = 'planned' AND r.closed_at IS NULL
  AND (%(practitioner)s::bigint IS NULL OR EXISTS (
      SELECT FROM scheduling_service_practitioners o
      WHERE o.service_id = r.service_id AND o.practitioner_id = %(practitioner)s))
"""

# What a pattern asks of the time `t` of the entry `e`. Gaps are counted to the nearest of the request's other dates.
HOLDS = """(
    (p.weekdays = '{}' OR extract(isodow FROM t.starts)::int = ANY(p.weekdays))
    AND (p.from_time IS NULL OR t.starts::time >= p.from_time)
    AND (p.until_time IS NULL OR (t.ends::date = t.starts::date AND t.ends::time <= p.until_time))
    AND (p.earliest IS NULL OR t.starts::date >= p.earliest)
    AND (p.latest IS NULL OR t.starts::date <= p.latest)
    AND (NOT EXISTS (SELECT FROM scheduling_bookingpattern_practitioners m WHERE m.bookingpattern_id = p.id)
         OR EXISTS (SELECT FROM scheduling_bookingpattern_practitioners m
                    WHERE m.bookingpattern_id = p.id AND m.practitioner_id = t.practitioner_id))
    AND (NOT EXISTS (SELECT FROM scheduling_bookingpattern_clinics m WHERE m.bookingpattern_id = p.id)
         OR EXISTS (SELECT FROM scheduling_bookingpattern_clinics m
                    WHERE m.bookingpattern_id = p.id AND m.clinic_id = %(clinic)s))
    AND (coalesce(p.min_gap_days, p.max_gap_days) IS NULL OR (
        SELECT coalesce(min(gap) >= coalesce(p.min_gap_days, 0) AND max(gap) <= coalesce(p.max_gap_days, max(gap)), true)
        FROM (SELECT unnest(ARRAY[
                  min(t.starts::date - d.day) FILTER (WHERE d.day <= t.starts::date),
                  min(d.day - t.starts::date) FILTER (WHERE d.day > t.starts::date)]) AS gap
              FROM (SELECT (b.starts_at AT TIME ZONE c.time_zone)::date AS day FROM scheduling_sessionticket x
                    JOIN scheduling_booking b ON b.session_id = x.id AND NOT (b.status IN ('cancelled', 'noshow'))
                    JOIN scheduling_clinic c ON c.id = b.clinic_id
                    WHERE x.request_id = e.request_id AND x.id <> e.session_id) d) g)))"""

# Never a time that this entry was offered before or that its session had and gave up, nor one at which the patient is
# busy or has another offer.
CHANCES = f"""
WITH t AS MATERIALIZED (
    SELECT *, starts_at AT TIME ZONE %(zone)s AS starts, ends_at AT TIME ZONE %(zone)s AS ends
    FROM unnest(%(services)s::bigint[], %(slots)s::bigint[], %(practitioners)s::bigint[], %(starts)s::timestamptz[],
                %(ends)s::timestamptz[]) AS given(service_id, slot_id, practitioner_id, starts_at, ends_at)
), e AS MATERIALIZED (
    SELECT w.id AS entry_id, w.joined_at, w.boost, w.notice_minutes, s.id AS session_id, r.id AS request_id,
           r.patient_id, r.service_id, r.urgency, r.source = 'contract' AS is_contract, r.valid_from, r.valid_until
    FROM scheduling_waitlistentry w JOIN scheduling_sessionticket s ON s.id = w.session_id
    JOIN scheduling_bookingrequest r ON r.id = s.request_id
    WHERE w.status = 'waiting' AND NOT w.is_paused AND s.status = 'planned' AND r.closed_at IS NULL
      AND r.service_id = ANY(%(services)s)
), fitting AS MATERIALIZED (
    SELECT e.*, t.slot_id, t.starts_at, t.ends_at, t.starts, t.ends, t.practitioner_id FROM e JOIN t USING (service_id)
    WHERE t.starts_at >= clock_timestamp() + make_interval(mins => e.notice_minutes + {MIN_OFFER_MINUTES})
      AND (e.valid_from IS NULL OR t.starts::date >= e.valid_from)
      AND (e.valid_until IS NULL OR t.starts::date <= e.valid_until)
      AND NOT EXISTS (SELECT FROM scheduling_bookingpattern p
                      WHERE p.request_id = e.request_id AND p.is_hard AND NOT {HOLDS})
      AND NOT EXISTS (SELECT FROM scheduling_waitlistoffer o JOIN scheduling_hold h ON h.id = o.hold_id
                      WHERE o.entry_id = e.entry_id AND h.starts_at = t.starts_at
                        AND h.practitioner_id = t.practitioner_id)
      AND NOT EXISTS (SELECT FROM scheduling_booking b
                      WHERE b.patient_id = e.patient_id AND b.starts_at < t.ends_at
                        AND b.starts_at > t.starts_at - interval '1 day' AND b.ends_at > t.starts_at
                        AND (b.status NOT IN ('cancelled', 'noshow')
                             OR (b.session_id = e.session_id AND b.starts_at = t.starts_at
                                 AND b.practitioner_id = t.practitioner_id)))
      AND NOT EXISTS (SELECT FROM scheduling_hold h
                      WHERE h.patient_id = e.patient_id AND h.kind = 'offer' AND h.ended_at IS NULL
                        AND h.starts_at < t.ends_at AND h.ends_at > t.starts_at)
), scored AS (
    SELECT f.*, (SELECT count(*) FROM scheduling_bookingpattern p, LATERAL (SELECT f.*) e, LATERAL (SELECT f.*) t
                 WHERE p.request_id = f.request_id AND NOT p.is_hard AND {HOLDS}) AS score
    FROM fitting f
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY entry_id ORDER BY score DESC, starts_at, slot_id) AS rank FROM scored
)
SELECT entry_id, slot_id, score
FROM ranked WHERE rank <= {STARTS_FOR_EACH}
ORDER BY {", ".join(PRIORITY)}, score DESC, {", ".join(PATIENCE)}, starts_at, slot_id LIMIT {LIMIT}
"""  # noqa: S608  (constants)


def in_order(entries: QuerySet[WaitlistEntry]) -> QuerySet[WaitlistEntry]:
    """As they will be offered a time that suits all of them alike."""
    is_contract = Q(session__request__source=BookingRequest.Source.CONTRACT)
    return entries.annotate(is_contract=ExpressionWrapper(is_contract, BooleanField())).order_by(*ORDER)


def chances(freed: Freed) -> list[Chance]:
    """Waiting entries with free times that touch the freed stretch and fit; those to be offered first at the front."""
    clinic = Clinic.objects.get(pk=freed.clinic_id)
    if not clinic.is_active:
        return []
    starts = [(service, start) for service in _waited_for(freed) for start in _starts(service, freed)]
    return match(clinic, starts) if starts else []


def match(clinic: Clinic, starts: Sequence[tuple[Service, search.Start]]) -> list[Chance]:
    """Of the entries that wait for these services at these starts."""
    asked: dict[str, Any] = {
        "clinic": clinic.pk,
        "zone": clinic.time_zone,
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


def _waited_for(freed: Freed) -> list[Service]:
    with connection.cursor() as cursor:
        cursor.execute(SERVICES, {"practitioner": freed.practitioner_id})
        ids = [row[0] for row in cursor.fetchall()]
    kinds = Station.objects.filter(clinic=freed.clinic_id).values("kind")
    return list(Service.objects.filter(pk__in=ids, station_kind__in=kinds)) if ids else []


def _starts(service: Service, freed: Freed) -> list[search.Start]:
    """What is freed may be any part of a visit."""
    first = freed.first - service.occupied + dt.timedelta(microseconds=1)
    found = search.free_starts(service=service, clinics=[freed.clinic_id], first=first, until=freed.until)
    return [start for start in found if freed.practitioner_id in (None, start.practitioner_id)]
