from django.db import migrations

# As before, but as `clinic_booking.roles` has it: being a superuser opens nothing, and a system administrator's
# memberships count for nothing.
ENTER = """
CREATE OR REPLACE FUNCTION visitor_enter(who bigint, seen text[], waiting bigint[], guest bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    clinics bigint[];
    patients bigint[];
    office_held text := (SELECT office FROM clinic_booking_user WHERE id = who AND is_active);
BEGIN
    IF office_held <> 'system_admin' THEN
        SELECT array_agg(clinic_id) INTO clinics FROM scheduling_membership WHERE user_id = who;
    END IF;
    SELECT array_agg(id) INTO patients FROM (
        SELECT unnest(visitor_patients(who)) AS id
        UNION SELECT patient_id FROM scheduling_booking WHERE reference = ANY (seen)
        UNION SELECT r.patient_id FROM scheduling_waitlistentry e
            JOIN scheduling_sessionticket s ON s.id = e.session_id
            JOIN scheduling_bookingrequest r ON r.id = s.request_id WHERE e.id = ANY (waiting)
        UNION SELECT id FROM patients_patient WHERE id = guest AND user_id IS NULL
    ) own;
    PERFORM set_config('visitor.sees_all', CASE office_held WHEN 'privacy_officer' THEN 'on' ELSE '' END, false),
        set_config('visitor.clinics', coalesce(clinics, '{}')::text, false),
        set_config('visitor.patients', coalesce(patients, '{}')::text, false),
        set_config('role', 'clinic_visitor', false);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0019_guests_of_a_session")]

    operations = [migrations.RunSQL(ENTER, migrations.RunSQL.noop)]
