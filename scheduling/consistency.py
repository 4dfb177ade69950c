"""What no single row's constraint can say: queries for the rows that break it. An empty answer is the proof.

Apps to the right add their own with `register`. Each query gives the broken row's kind and id as its first column.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.apps import apps
from django.db import connection, transaction

SHOWN = 5
SUMMARY = "SELECT count(*), (array_agg(found.what))[:5] FROM ({query}) AS found(what)"

CHECKS: dict[str, str] = {
    "a live booking has exactly its slots, without a gap": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b
        LEFT JOIN scheduling_slot s ON s.booking_id = b.id
        WHERE b.status IN ('booked', 'arrived', 'fulfilled') AND NOT EXISTS (
            SELECT FROM scheduling_overbooking o WHERE o.booking_id = b.id AND o.ended_at IS NULL)
        GROUP BY b.id HAVING min(s.starts_at) IS DISTINCT FROM b.starts_at
            OR max(s.ends_at) < b.ends_at OR sum(s.ends_at - s.starts_at) <> max(s.ends_at) - min(s.starts_at)""",
    "a booked slot is of its booking's practitioner, station and clinic": """
        SELECT 'slot ' || s.id FROM scheduling_slot s JOIN scheduling_booking b ON b.id = s.booking_id
        WHERE (s.practitioner_id, s.station_id, s.clinic_id) <> (b.practitioner_id, b.station_id, b.clinic_id)""",
    "an ended booking keeps no slot": """
        SELECT 'slot ' || s.id FROM scheduling_slot s JOIN scheduling_booking b ON b.id = s.booking_id
        WHERE b.status IN ('cancelled', 'noshow')""",
    "a session says what its booking says": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b
        JOIN scheduling_sessionticket t ON t.id = b.session_id
        WHERE (b.status IN ('booked', 'arrived') AND t.status <> 'scheduled')
            OR (b.status = 'fulfilled' AND t.status <> 'completed')""",
    "a scheduled or completed session has its booking": """
        SELECT 'session ' || t.id FROM scheduling_sessionticket t WHERE t.status IN ('scheduled', 'completed')
        AND NOT EXISTS (SELECT FROM scheduling_booking b
            WHERE b.session_id = t.id AND b.status IN ('booked', 'arrived', 'fulfilled'))""",
    "a booking is of the patient and service that its session asks for": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b
        JOIN scheduling_sessionticket t ON t.id = b.session_id
        JOIN scheduling_bookingrequest r ON r.id = t.request_id
        WHERE (b.patient_id, b.service_id) <> (r.patient_id, r.service_id)""",
    "a request has as many sessions as it asks for": """
        SELECT 'request ' || r.id FROM scheduling_bookingrequest r
        LEFT JOIN scheduling_sessionticket t ON t.request_id = r.id
        GROUP BY r.id HAVING count(t.id) <> r.quantity""",
    "a visit is the patient's day at the clinic": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b
        JOIN scheduling_visitticket t ON t.id = b.visit_id JOIN scheduling_clinic c ON c.id = b.clinic_id
        WHERE (t.patient_id, t.clinic_id, t.date)
            <> (b.patient_id, b.clinic_id, (b.starts_at AT TIME ZONE c.time_zone)::date)""",
    "a live hold has exactly its slots, without a gap": """
        SELECT 'hold ' || h.id FROM scheduling_hold h LEFT JOIN scheduling_slot s ON s.hold_id = h.id
            AND (s.practitioner_id, s.station_id, s.clinic_id) = (h.practitioner_id, h.station_id, h.clinic_id)
        WHERE h.ended_at IS NULL AND h.expires_at > clock_timestamp()
        GROUP BY h.id HAVING min(s.starts_at) IS DISTINCT FROM h.starts_at
            OR max(s.ends_at) < h.occupied_until
            OR sum(s.ends_at - s.starts_at) <> max(s.ends_at) - min(s.starts_at)""",
    "what is held together is confirmed together": """
        SELECT 'hold ' || h.id FROM scheduling_hold h JOIN scheduling_hold l ON l.id = h.lead_id
        WHERE (h.end_reason = 'confirmed') <> (l.end_reason = 'confirmed')""",
    "a booking has the equipment it needs": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b JOIN scheduling_service v ON v.id = b.service_id
        WHERE b.status IN ('booked', 'arrived') AND v.equipment_kinds <> '{}' AND b.starts_at > now() AND NOT EXISTS (
            SELECT FROM scheduling_equipmentreservation r WHERE r.booking_id = b.id)""",
    "equipment is reserved within its units, for what needs it": """
        SELECT 'reservation ' || r.id FROM scheduling_equipmentreservation r
        JOIN scheduling_equipment e ON e.id = r.equipment_id LEFT JOIN scheduling_booking b ON b.id = r.booking_id
        WHERE r.unit > e.units OR b.status IN ('cancelled', 'noshow') OR b.clinic_id <> e.clinic_id""",
    "an ended hold claims nothing": """
        SELECT 'slot ' || s.id FROM scheduling_slot s JOIN scheduling_hold h ON h.id = s.hold_id
        WHERE h.ended_at IS NOT NULL AND s.held_until > clock_timestamp()""",
    "a confirmed hold has its booking, any other none": """
        SELECT 'hold ' || h.id FROM scheduling_hold h LEFT JOIN scheduling_booking b ON b.hold_id = h.id
        WHERE (h.end_reason = 'confirmed') <> (b.id IS NOT NULL)""",
    "queue numbers of a day follow each other": """
        SELECT 'clinic ' || clinic_id || ' ' || date FROM scheduling_visitticket WHERE number IS NOT NULL
        GROUP BY clinic_id, date HAVING max(number) <> count(*)""",
    "who is here has a queue number": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b JOIN scheduling_visitticket t ON t.id = b.visit_id
        WHERE b.arrived_at IS NOT NULL AND b.status IN ('arrived', 'fulfilled') AND t.number IS NULL""",
    "the times of a visit follow each other": """
        SELECT 'booking ' || reference FROM scheduling_booking WHERE arrived_at > called_at OR called_at > started_at
            OR started_at > finished_at OR arrived_at > started_at OR arrived_at > finished_at""",
    "a walk-in waits, was served or left, and so did its session": """
        SELECT 'walk-in ' || w.id FROM scheduling_walkin w JOIN scheduling_sessionticket t ON t.id = w.session_id
        LEFT JOIN scheduling_booking b ON b.id = w.booking_id
        WHERE (w.left_at IS NOT NULL AND t.status <> 'cancelled') OR b.session_id <> w.session_id
            OR (w.booking_id IS NULL AND w.left_at IS NULL AND t.status <> 'planned')""",
    "a walk-in is of its session's patient": """
        SELECT 'walk-in ' || w.id FROM scheduling_walkin w JOIN scheduling_sessionticket t ON t.id = w.session_id
        JOIN scheduling_bookingrequest r ON r.id = t.request_id JOIN scheduling_visitticket v ON v.id = w.visit_id
        WHERE r.patient_id <> v.patient_id""",
    "an overbooking that stands claims no time": """
        SELECT 'overbooking ' || o.id FROM scheduling_overbooking o JOIN scheduling_booking b ON b.id = o.booking_id
        WHERE o.ended_at IS NULL AND (b.status = 'cancelled'
            OR EXISTS (SELECT FROM scheduling_slot s WHERE s.booking_id = b.id))""",
    "a station is used in its own clinic": """
        SELECT x.what FROM (
            SELECT 'slot ' || id AS what, clinic_id, station_id FROM scheduling_slot
            UNION ALL SELECT 'booking ' || reference, clinic_id, station_id FROM scheduling_booking
            UNION ALL SELECT 'template ' || id, clinic_id, station_id FROM scheduling_scheduletemplate
            UNION ALL SELECT 'exception ' || id, clinic_id, station_id FROM scheduling_scheduleexception
                WHERE station_id IS NOT NULL AND clinic_id IS NOT NULL) x
        JOIN scheduling_station t ON t.id = x.station_id WHERE t.clinic_id <> x.clinic_id""",
}


@dataclass(frozen=True)
class Broken:
    name: str
    count: int
    examples: list[str] = field(default_factory=list)


def register(checks: dict[str, str]) -> None:
    """Called by an app when it is ready. A name says what is so when all is well."""
    CHECKS.update(checks)


def broken() -> Iterator[Broken]:
    """Every check that fails, with a few of the rows. No personal data: kinds and ids."""
    if missing := sorted(_promised() - _present()):
        yield Broken("the database has all constraints of the models", len(missing), missing[:SHOWN])
    for name, query in CHECKS.items():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10min'")
            cursor.execute(SUMMARY.format(query=query))
            count, examples = cursor.fetchone()
        if count:
            yield Broken(name, count, examples)


def _promised() -> set[str]:
    """Exclusion, check and unique constraints: somebody may have dropped one to get some data in."""
    return {
        constraint.name
        for model in apps.get_models()
        if model._meta.managed
        for constraint in model._meta.constraints
    }


def _present() -> set[str]:
    with connection.cursor() as cursor:
        # A unique constraint with a condition is an index, any other a constraint.
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE convalidated UNION ALL"
            " SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid WHERE indisunique AND indisvalid"
        )
        return {name for (name,) in cursor.fetchall()}
