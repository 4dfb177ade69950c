from django.db import migrations

# Roles are of the whole cluster: another database of it may make them at the same moment. Where the owner may not
# make roles, they are made beforehand (docs/ops.md).
ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['clinic_app', 'clinic_visitor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO clinic_app, clinic_visitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clinic_app, clinic_visitor;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO clinic_app, clinic_visitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO clinic_app, clinic_visitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO clinic_app, clinic_visitor;
"""

# What a login may see is asked for once in a request; the policies compare with the settings.
ENTER = """
CREATE FUNCTION visitor_enter(who bigint, seen text[]) RETURNS void LANGUAGE plpgsql AS $$
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
    ) own;
    PERFORM set_config('visitor.sees_all', CASE WHEN sees_all THEN 'on' ELSE '' END, false),
        set_config('visitor.clinics', coalesce(clinics, '{}')::text, false),
        set_config('visitor.patients', coalesce(patients, '{}')::text, false),
        set_config('role', 'clinic_visitor', false);
END $$;

CREATE FUNCTION visitor_reveal(patient bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known bigint[] := nullif(current_setting('visitor.patients', true), '');
BEGIN
    PERFORM set_config('visitor.patients', (known || patient)::text, false);
END $$;

CREATE FUNCTION visitor_leave() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'RESET ROLE';
    PERFORM set_config('visitor.sees_all', '', false), set_config('visitor.clinics', '', false),
        set_config('visitor.patients', '', false);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0012_retention_defaults")]

    operations = [
        migrations.RunSQL(ROLES, migrations.RunSQL.noop),
        migrations.RunSQL(
            ENTER,
            "DROP FUNCTION visitor_leave(); DROP FUNCTION visitor_reveal(bigint);"
            "DROP FUNCTION visitor_enter(bigint, text[]);",
        ),
    ]
