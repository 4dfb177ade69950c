from django.db import migrations

# Whoever writes: the end of the number by which patients are searched is that of the NRIC or FIN that they have.
FOLLOW = """
CREATE FUNCTION masked_id_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    patient bigint := CASE TG_OP WHEN 'DELETE' THEN OLD.patient_id ELSE NEW.patient_id END;
BEGIN
    UPDATE patients_patient SET masked_id = coalesce((
        SELECT ending FROM patients_identifier
        WHERE patient_id = patient AND ended_at IS NULL AND kind IN ('nric', 'fin')), '')
    WHERE id = patient;
    RETURN NULL;
END $$;
CREATE TRIGGER masked_id_follows AFTER INSERT OR UPDATE OF ended_at, ending, kind ON patients_identifier
FOR EACH ROW WHEN (NEW.kind IN ('nric', 'fin')) EXECUTE FUNCTION masked_id_follows();
CREATE TRIGGER masked_id_goes AFTER DELETE ON patients_identifier
FOR EACH ROW WHEN (OLD.kind IN ('nric', 'fin') AND OLD.ended_at IS NULL) EXECUTE FUNCTION masked_id_follows();
"""
BACK = """
DROP TRIGGER masked_id_goes ON patients_identifier;
DROP TRIGGER masked_id_follows ON patients_identifier;
DROP FUNCTION masked_id_follows();
"""


class Migration(migrations.Migration):
    dependencies = [("patients", "0010_identity_numbers")]
    operations = [migrations.RunSQL(FOLLOW, BACK)]
