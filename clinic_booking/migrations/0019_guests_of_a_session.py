from django.db import migrations

# As before, and what else a guest's session knows: entries of the waitlist, and the patient it made.
ENTER = """
CREATE FUNCTION visitor_enter(who bigint, seen text[], waiting bigint[], guest bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    clinics bigint[];
    patients bigint[];
    sees_all boolean := coalesce((
        SELECT office = 'privacy_officer' OR is_superuser FROM clinic_booking_user WHERE id = who AND is_active
    ), false);
BEGIN
    SELECT array_agg(clinic_id) INTO clinics FROM scheduling_membership WHERE user_id = who;
    SELECT array_agg(id) INTO patients FROM (
        SELECT unnest(visitor_patients(who)) AS id
        UNION SELECT patient_id FROM scheduling_booking WHERE reference = ANY (seen)
        UNION SELECT r.patient_id FROM scheduling_waitlistentry e
            JOIN scheduling_sessionticket s ON s.id = e.session_id
            JOIN scheduling_bookingrequest r ON r.id = s.request_id WHERE e.id = ANY (waiting)
        UNION SELECT id FROM patients_patient WHERE id = guest AND user_id IS NULL
    ) own;
    PERFORM set_config('visitor.sees_all', CASE WHEN sees_all THEN 'on' ELSE '' END, false),
        set_config('visitor.clinics', coalesce(clinics, '{}')::text, false),
        set_config('visitor.patients', coalesce(patients, '{}')::text, false),
        set_config('role', 'clinic_visitor', false);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0018_incident_letter")]

    operations = [
        migrations.RunSQL(ENTER, "DROP FUNCTION visitor_enter(bigint, text[], bigint[], bigint);"),
        migrations.RunSQL("DROP FUNCTION visitor_enter(bigint, text[]);", migrations.RunSQL.noop),
    ]
