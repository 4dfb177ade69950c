from django.db import migrations

KNOWN_AT = """
CREATE FUNCTION patient_known_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.patient_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM patients_patientclinic WHERE clinic_id = NEW.clinic_id AND patient_id = NEW.patient_id
    ) THEN
        INSERT INTO patients_patientclinic (patient_id, clinic_id) VALUES (NEW.patient_id, NEW.clinic_id)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("patients", "0005_clinics_of_patients")]

    operations = [migrations.RunSQL(KNOWN_AT, "DROP FUNCTION patient_known_at();")]
