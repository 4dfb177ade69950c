"""The batch dataset: a whole clinic's grid, slots and bookings, as JSON text made by one query."""

import datetime as dt
from typing import Any

from django.db import connection

from scheduling.models import Clinic

# Slots as arrays by column for each practitioner; bookings by clinic and time, not joined from slots.
# Times are wall-clock minutes from the first day's midnight, so that the browser needs no time zone.
DATASET = """
WITH slots AS (
    SELECT s.practitioner_id, s.id, s.version, s.starts_at, s.ends_at,
           CASE WHEN s.held_until > clock_timestamp() THEN 'held' ELSE s.status END AS status,
           (extract(epoch FROM s.held_until) * 1000)::bigint AS held_until, s.station_id
    FROM scheduling_slot s
    WHERE s.clinic_id = %(clinic)s AND s.starts_at >= %(first)s AND s.starts_at < %(until)s
    ORDER BY s.practitioner_id, s.starts_at
), columns AS (
    SELECT practitioner_id,
           json_build_object(
               'id', array_agg(id), 'version', array_agg(version), 'status', array_agg(status),
               'start', array_agg((extract(epoch FROM (starts_at AT TIME ZONE %(zone)s) - %(midnight)s) / 60)::int),
               'end', array_agg((extract(epoch FROM (ends_at AT TIME ZONE %(zone)s) - %(midnight)s) / 60)::int),
               'held_until', array_agg(held_until)) AS slots
    FROM slots GROUP BY practitioner_id
)
SELECT json_build_object(
    'now', (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    'from', %(from)s::text, 'days', %(days)s::int,
    'columns', coalesce((
        SELECT json_agg(json_build_object('id', p.id, 'name', p.name, 'specialty', p.specialty, 'slots', c.slots)
                        ORDER BY p.name, p.id)
        FROM columns c JOIN scheduling_practitioner p ON p.id = c.practitioner_id), '[]'),
    'bookings', coalesce((
        SELECT json_agg(json_build_object(
            'ref', b.reference, 'practitioner', b.practitioner_id, 'status', b.status, 'version', b.version,
            'start', (extract(epoch FROM (b.starts_at AT TIME ZONE %(zone)s) - %(midnight)s) / 60)::int,
            'end', (extract(epoch FROM (b.ends_at AT TIME ZONE %(zone)s) - %(midnight)s) / 60)::int,
            'patient', a.name, 'service', v.name, 'station', t.name) ORDER BY b.starts_at, b.id)
        FROM scheduling_booking b JOIN patients_patient a ON a.id = b.patient_id
        JOIN scheduling_service v ON v.id = b.service_id JOIN scheduling_station t ON t.id = b.station_id
        WHERE b.clinic_id = %(clinic)s AND b.starts_at >= %(first)s AND b.starts_at < %(until)s
          AND b.status NOT IN ('cancelled', 'noshow')), '[]')
)::text
"""


def dataset(*, clinic: Clinic, first: dt.date, days: int) -> str:
    """`{"now": ms, "from": date, "days": n, "columns": […], "bookings": […]}`. For staff: it names patients."""
    start, until = clinic.day_bounds(first, days)
    params: dict[str, Any] = {
        "clinic": clinic.pk,
        "zone": clinic.time_zone,
        "first": start,
        "until": until,
        "midnight": dt.datetime.combine(first, dt.time()),
        "from": first.isoformat(),
        "days": days,
    }
    with connection.cursor() as cursor:
        cursor.execute(DATASET, params)
        text: str = cursor.fetchone()[0]
        return text
