"""The batch dataset: the whole grid of one clinic or of several, slots and bookings, as JSON text made by one query."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import connection

from clinic_booking.audit.reads import saw
from scheduling.models import Clinic

# Slots as arrays by column for each practitioner; bookings by clinic and time, not joined from slots: one that was
# added to a taken time has none. Times are wall-clock minutes from the first day's midnight at the clinic, so that
# the browser needs no time zone; what happened (arrived, called, started) is in ms of the epoch.
DATASET = """
SELECT json_build_object(
    'now', (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    'from', %(from)s::text, 'days', %(days)s::int,
    'clinics', json_agg(json_build_object(
        'slug', c.slug, 'name', c.name, 'zone', c.time_zone,
        'stations', (SELECT coalesce(json_agg(json_build_object('id', t.id, 'name', t.name) ORDER BY t.name), '[]')
                     FROM scheduling_station t WHERE t.clinic_id = c.id),
        'columns', coalesce(grid.columns, '[]'),
        'bookings', coalesce(visits.bookings, '[]')) ORDER BY asked.n))::text, string_agg(visits.people, ',')
FROM unnest(%(clinics)s::bigint[], %(first)s::timestamptz[], %(until)s::timestamptz[])
    WITH ORDINALITY AS asked(clinic_id, first, until, n)
JOIN scheduling_clinic c ON c.id = asked.clinic_id
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_object('id', p.id, 'name', p.name, 'specialty', p.specialty, 'slots', s.slots)
                    ORDER BY p.name, p.id) AS columns
    FROM (
        SELECT practitioner_id, json_build_object(
            'id', array_agg(id ORDER BY starts_at), 'version', array_agg(version ORDER BY starts_at),
            'status', array_agg(CASE WHEN held_until > clock_timestamp() THEN 'held' ELSE status END
                                ORDER BY starts_at),
            'start', array_agg((extract(epoch FROM (starts_at AT TIME ZONE c.time_zone) - %(midnight)s) / 60)::int
                               ORDER BY starts_at),
            'end', array_agg((extract(epoch FROM (ends_at AT TIME ZONE c.time_zone) - %(midnight)s) / 60)::int
                             ORDER BY starts_at),
            'held_until', array_agg((extract(epoch FROM held_until) * 1000)::bigint ORDER BY starts_at),
            'station', array_agg(station_id ORDER BY starts_at)) AS slots
        FROM scheduling_slot
        WHERE clinic_id = asked.clinic_id AND starts_at >= asked.first AND starts_at < asked.until
          AND (%(practitioner)s::bigint IS NULL OR practitioner_id = %(practitioner)s)
        GROUP BY practitioner_id) s
    JOIN scheduling_practitioner p ON p.id = s.practitioner_id) grid
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_object(
        'ref', b.reference, 'practitioner', b.practitioner_id, 'practitioner_name', p.name, 'station', b.station_id,
        'status', b.status, 'version', b.version,
        'start', (extract(epoch FROM (b.starts_at AT TIME ZONE c.time_zone) - %(midnight)s) / 60)::int,
        'end', (extract(epoch FROM (b.ends_at AT TIME ZONE c.time_zone) - %(midnight)s) / 60)::int,
        'patient', a.name, 'service', b.service_id, 'service_name', v.name,
        'buffer', v.buffer_minutes,
        'arrived', (extract(epoch FROM b.arrived_at) * 1000)::bigint,
        'called', (extract(epoch FROM b.called_at) * 1000)::bigint,
        'started', (extract(epoch FROM b.started_at) * 1000)::bigint,
        'confirmed', coalesce(b.confirmed_version = b.version, false),
        'overbooked', o.id IS NOT NULL) ORDER BY b.starts_at, b.id) AS bookings,
        string_agg(DISTINCT b.patient_id::text, ',') AS people
    FROM scheduling_booking b JOIN patients_patient a ON a.id = b.patient_id
    JOIN scheduling_service v ON v.id = b.service_id
    JOIN scheduling_practitioner p ON p.id = b.practitioner_id
    LEFT JOIN scheduling_overbooking o ON o.booking_id = b.id AND o.ended_at IS NULL
    WHERE b.clinic_id = asked.clinic_id AND b.starts_at >= asked.first AND b.starts_at < asked.until
      AND b.status NOT IN ('cancelled', 'noshow')
      AND (%(practitioner)s::bigint IS NULL OR b.practitioner_id = %(practitioner)s)) visits
"""


def dataset(*, clinics: Sequence[Clinic], first: dt.date, days: int, practitioner: int | None = None) -> str:
    """`{"now": ms, "from": date, "days": n, "clinics": [{"columns": […], "bookings": […], …}]}`, in the given order.

    For staff of all these clinics: it names patients. A day is each clinic's own.
    """
    bounds = [clinic.day_bounds(first, days) for clinic in clinics]
    params: dict[str, Any] = {
        "clinics": [clinic.pk for clinic in clinics],
        "first": [start for start, _ in bounds],
        "until": [until for _, until in bounds],
        "midnight": dt.datetime.combine(first, dt.time()),
        "from": first.isoformat(),
        "days": days,
        "practitioner": practitioner,
    }
    with connection.cursor() as cursor:
        cursor.execute(DATASET, params)
        text: str
        text, people = cursor.fetchone()
    saw(int(pk) for pk in (people or "").split(",") if pk)
    return text
