"""What can be booked: start times where enough consecutive slots of one practitioner and station are free."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection

from scheduling.models import Booking, Clinic, Service

# Each rule on what can be booked is one predicate, of which searches are made. `explain.py` asks the same ones apart.
AHEAD = "s.starts_at > clock_timestamp()"
HELD = "(s.held_until > clock_timestamp()) IS TRUE"
FREE = "booking_id IS NULL AND NOT is_blocked AND NOT held"
RIGHT_STATION = (
    "EXISTS (SELECT FROM scheduling_station t WHERE t.id = d.station_id AND t.kind = v.station_kind)"
)
DELIVERED = """EXISTS (SELECT FROM scheduling_service_practitioners o
                  WHERE o.service_id = v.id AND o.practitioner_id = d.practitioner_id)"""
JOINED = "filled = reaches - starts_at"
LONG_ENOUGH = "reaches >= starts_at + occupied"
# A unit of each kind of equipment that the service needs is free from the start for as long as it occupies the station.
LACKING = """SELECT needed FROM unnest((SELECT equipment_kinds FROM service)) needed WHERE NOT EXISTS (
    SELECT FROM scheduling_equipment e, generate_series(1, e.units) n
    WHERE e.clinic_id = reach.clinic_id AND e.kind = needed AND NOT EXISTS (
        SELECT FROM scheduling_equipmentreservation r WHERE r.equipment_id = e.id AND r.unit = n
            AND r.starts_at < reach.starts_at + reach.occupied AND r.ends_at > reach.starts_at
            AND (r.held_until IS NULL OR r.held_until > clock_timestamp())))"""
EQUIPPED = f"NOT EXISTS ({LACKING})"

# One window over a practitioner's slots from a start for as long as the service occupies them: a start is bookable
# where they join without a gap, reach far enough and are all free. Every search selects from `starts`. A visit that
# begins before `until` may end after it.
SERVICE = """service AS MATERIALIZED (
    SELECT id, station_kind, equipment_kinds, make_interval(mins => duration_minutes + buffer_minutes) AS occupied
    FROM scheduling_service WHERE id = %(service)s
)"""
STARTS = f"""
WITH {SERVICE}, day AS MATERIALIZED (
    SELECT s.*, {HELD} AS held FROM scheduling_slot s
    WHERE s.clinic_id = ANY(%(clinics)s) AND s.starts_at >= %(first)s
      AND s.starts_at < %(until)s + %(occupied)s::interval AND {AHEAD}
), offered AS MATERIALIZED (  -- looked up by practitioner: a service may have thousands elsewhere
    SELECT d.practitioner_id, d.station_id FROM (SELECT DISTINCT practitioner_id, station_id FROM day) d, service v
    WHERE {RIGHT_STATION}
      AND {DELIVERED}
), slots AS (
    SELECT day.*, v.occupied, {FREE} AS free
    FROM day JOIN offered USING (practitioner_id, station_id), service v
), reach AS (
    SELECT *, bool_and(free) OVER visit AS all_free, bool_and(free OR held) OVER visit AS all_free_in_time,
           max(held_until) FILTER (WHERE held) OVER visit AS last_held_until, array_agg(id) OVER visit AS covers,
           max(ends_at) OVER visit AS reaches, sum(ends_at - starts_at) OVER visit AS filled
    FROM slots
    WINDOW visit AS (PARTITION BY practitioner_id, station_id ORDER BY starts_at
                     RANGE BETWEEN CURRENT ROW AND %(occupied)s::interval - interval '1 microsecond' FOLLOWING)
), starts AS (
    SELECT *, all_free AND equipped AS bookable, all_free_in_time AND equipped AS free_in_time FROM (
        SELECT reach.*, NOT all_free_in_time OR {EQUIPPED} AS equipped
        FROM reach
        WHERE {JOINED} AND {LONG_ENOUGH} AND starts_at < %(until)s) r
)
"""  # noqa: S608  (constants)
# Planning the look at equipment costs as much as all the rest, and few services need any.
STARTS_WITHOUT_EQUIPMENT = STARTS.replace(EQUIPPED, "true")


class Time(NamedTuple):
    slot_id: int
    starts_at: dt.datetime
    status: str  # available; held where it will be free, were all holds to run out; booked
    held_until: dt.datetime | None  # the last of those holds
    version: int
    covers: list[int]


class PractitionerDay(NamedTuple):
    practitioner_id: int
    name: str
    specialty: str
    clinic_id: int
    station: str
    times: list[Time]


class Start(NamedTuple):
    slot_id: int
    starts_at: dt.datetime
    practitioner_id: int
    station_id: int
    clinic_id: int


class FreeTime(NamedTuple):
    slot_id: int
    starts_at: dt.datetime
    practitioner_name: str
    clinic_id: int


def _rows(
    select: str, service: Service, clinics: Iterable[int], first: dt.datetime, until: dt.datetime, **more: Any
) -> Any:
    params: dict[str, Any] = {"service": service.pk, "clinics": list(clinics), "first": first, "until": until}
    with connection.cursor() as cursor:
        starts = STARTS if service.equipment_kinds else STARTS_WITHOUT_EQUIPMENT
        cursor.execute(starts + select, params | {"occupied": service.occupied} | more)
        return cursor.fetchall()


def day_counts(
    *, service: Service, clinics: Sequence[Clinic], first: dt.date, days: int
) -> dict[dt.date, int]:
    """How many bookable starts each day of the clinics has; days without any are 0."""
    counts = {first + dt.timedelta(n): 0 for n in range(days)}
    for clinic in clinics:
        start, until = clinic.day_bounds(first, days)
        select = (
            "SELECT (starts_at AT TIME ZONE %(zone)s)::date, count(*) FROM starts WHERE bookable GROUP BY 1"
        )
        for day, count in _rows(select, service, [clinic.pk], start, until, zone=clinic.time_zone):
            counts[day] += count
    return counts


def day_times(*, service: Service, clinics: Sequence[Clinic], day: dt.date) -> list[PractitionerDay]:
    """Every start of the day that lies ahead, taken ones too, by clinic and practitioner."""
    found: list[PractitionerDay] = []
    select = """
        SELECT p.id, p.name, p.specialty, starts.clinic_id, t.name, starts.id, starts_at,
               CASE WHEN bookable THEN 'available' WHEN free_in_time THEN 'held' ELSE 'booked' END,
               CASE WHEN free_in_time AND NOT bookable THEN last_held_until END, version, covers
        FROM starts JOIN scheduling_practitioner p ON p.id = practitioner_id
        JOIN scheduling_station t ON t.id = station_id
        ORDER BY p.name, p.id, t.id, starts_at
    """
    for clinic in clinics:
        start, until = clinic.day_bounds(day)
        for row in _rows(select, service, [clinic.pk], start, until):
            who, time = row[:5], Time._make(row[5:])
            if not found or found[-1][:5] != who:
                found.append(PractitionerDay._make([*who, []]))
            found[-1].times.append(time)
    return found


def nearest_free(
    *, service_id: int, clinic_ids: Iterable[int], around: dt.datetime, limit: int = 6, days: int = 14
) -> list[FreeTime]:
    """The free starts closest to the instant, from a day before to so many after it."""
    service = Service.objects.get(pk=service_id)
    select = """
        SELECT starts.id, starts_at, p.name, starts.clinic_id
        FROM starts JOIN scheduling_practitioner p ON p.id = practitioner_id
        WHERE bookable ORDER BY abs(extract(epoch FROM starts_at - %(around)s)), starts_at, p.name LIMIT %(limit)s
    """
    first, until = around - dt.timedelta(days=1), around + dt.timedelta(days)
    rows = _rows(select, service, clinic_ids, first, until, around=around, limit=limit)
    return sorted((FreeTime._make(row) for row in rows), key=lambda free: free.starts_at)


def free_starts(
    *, service: Service, clinics: Iterable[int], first: dt.datetime, until: dt.datetime
) -> list[Start]:
    """Every bookable start of a period at these clinics, in order of time."""
    select = """
        SELECT starts.id, starts_at, practitioner_id, station_id, clinic_id FROM starts
        WHERE bookable ORDER BY starts_at, starts.id
    """
    return [Start._make(row) for row in _rows(select, service, clinics, first, until)]


# For visits that leave their times for others: what they have now counts as free, their patient must not be elsewhere.
# A visit keeps its length, whatever became of the service since.
LEAVING = (
    (FREE, "(booking_id IS NULL OR booking_id = ANY(%(leaving)s)) AND NOT is_blocked AND NOT held"),
    (
        "make_interval(mins => duration_minutes + buffer_minutes) AS occupied",
        "%(occupied)s::interval AS occupied",
    ),
    ("r.equipment_id = e.id", "r.equipment_id = e.id AND (r.booking_id = ANY(%(leaving)s)) IS NOT TRUE"),
)
ELSEWHERE = """EXISTS (SELECT FROM scheduling_booking b WHERE b.patient_id = %(patient)s
    AND b.status NOT IN ('cancelled', 'noshow') AND NOT b.id = ANY(%(leaving)s)
    AND b.starts_at < starts.starts_at + %(length)s AND b.ends_at > starts.starts_at)"""


def new_starts(
    *, booking: Booking, clinics: Iterable[int], first: dt.datetime, until: dt.datetime
) -> list[Start]:
    """Where the booking can be moved to in a period, in order of time; its own place is among them."""
    length = booking.ends_at - booking.starts_at
    select = f"""
        SELECT starts.id, starts_at, practitioner_id, station_id, clinic_id FROM starts
        WHERE bookable AND NOT {ELSEWHERE} ORDER BY starts_at, starts.id
    """  # noqa: S608
    starts = STARTS if booking.service.equipment_kinds else STARTS_WITHOUT_EQUIPMENT
    for usual, leaving in LEAVING:
        starts = starts.replace(usual, leaving)
    params: dict[str, Any] = {
        "service": booking.service_id,
        "clinics": list(clinics),
        "first": first,
        "until": until,
        "occupied": length + dt.timedelta(minutes=booking.service.buffer_minutes),
        "length": length,
        "patient": booking.patient_id,
        "leaving": [booking.pk],
    }
    with connection.cursor() as cursor:
        cursor.execute(starts + select, params)
        return [Start._make(row) for row in cursor.fetchall()]
