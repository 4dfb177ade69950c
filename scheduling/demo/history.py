"""The weeks before the demo: each is the coming week once more, less full the longer ago, with what the staff did.

Written in sets, without jobs: nobody is mailed about the past. The figures are invented, as the patients are.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from clinic_booking.models import User
from scheduling.demo.staff import username
from scheduling.models import Booking, Clinic

WEEKS = 13

SLOTS = """
INSERT INTO scheduling_slot (clinic_id, practitioner_id, station_id, starts_at, ends_at, is_blocked, block_reason)
SELECT s.clinic_id, s.practitioner_id, s.station_id, s.starts_at - k * interval '7 days',
    s.ends_at - k * interval '7 days', false, ''
FROM scheduling_slot s, generate_series(1, %(weeks)s) AS k
WHERE s.clinic_id = ANY(%(clinics)s) AND s.starts_at >= %(first)s AND s.starts_at < %(until)s
ON CONFLICT DO NOTHING
"""
# `luck` and `fate` are even numbers from 0 to 1, the same on each run.
COPIES = """
CREATE TEMP TABLE copied ON COMMIT DROP AS
SELECT *, CASE WHEN fate < 0.05 THEN 'noshow' WHEN fate < 0.11 THEN 'cancelled' ELSE 'fulfilled' END AS status,
    CASE WHEN luck < 0.30 + 0.016 * (13 - k) THEN 'online' WHEN luck < 0.56 + 0.012 * (13 - k) THEN 'contract'
        WHEN luck < 0.62 + 0.012 * (13 - k) THEN 'waitlist' WHEN luck < 0.67 + 0.012 * (13 - k) THEN 'walk_in'
        ELSE 'desk' END AS source,
    nextval('scheduling_bookingrequest_id_seq') AS request_id, nextval('scheduling_sessionticket_id_seq') AS session_id,
    nextval('scheduling_booking_id_seq') AS new_id
FROM (
    SELECT b.id, b.reference, b.patient_id, b.service_id, b.clinic_id, b.practitioner_id, b.station_id, b.price_cents, k,
        b.starts_at - k * interval '7 days' AS starts_at, b.ends_at - k * interval '7 days' AS ends_at,
        ((b.starts_at - k * interval '7 days') AT TIME ZONE c.time_zone)::date AS day,
        abs(hashtext(b.reference || k)) %% 1000 / 1000.0 AS luck,
        abs(hashtext(k || b.reference)) %% 1000 / 1000.0 AS fate
    FROM scheduling_booking b JOIN scheduling_clinic c ON c.id = b.clinic_id, generate_series(1, %(weeks)s) AS k
    WHERE b.clinic_id = ANY(%(clinics)s) AND b.starts_at >= %(first)s AND b.starts_at < %(until)s
        AND b.hold_id IS NULL AND b.status <> 'cancelled'
        AND EXISTS (SELECT FROM scheduling_slot s WHERE s.booking_id = b.id)
) made WHERE abs(hashtext('kept' || reference || k)) %% 100 < 95 - 2 * k
    AND NOT EXISTS (SELECT FROM scheduling_booking o WHERE o.patient_id = made.patient_id
        AND o.starts_at < made.ends_at AND o.ends_at > made.starts_at)
    AND NOT EXISTS (SELECT FROM scheduling_slot o WHERE o.practitioner_id = made.practitioner_id
        AND o.booking_id IS NOT NULL AND o.starts_at < made.ends_at AND o.ends_at > made.starts_at)
