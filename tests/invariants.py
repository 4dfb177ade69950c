"""What design §3–4 promises about holds and bookings, each as a query for the rows that break it."""

from django.db import connection

LIVE = "b.status IN ('booked', 'arrived', 'fulfilled')"

BROKEN = {
    "a live booking has exactly its slots, without a gap": f"""
        SELECT b.id FROM scheduling_booking b JOIN scheduling_service v ON v.id = b.service_id
        LEFT JOIN scheduling_slot s ON s.booking_id = b.id WHERE {LIVE} AND NOT EXISTS (
            SELECT FROM scheduling_overbooking o WHERE o.booking_id = b.id AND o.ended_at IS NULL)
        GROUP BY b.id, v.id HAVING min(s.starts_at) IS DISTINCT FROM b.starts_at
            OR sum(s.ends_at - s.starts_at) IS DISTINCT FROM max(s.ends_at) - b.starts_at
            OR b.ends_at <> b.starts_at + make_interval(mins => v.duration_minutes)
            OR max(s.ends_at) < b.starts_at + make_interval(mins => v.duration_minutes + v.buffer_minutes)
            OR max(s.starts_at) >= b.starts_at + make_interval(mins => v.duration_minutes + v.buffer_minutes)
            OR bool_or((s.clinic_id, s.practitioner_id, s.station_id)
                       IS DISTINCT FROM (b.clinic_id, b.practitioner_id, b.station_id))""",
    "an ended booking keeps no slot": f"""
        SELECT s.id FROM scheduling_slot s JOIN scheduling_booking b ON b.id = s.booking_id WHERE NOT ({LIVE})""",
    "a live hold has exactly its slots, without a gap": """
        SELECT h.id FROM scheduling_hold h LEFT JOIN scheduling_slot s
            ON s.hold_id = h.id AND s.held_until = h.expires_at
            AND s.practitioner_id = h.practitioner_id AND s.station_id = h.station_id
        WHERE h.ended_at IS NULL AND h.expires_at > clock_timestamp() + interval '1 second'
        GROUP BY h.id HAVING min(s.starts_at) IS DISTINCT FROM h.starts_at
            OR sum(s.ends_at - s.starts_at) IS DISTINCT FROM max(s.ends_at) - h.starts_at
            OR max(s.ends_at) < h.occupied_until OR max(s.starts_at) >= h.occupied_until""",
    "an ended hold keeps no slot for itself": """
        SELECT s.id FROM scheduling_slot s JOIN scheduling_hold h ON h.id = s.hold_id
        WHERE h.ended_at IS NOT NULL AND s.held_until > clock_timestamp()""",
    "a confirmed hold has one booking, any other none": """
        SELECT h.id FROM scheduling_hold h LEFT JOIN scheduling_booking b ON b.hold_id = h.id
        WHERE (h.end_reason = 'confirmed') <> (b.id IS NOT NULL)""",
    "a session says what its booking says": """
        SELECT b.id FROM scheduling_booking b JOIN scheduling_sessionticket t ON t.id = b.session_id
        JOIN scheduling_bookingrequest r ON r.id = t.request_id
        WHERE r.patient_id <> b.patient_id OR r.service_id <> b.service_id OR t.status <> CASE b.status
            WHEN 'fulfilled' THEN 'completed' WHEN 'cancelled' THEN 'cancelled' WHEN 'noshow' THEN 'forfeited'
            ELSE 'scheduled' END
            -- one of a contract may be planned and booked again
            AND NOT (r.source = 'contract' AND b.status IN ('cancelled', 'noshow'))""",
    "a visit is one day of the patient at the clinic": """
        SELECT b.id FROM scheduling_booking b JOIN scheduling_visitticket t ON t.id = b.visit_id
        JOIN scheduling_clinic c ON c.id = b.clinic_id
        WHERE (t.patient_id, t.clinic_id, t.date)
              <> (b.patient_id, b.clinic_id, (b.starts_at AT TIME ZONE c.time_zone)::date)""",
    "a patient is in one place": """
        SELECT b.id FROM scheduling_booking b JOIN scheduling_booking o ON o.patient_id = b.patient_id AND o.id > b.id
        WHERE b.status NOT IN ('cancelled', 'noshow') AND o.status NOT IN ('cancelled', 'noshow')
            AND tstzrange(b.starts_at, b.ends_at) && tstzrange(o.starts_at, o.ends_at)""",
    "queue numbers of a day follow each other": """
        SELECT min(id) AS id FROM scheduling_visitticket WHERE number IS NOT NULL
        GROUP BY clinic_id, date HAVING max(number) <> count(*)""",
    "the times of a visit follow each other": """
        SELECT id FROM scheduling_booking WHERE NOT (
            coalesce(arrived_at, '-infinity') <= coalesce(called_at, started_at, finished_at, 'infinity')
            AND coalesce(called_at, '-infinity') <= coalesce(started_at, finished_at, 'infinity')
            AND coalesce(started_at, '-infinity') <= coalesce(finished_at, 'infinity'))""",
    "a walk-in waits, was served or left": """
        SELECT w.id FROM scheduling_walkin w JOIN scheduling_sessionticket t ON t.id = w.session_id
        LEFT JOIN scheduling_booking b ON b.id = w.booking_id
        WHERE (w.booking_id IS NULL AND t.status <> CASE WHEN w.left_at IS NULL THEN 'planned' ELSE 'cancelled' END)
            OR b.session_id <> w.session_id""",
    "an overbooking that stands claims no time": """
        SELECT o.id FROM scheduling_overbooking o JOIN scheduling_booking b ON b.id = o.booking_id
        WHERE o.ended_at IS NULL AND (b.status = 'cancelled'
            OR EXISTS (SELECT FROM scheduling_slot s WHERE s.booking_id = b.id))""",
    "a practitioner and a station are in one place": """
        SELECT s.id FROM scheduling_slot s JOIN scheduling_slot o ON o.id > s.id
            AND (o.practitioner_id = s.practitioner_id OR o.station_id = s.station_id)
        WHERE tstzrange(s.starts_at, s.ends_at) && tstzrange(o.starts_at, o.ends_at)""",
    "one running hold for each owner and patient": """
        SELECT h.id FROM scheduling_hold h JOIN scheduling_hold o
            ON o.id > h.id AND o.part = h.part AND (o.owner = h.owner
                OR (o.patient_id = h.patient_id AND (o.kind, h.kind) = ('checkout', 'checkout')))
        WHERE h.ended_at IS NULL AND o.ended_at IS NULL""",
    "those held together end together": """
        SELECT h.id FROM scheduling_hold h JOIN scheduling_hold l ON l.id = h.lead_id
        WHERE h.owner <> l.owner OR (h.expires_at <> l.expires_at AND l.ended_at IS NULL)
            OR (h.end_reason = 'confirmed') <> (l.end_reason = 'confirmed')""",
    "equipment is reserved for what needs it": """
        SELECT c.id FROM (
            SELECT 'booking ' || b.id AS id, b.id AS booking_id, NULL::uuid AS hold_id, b.service_id
            FROM scheduling_booking b
            WHERE b.status IN ('booked', 'arrived', 'fulfilled')
            UNION ALL SELECT 'hold ' || h.id, NULL, h.id, h.service_id FROM scheduling_hold h
            WHERE h.ended_at IS NULL AND h.expires_at > clock_timestamp() + interval '1 second') c
        JOIN scheduling_service v ON v.id = c.service_id
        WHERE cardinality(v.equipment_kinds) <> (SELECT count(*) FROM scheduling_equipmentreservation r
            WHERE r.booking_id = c.booking_id OR r.hold_id = c.hold_id)""",
    "nothing else reserves equipment": """
        SELECT r.id FROM scheduling_equipmentreservation r JOIN scheduling_equipment e ON e.id = r.equipment_id
        LEFT JOIN scheduling_booking b ON b.id = r.booking_id LEFT JOIN scheduling_hold h ON h.id = r.hold_id
        WHERE r.unit > e.units OR b.status IN ('cancelled', 'noshow') OR h.ended_at IS NOT NULL""",
    "each change of a booking has its event": """
        SELECT b.id FROM scheduling_booking b LEFT JOIN clinic_booking_event e ON e.subject = 'booking:' || b.id
        GROUP BY b.id HAVING count(*) FILTER (
            WHERE e.topic LIKE 'appointment.%' AND e.topic <> 'appointment.confirmed_by_patient') <> b.version
            OR count(*) FILTER (WHERE e.topic = 'appointment.booked') <> 1
            OR count(*) FILTER (WHERE e.topic = 'appointment.cancelled') <> (b.status = 'cancelled')::int
            OR count(*) FILTER (WHERE e.topic = 'appointment.noshow') - count(*) FILTER (
                WHERE e.topic = 'appointment.reverted' AND e.data->>'was' = 'noshow') <> (b.status = 'noshow')::int
            OR count(*) FILTER (WHERE e.topic = 'appointment.fulfilled') - count(*) FILTER (
                WHERE e.topic = 'appointment.reverted' AND e.data->>'was' = 'fulfilled')
                <> (b.status = 'fulfilled')::int""",
    "a hold that ran out is told once, no other ever": """
        SELECT h.id FROM scheduling_hold h
        LEFT JOIN clinic_booking_event e ON e.subject = 'hold:' || h.id AND e.topic = 'hold.expired'
        GROUP BY h.id HAVING count(e.id) > 1 OR (h.end_reason = 'expired' AND count(e.id) = 0)
            OR (h.end_reason IN ('', 'released') AND count(e.id) > 0)""",
}


ALL = " UNION ALL ".join(
    f"SELECT '{promise}', array_agg(id::text) FROM ({query}) broken HAVING count(*) > 0"
    for promise, query in BROKEN.items()
)


def broken() -> dict[str, list[str]]:
    """The promises that do not hold now, each with the ids of its rows. Empty when all is well."""
    with connection.cursor() as cursor:
        cursor.execute(ALL)
        return dict(cursor.fetchall())
