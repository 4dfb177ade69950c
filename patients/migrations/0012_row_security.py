from django.db import migrations

from clinic_booking.rows import protect

OWN = """
CREATE FUNCTION visitor_patients(who bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(id) FROM patients_patient WHERE user_id = who
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("patients", "0011_masked_id_follows"), ("clinic_booking", "0013_row_security")]

    operations = [
        migrations.RunSQL(OWN, "DROP FUNCTION visitor_patients(bigint);"),
        protect("patients_patient", patient="id"),
        protect("patients_consent"),
        protect("patients_legalhold"),
        protect("patients_identifier"),
    ]
