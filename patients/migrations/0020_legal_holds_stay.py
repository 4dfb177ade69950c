from django.db import migrations

# Who could delete a hold, shorten it or refuse it after it was confirmed would need no second person.
GUARD = """
CREATE FUNCTION legal_hold_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    steps text[] := '{confirmed_by_id,confirmed_at,refused_by_id,refused_at,lift_asked_by_id,lift_asked_at,lift_reason,'
        'lifted_by_id,lifted_at,until_at}';
BEGIN
    IF TG_OP = 'DELETE' OR to_jsonb(OLD) - steps IS DISTINCT FROM to_jsonb(NEW) - steps THEN
        RAISE EXCEPTION 'a legal hold is lifted by two persons, never changed or deleted'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.confirmed_at IS NOT NULL
            AND (OLD.confirmed_at, OLD.confirmed_by_id) IS DISTINCT FROM (NEW.confirmed_at, NEW.confirmed_by_id))
        OR (OLD.refused_at IS NOT NULL
            AND (OLD.refused_at, OLD.refused_by_id) IS DISTINCT FROM (NEW.refused_at, NEW.refused_by_id))
        OR (OLD.lift_asked_at IS NOT NULL AND (OLD.lift_asked_at, OLD.lift_asked_by_id, OLD.lift_reason)
            IS DISTINCT FROM (NEW.lift_asked_at, NEW.lift_asked_by_id, NEW.lift_reason))
        OR (OLD.lifted_at IS NOT NULL
            AND (OLD.lifted_at, OLD.lifted_by_id) IS DISTINCT FROM (NEW.lifted_at, NEW.lifted_by_id)) THEN
        RAISE EXCEPTION 'a step of a legal hold is taken once' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.until_at < coalesce(OLD.until_at, 'infinity') THEN
        RAISE EXCEPTION 'a legal hold is not shortened' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.refused_at IS NULL AND NEW.refused_at IS NOT NULL AND (OLD.confirmed_at IS NOT NULL OR OLD.is_automatic
            OR NEW.refused_by_id IS NULL OR NEW.refused_by_id = OLD.asked_by_id) THEN
        RAISE EXCEPTION 'a legal hold is refused by another person, before it is confirmed'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_hold_stays BEFORE UPDATE OR DELETE ON patients_legalhold
    FOR EACH ROW EXECUTE FUNCTION legal_hold_stays();
"""
UNGUARD = "DROP TRIGGER legal_hold_stays ON patients_legalhold; DROP FUNCTION legal_hold_stays();"

# What else is about a patient, and came after the first list of tables.
DELETE = ["patients_privacyrequest", "patients_detailsconfirmed", "patients_brokenglass"]
REMOVAL = {"patients_privacyrequest": "'text', 'preserved'", "patients_identifier": "'value'"}


class Migration(migrations.Migration):
    dependencies = [("patients", "0019_proxies_end")]

    operations = [
        migrations.RunSQL(GUARD, UNGUARD),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_delete BEFORE DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_delete_while_held('($1).patient_id');",
                f"DROP TRIGGER held_delete ON {table};",
            )
            for table in DELETE
        ),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_removal BEFORE UPDATE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_removal_while_held('($1).patient_id', {texts});",
                f"DROP TRIGGER held_removal ON {table};",
            )
            for table, texts in REMOVAL.items()
        ),
    ]
