from django.db import migrations

from clinic_booking.rows import protect

# Born on 29 February, one is a year older on 1 March of other years (the common law's rule).
BIRTHDAY = """
CREATE FUNCTION patients_birthday(born date, age integer, zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
    day date := born + make_interval(years => age);
BEGIN
    IF extract(day FROM day) <> extract(day FROM born) THEN
        day := day + 1;
    END IF;
    RETURN day::timestamp AT TIME ZONE zone;
END $$;
"""

GUARD = """
CREATE FUNCTION patients_proxy_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    born date;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.patient_id, OLD.user_id, OLD.relation, OLD.evidence, OLD.by_id, OLD.starts_at, OLD.minor_until_age,
            OLD.zone, OLD.invitation)
            IS DISTINCT FROM (NEW.patient_id, NEW.user_id, NEW.relation, NEW.evidence, NEW.by_id, NEW.starts_at,
            NEW.minor_until_age, NEW.zone, NEW.invitation) THEN
            RAISE EXCEPTION 'a proxy is ended and made anew, never changed' USING ERRCODE = 'check_violation';
        END IF;
        IF OLD.revoked_at IS NOT NULL AND (OLD.revoked_at, OLD.ends_at, OLD.end_reason)
            IS DISTINCT FROM (NEW.revoked_at, NEW.ends_at, NEW.end_reason) THEN
            RAISE EXCEPTION 'a proxy that has ended stays so' USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.ends_at > OLD.ends_at AND NEW.minor_until_age IS NULL THEN
            RAISE EXCEPTION 'a proxy is not prolonged' USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    IF NEW.minor_until_age IS NOT NULL AND NEW.revoked_at IS NULL THEN
        SELECT birth_date INTO born FROM patients_patient WHERE id = NEW.patient_id;
        IF born IS NOT NULL THEN
            NEW.ends_at := greatest(NEW.starts_at, patients_birthday(born, NEW.minor_until_age, NEW.zone));
        ELSIF TG_OP = 'INSERT' THEN
            RAISE EXCEPTION 'without a birth date nobody knows when a parent stops to act'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER patients_proxy_guard BEFORE INSERT OR UPDATE ON patients_proxy
    FOR EACH ROW EXECUTE FUNCTION patients_proxy_guard();
CREATE TRIGGER patients_proxy_stays BEFORE DELETE ON patients_proxy
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION patients_proxy_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE patients_proxy SET ends_at = ends_at
    WHERE patient_id = NEW.id AND revoked_at IS NULL AND minor_until_age IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER patients_proxy_follows AFTER UPDATE OF birth_date ON patients_patient
    FOR EACH ROW WHEN (OLD.birth_date IS DISTINCT FROM NEW.birth_date) EXECUTE FUNCTION patients_proxy_follows();
"""

UNGUARD = """
DROP TRIGGER patients_proxy_follows ON patients_patient;
DROP FUNCTION patients_proxy_follows();
DROP TRIGGER patients_proxy_stays ON patients_proxy;
DROP TRIGGER patients_proxy_guard ON patients_proxy;
DROP FUNCTION patients_proxy_guard();
"""

ACTED_FOR = """
CREATE FUNCTION patients_acted_for(who bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(id) FROM (
        SELECT id FROM patients_patient WHERE user_id = who
        UNION SELECT patient_id FROM patients_proxy
            WHERE user_id = who AND revoked_at IS NULL AND ends_at > clock_timestamp()
    ) theirs
$$;
"""

VISITOR = """
CREATE OR REPLACE FUNCTION visitor_patients(who bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(id) FROM (
        SELECT id FROM patients_patient WHERE user_id = who
        {proxies}UNION SELECT patient_id FROM patients_brokenglass
            WHERE user_id = who AND expires_at > clock_timestamp()
    ) theirs
$$;
"""
PROXIES = (
    "UNION SELECT patient_id FROM patients_proxy"
    " WHERE user_id = who AND revoked_at IS NULL AND ends_at > clock_timestamp()\n        "
)


class Migration(migrations.Migration):
    dependencies = [("patients", "0018_proxies")]

    operations = [
        migrations.RunSQL(BIRTHDAY, "DROP FUNCTION patients_birthday(date, integer, text);"),
        migrations.RunSQL(GUARD, UNGUARD),
        migrations.RunSQL(ACTED_FOR, "DROP FUNCTION patients_acted_for(bigint);"),
        migrations.RunSQL(VISITOR.format(proxies=PROXIES), VISITOR.format(proxies="")),
        protect("patients_proxy"),
    ]
