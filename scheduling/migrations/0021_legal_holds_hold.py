from django.db import migrations

IN_FORCE = """h.refused_at IS NULL AND h.lifted_at IS NULL AND h.from_at <= clock_timestamp()
        AND (h.until_at IS NULL OR h.until_at > clock_timestamp())
        AND (h.is_automatic OR h.confirmed_at IS NOT NULL OR h.asked_at > clock_timestamp() - interval '7 days')"""
HEAD = """
CREATE OR REPLACE FUNCTION held_patients() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
"""
OF_PATIENTS = f"""
    SELECT h.patient_id FROM patients_legalhold h WHERE h.patient_id IS NOT NULL AND {IN_FORCE}
"""
OF_PERIODS = f"""
    UNION
    SELECT b.patient_id FROM patients_legalhold h
    JOIN scheduling_booking b ON b.starts_at >= h.period_from::timestamp AT TIME ZONE 'UTC' - interval '1 day'
        AND b.starts_at < h.period_until::timestamp AT TIME ZONE 'UTC' + interval '2 days'
        AND (h.clinic_id IS NULL OR h.clinic_id = b.clinic_id)
    JOIN scheduling_clinic c ON c.id = b.clinic_id
        AND (b.starts_at AT TIME ZONE c.time_zone)::date BETWEEN h.period_from AND h.period_until
    WHERE h.scope = 'period' AND {IN_FORCE}
"""

PATIENT = "($1).patient_id"
BY_REQUEST = "(SELECT patient_id FROM scheduling_bookingrequest WHERE id = ($1).request_id)"
BY_SESSION = (
    "(SELECT r.patient_id FROM scheduling_sessionticket s JOIN scheduling_bookingrequest r ON r.id = s.request_id"
    " WHERE s.id = ($1).session_id)"
)
BY_BOOKING = "(SELECT patient_id FROM scheduling_booking WHERE id = ($1).booking_id)"
DELETE = {
    "bookingrequest": PATIENT,
    "sessionticket": BY_REQUEST,
    "hold": PATIENT,
    "visitticket": PATIENT,
    "booking": PATIENT,
    "waitlistentry": BY_SESSION,
    "walkin": BY_SESSION,
    "desknote": BY_BOOKING,
    "overbooking": BY_BOOKING,
}
TEXTS = {"booking": (PATIENT, "note"), "desknote": (BY_BOOKING, "text")}


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0020_sealed_notes"), ("patients", "0008_legal_holds_hold")]

    operations = [
        migrations.RunSQL(f"{HEAD}{OF_PATIENTS}{OF_PERIODS}$$;", f"{HEAD}{OF_PATIENTS}$$;"),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_delete BEFORE DELETE ON scheduling_{table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_delete_while_held('{whose}');",
                f"DROP TRIGGER held_delete ON scheduling_{table};",
            )
            for table, whose in DELETE.items()
        ),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_removal BEFORE UPDATE ON scheduling_{table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_removal_while_held('{whose}', '{text}');",
                f"DROP TRIGGER held_removal ON scheduling_{table};",
            )
            for table, (whose, text) in TEXTS.items()
        ),
    ]