"""
STATEMENTS = [
    """INSERT INTO scheduling_bookingrequest (id, patient_id, service_id, source, quantity)
    SELECT request_id, patient_id, service_id, source, 1 FROM copied""",
    """INSERT INTO scheduling_sessionticket (id, request_id, number, status)
    SELECT session_id, request_id, 1,
        CASE status WHEN 'fulfilled' THEN 'completed' WHEN 'noshow' THEN 'forfeited' ELSE 'cancelled' END FROM copied""",
    """INSERT INTO scheduling_visitticket (patient_id, clinic_id, date, number, arrived_at)
    SELECT patient_id, clinic_id, day,
        row_number() OVER (PARTITION BY clinic_id, day ORDER BY min(starts_at), patient_id),
        min(starts_at) - interval '6 minutes'
    FROM copied WHERE status = 'fulfilled' GROUP BY 1, 2, 3
    ON CONFLICT DO NOTHING""",
    """INSERT INTO scheduling_visitticket (patient_id, clinic_id, date)
    SELECT DISTINCT patient_id, clinic_id, day FROM copied
    ON CONFLICT DO NOTHING""",
    """INSERT INTO scheduling_booking (id, reference, patient_id, service_id, session_id, visit_id, clinic_id,
        practitioner_id, station_id, starts_at, ends_at, price_cents, note, status, created_at, cancelled_at,
        cancel_reason, arrived_at, called_at, started_at, finished_at)
    SELECT c.new_id, left(c.reference, 8) || to_hex(c.k), c.patient_id, c.service_id, c.session_id, v.id, c.clinic_id,
        c.practitioner_id, c.station_id, c.starts_at, c.ends_at, c.price_cents, '', c.status,
        c.starts_at - CASE c.source WHEN 'walk_in' THEN interval '10 minutes' ELSE luck * fate * interval '30 days' END
            - interval '10 minutes',
        CASE c.status WHEN 'cancelled' THEN c.starts_at - interval '9 minutes' END,
        CASE c.status WHEN 'cancelled' THEN 'patient' ELSE '' END, d.arrived_at, d.called_at, d.started_at,
        d.started_at + (c.ends_at - c.starts_at) * (0.75 + 0.45 * luck)
    FROM copied c JOIN scheduling_visitticket v
        ON (v.patient_id, v.clinic_id, v.date) = (c.patient_id, c.clinic_id, c.day)
    LEFT JOIN LATERAL (SELECT c.starts_at - (4 + 12 * fate) * interval '1 minute' AS arrived_at,
        c.starts_at + 9 * luck * interval '1 minute' AS called_at,
        c.starts_at + (1 + 9 * luck) * interval '1 minute' AS started_at) d ON c.status = 'fulfilled'
    ORDER BY c.patient_id, c.starts_at""",
    # Who called off did so minutes before.
    """UPDATE scheduling_booking b SET fee_cents =
        CASE b.status WHEN 'cancelled' THEN b.late_cancel_fee_cents ELSE b.no_show_fee_cents END
    FROM copied c WHERE b.id = c.new_id AND b.status IN ('cancelled', 'noshow')""",
    """UPDATE scheduling_slot s SET booking_id = c.new_id FROM copied c, scheduling_slot of_week
    WHERE of_week.booking_id = c.id AND s.practitioner_id = of_week.practitioner_id AND s.station_id = of_week.station_id
        AND s.starts_at = of_week.starts_at - c.k * interval '7 days' AND c.status = 'fulfilled'""",
    # What was done, and by whom: the desk moves every fifth, every other cancelled visit was called off by telephone.
    """INSERT INTO clinic_booking_event (topic, version, subject, clinic_id, data, created_at)
    SELECT topic, 1, 'booking:' || c.new_id, c.clinic_id,
        jsonb_build_object('booking', c.new_id, 'reference', b.reference, 'version', 1)
            || CASE WHEN acted THEN jsonb_build_object('by', %(by)s::bigint) ELSE '{}' END, happened_at
    FROM copied c JOIN scheduling_booking b ON b.id = c.new_id, LATERAL (VALUES
        ('appointment.booked', c.source IN ('desk', 'walk_in'), b.created_at, true),
        ('appointment.moved', true, b.created_at + (c.starts_at - b.created_at) / 2, c.luck * 100 %% 5 < 1),
        ('appointment.cancelled', c.luck * 100 %% 2 < 1, b.cancelled_at, c.status = 'cancelled'),
        ('appointment.arrived', true, b.arrived_at, c.status = 'fulfilled'),
        ('appointment.called', true, b.called_at, c.status = 'fulfilled'),
        ('appointment.started', true, b.started_at, c.status = 'fulfilled'),
        ('appointment.fulfilled', true, b.finished_at, c.status = 'fulfilled'),
        ('appointment.noshow', true, b.ends_at, c.status = 'noshow')) AS e(topic, acted, happened_at, so)
    WHERE so ORDER BY happened_at""",
    """INSERT INTO clinic_booking_event (topic, version, subject, clinic_id, data, created_at)
    SELECT 'appointment.booked', 1, 'booking:' || b.id, b.clinic_id,
        jsonb_build_object('booking', b.id, 'reference', b.reference, 'version', 1, 'by', %(by)s::bigint), b.created_at
    FROM scheduling_booking b JOIN scheduling_sessionticket t ON t.id = b.session_id
    JOIN scheduling_bookingrequest r ON r.id = t.request_id
    WHERE b.clinic_id = ANY(%(clinics)s) AND b.starts_at >= %(first)s AND r.source = 'desk'
        AND NOT EXISTS (SELECT FROM clinic_booking_event e WHERE e.subject = 'booking:' || b.id)
    ORDER BY b.created_at""",
    # Three blocks and two acts on the waitlist a day.
    """INSERT INTO clinic_booking_event (topic, version, subject, clinic_id, data, created_at)
    SELECT topic, 1, 'clinic:' || clinic, clinic, jsonb_build_object('by', %(by)s::bigint),
        %(first)s::timestamptz - day * interval '1 day' + hour * interval '1 hour'
    FROM unnest(%(clinics)s::bigint[]) AS clinic, generate_series(1, 7 * %(weeks)s) AS day, (VALUES
        ('slots.changed', 9), ('slots.changed', 12), ('slots.changed', 16), ('waitlist.steered', 10),
        ('waitlist.offered', 15)) AS act(topic, hour)""",
]


def make_history(clinics: Sequence[Clinic]) -> int:
    """Once: a demo that has a past keeps it. Returns how many visits there were."""
    first, until = clinics[0].day_bounds(clinics[0].today(), 7)
    params: dict[str, Any] = {
        "clinics": [c.pk for c in clinics],
        "first": first,
        "until": until,
        "weeks": WEEKS,
    }
    params["by"] = User.objects.get(username=username("receptionist")).pk
    month_ago = clinics[0].day_bounds(clinics[0].today())[0] - (until - first) * 4
    if Booking.objects.filter(clinic__in=clinics, starts_at__lt=month_ago).exists():
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SLOTS, params)
        cursor.execute(COPIES, params)
        for statement in STATEMENTS:
            cursor.execute(statement, params if "%(" in statement else None)
        cursor.execute("SELECT count(*) FROM copied")
        made: int = cursor.fetchone()[0]
    return made
