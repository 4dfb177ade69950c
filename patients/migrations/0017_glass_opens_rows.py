from django.db import migrations

OWN = """
CREATE OR REPLACE FUNCTION visitor_patients(who bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(id) FROM (
        SELECT id FROM patients_patient WHERE user_id = who
        {more}
    ) theirs
$$;
"""
GLASS = (
    "UNION SELECT patient_id FROM patients_brokenglass WHERE user_id = who AND expires_at > clock_timestamp()"
)


class Migration(migrations.Migration):
    dependencies = [("patients", "0016_break_glass")]

    operations = [migrations.RunSQL(OWN.format(more=GLASS), OWN.format(more=""))]
