from django.db import migrations

# `visit_terms` is pure: the terms and a price in cents → cents. Percents are rounded half up; a deposit is at least what
# the provider charges at all (50 cents), and nothing is ever above the price.
TERMS = """
CREATE FUNCTION percent_of(cents bigint, percent integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT ((cents * percent + 50) / 100)::integer
$$;

CREATE FUNCTION visit_terms(payment_policy text, deposit_percent integer, late_cancel_percent integer,
    no_show_percent integer, price_cents bigint,
    OUT due_cents integer, OUT late_cancel_fee_cents integer, OUT no_show_fee_cents integer)
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE payment_policy
            WHEN 'pay_now' THEN price_cents
            WHEN 'deposit' THEN least(price_cents, greatest(50, percent_of(price_cents, deposit_percent)))
            ELSE 0 END::integer,
        percent_of(price_cents, late_cancel_percent), percent_of(price_cents, no_show_percent)
$$;

CREATE FUNCTION terms_of_service(clinic bigint, service bigint, price_cents bigint,
    OUT free_cancel_hours smallint, OUT due_cents integer, OUT late_cancel_fee_cents integer,
    OUT no_show_fee_cents integer)
LANGUAGE sql STABLE AS $$
    SELECT p.free_cancel_hours, t.* FROM (
        SELECT 1 AS place, s.payment_policy, s.deposit_percent, s.free_cancel_hours, s.late_cancel_percent,
            s.no_show_percent
        FROM scheduling_servicepolicy s WHERE s.clinic_id = clinic AND s.service_id = service
        UNION ALL
        SELECT 2, c.payment_policy, c.deposit_percent, c.free_cancel_hours, c.late_cancel_percent, c.no_show_percent
        FROM scheduling_clinic c WHERE c.id = clinic
        ORDER BY place LIMIT 1) p,
        visit_terms(p.payment_policy, p.deposit_percent, p.late_cancel_percent, p.no_show_percent, price_cents) t
$$;

CREATE FUNCTION freeze_terms_of_hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    terms record;
BEGIN
    SELECT * INTO terms FROM terms_of_service(NEW.clinic_id, NEW.service_id, NEW.price_cents);
    NEW.free_cancel_hours = coalesce(NEW.free_cancel_hours, terms.free_cancel_hours);
    NEW.due_cents = coalesce(NEW.due_cents, terms.due_cents);
    NEW.late_cancel_fee_cents = coalesce(NEW.late_cancel_fee_cents, terms.late_cancel_fee_cents);
    NEW.no_show_fee_cents = coalesce(NEW.no_show_fee_cents, terms.no_show_fee_cents);
    RETURN NEW;
END $$;
CREATE TRIGGER freeze_terms BEFORE INSERT ON scheduling_hold
FOR EACH ROW EXECUTE FUNCTION freeze_terms_of_hold();

CREATE FUNCTION freeze_terms_of_booking() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    terms record;
BEGIN
    IF NEW.hold_id IS NULL THEN
        SELECT * INTO terms FROM terms_of_service(NEW.clinic_id, NEW.service_id, NEW.price_cents);
    ELSE
        SELECT * INTO terms FROM scheduling_hold WHERE id = NEW.hold_id;
    END IF;
    NEW.free_cancel_hours = coalesce(NEW.free_cancel_hours, terms.free_cancel_hours);
    NEW.late_cancel_fee_cents = coalesce(NEW.late_cancel_fee_cents,
        least(terms.late_cancel_fee_cents, NEW.price_cents));
    NEW.no_show_fee_cents = coalesce(NEW.no_show_fee_cents, least(terms.no_show_fee_cents, NEW.price_cents));
    RETURN NEW;
END $$;
CREATE TRIGGER freeze_terms BEFORE INSERT ON scheduling_booking
FOR EACH ROW EXECUTE FUNCTION freeze_terms_of_booking();
"""

# Of what was made before: all was paid when booking or nothing, nobody was told of a fee for cancelling late, and who
# did not come owed the price.
FILL = """
UPDATE scheduling_hold h SET free_cancel_hours = coalesce(h.free_cancel_hours, c.free_cancel_hours),
    due_cents = coalesce(due_cents, CASE c.payment_policy WHEN 'pay_at_clinic' THEN 0 ELSE price_cents END),
    late_cancel_fee_cents = coalesce(late_cancel_fee_cents, 0),
    no_show_fee_cents = coalesce(no_show_fee_cents, price_cents)
FROM scheduling_clinic c WHERE c.id = h.clinic_id;

UPDATE scheduling_hold h SET due_cents = price_cents
WHERE due_cents < price_cents
    AND EXISTS (SELECT FROM scheduling_hold o WHERE coalesce(o.lead_id, o.id) = coalesce(h.lead_id, h.id)
        AND o.due_cents > 0);

UPDATE scheduling_booking b SET free_cancel_hours = coalesce(b.free_cancel_hours, c.free_cancel_hours),
    late_cancel_fee_cents = coalesce(late_cancel_fee_cents, 0),
    no_show_fee_cents = coalesce(no_show_fee_cents, price_cents)
FROM scheduling_clinic c WHERE c.id = b.clinic_id;
"""

BACK = """
DROP TRIGGER freeze_terms ON scheduling_booking;
DROP TRIGGER freeze_terms ON scheduling_hold;
DROP FUNCTION freeze_terms_of_booking();
DROP FUNCTION freeze_terms_of_hold();
DROP FUNCTION terms_of_service(bigint, bigint, bigint);
DROP FUNCTION visit_terms(text, integer, integer, integer, bigint);
DROP FUNCTION percent_of(bigint, integer);
"""


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0010_recent_holds")]

    operations = [
        migrations.RunSQL(TERMS, BACK),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
