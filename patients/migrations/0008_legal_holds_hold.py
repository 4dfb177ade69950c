from django.db import migrations

# The one list of who is under a legal hold: deletion paths and triggers ask it. Scheduling adds those of a period.
# An unconfirmed hold protects for 7 days (CONFIRM_DAYS). With the owner's rights, so that row security hides no hold.
HELD = """
CREATE FUNCTION held_patients() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT patient_id FROM patients_legalhold
    WHERE patient_id IS NOT NULL AND refused_at IS NULL AND lifted_at IS NULL AND from_at <= clock_timestamp()
        AND (until_at IS NULL OR until_at > clock_timestamp())
        AND (is_automatic OR confirmed_at IS NOT NULL OR asked_at > clock_timestamp() - interval '7 days')
$$;
"""

# TG_ARGV[0] is the patient of the row as SQL over $1. What was made in this very transaction may be taken back in it.
REFUSE_DELETE = """
CREATE FUNCTION refuse_delete_while_held() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    whose bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM patients_legalhold WHERE refused_at IS NULL AND lifted_at IS NULL)
        OR (to_jsonb(OLD) ->> 'created_at')::timestamptz >= now() THEN
        RETURN OLD;
    END IF;
    EXECUTE 'SELECT ' || TG_ARGV[0] INTO whose USING OLD;
    IF whose IN (SELECT held_patients()) THEN
        RAISE EXCEPTION 'patient % is under a legal hold: % stays', whose, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;
"""

# Of a patient: what takes away who it is. A correction of one or two of name, e-mail and telephone goes on, and so
# does every other change. Of other tables TG_ARGV[0] is the patient, and the rest are texts that may not be emptied.
REFUSE_REMOVAL = """
CREATE FUNCTION refuse_removal_while_held() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    whose bigint;
    was jsonb;
    will_be jsonb;
    is_removed boolean := false;
    field text;
BEGIN
    IF NOT EXISTS (SELECT FROM patients_legalhold WHERE refused_at IS NULL AND lifted_at IS NULL) THEN
        RETURN NEW;
    END IF;
    was := to_jsonb(OLD);
    will_be := to_jsonb(NEW);
    IF TG_TABLE_NAME = 'patients_patient' THEN
        is_removed := (OLD.anonymised_at IS NULL AND NEW.anonymised_at IS NOT NULL)
            OR (OLD.birth_date IS NOT NULL AND NEW.birth_date IS NULL)
            OR (OLD.name <> NEW.name AND OLD.email <> NEW.email AND OLD.phone <> NEW.phone);
    END IF;
    FOREACH field IN ARRAY TG_ARGV[1:] LOOP
        is_removed := is_removed OR (coalesce(was ->> field, '') <> '' AND coalesce(will_be ->> field, '') = '');
    END LOOP;
    IF NOT is_removed THEN
        RETURN NEW;
    END IF;
    EXECUTE 'SELECT ' || TG_ARGV[0] INTO whose USING OLD;
    IF whose IN (SELECT held_patients()) THEN
        RAISE EXCEPTION 'patient % is under a legal hold: % keeps what it says', whose, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""

# Consents are evidence for as long as the schedule says; of somebody who is anonymous they may go.
CONSENTS = """
CREATE FUNCTION refuse_change_of_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM patients_patient WHERE id = OLD.patient_id AND anonymised_at IS NOT NULL
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER consent_append_only ON patients_consent;
CREATE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON patients_consent
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_consent();
"""
CONSENTS_BACK = """
DROP TRIGGER consent_append_only ON patients_consent;
CREATE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON patients_consent
FOR EACH ROW EXECUTE FUNCTION refuse_change();
DROP FUNCTION refuse_change_of_consent();
"""

PATIENT = "($1).patient_id"
DELETE = {
    "patients_patient": "($1).id",
    "patients_patientclinic": PATIENT,
    "patients_consent": PATIENT,
    "clinic_booking_notification": PATIENT,
}


class Migration(migrations.Migration):
    dependencies = [("patients", "0007_legal_holds"), ("clinic_booking", "0005_messages")]

    operations = [
        migrations.RunSQL(CONSENTS, CONSENTS_BACK),
        migrations.RunSQL(HELD, "DROP FUNCTION held_patients();"),
        migrations.RunSQL(REFUSE_DELETE, "DROP FUNCTION refuse_delete_while_held();"),
        migrations.RunSQL(REFUSE_REMOVAL, "DROP FUNCTION refuse_removal_while_held();"),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_delete BEFORE DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_delete_while_held('{whose}');",
                f"DROP TRIGGER held_delete ON {table};",
            )
            for table, whose in DELETE.items()
        ),
        migrations.RunSQL(
            "CREATE TRIGGER held_removal BEFORE UPDATE ON patients_patient FOR EACH ROW "
            "EXECUTE FUNCTION refuse_removal_while_held('($1).id', 'name', 'masked_id');",
            "DROP TRIGGER held_removal ON patients_patient;",
        ),
    ]
