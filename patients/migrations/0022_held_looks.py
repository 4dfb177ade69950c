from django.db import migrations

HEAD = """
CREATE OR REPLACE FUNCTION audit_month_is_held(first timestamptz, until timestamptz) RETURNS boolean LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM clinic_booking_incident WHERE closed_at IS NULL
            AND coalesce(from_at, suspected_at, discovered_at) < until AND coalesce(until_at, 'infinity') >= first)
"""
# A hold on a period is on the looks of that time, too; one on a patient on every look at them.
HOLDS = """
    OR EXISTS (
        SELECT FROM patients_legalhold WHERE scope = 'period' AND refused_at IS NULL AND lifted_at IS NULL
            AND from_at <= clock_timestamp() AND (until_at IS NULL OR until_at > clock_timestamp())
            AND (is_automatic OR confirmed_at IS NOT NULL OR asked_at > clock_timestamp() - interval '7 days')
            AND period_from < until AND period_until + 2 > first)
    OR EXISTS (
        SELECT FROM (SELECT array_agg(pk) AS pks FROM held_patients() AS pk) held
        JOIN clinic_booking_auditevent e ON e.patient_id = ANY (held.pks) OR e.patients && held.pks
        WHERE e.created_at >= first AND e.created_at < until)
"""


class Migration(migrations.Migration):
    dependencies = [("patients", "0021_confidential"), ("clinic_booking", "0022_audit_months")]

    operations = [migrations.RunSQL(HEAD + HOLDS + "$$;", HEAD + "$$;")]
