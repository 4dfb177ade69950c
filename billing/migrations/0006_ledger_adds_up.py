from django.db import migrations

# First the lock, then a new statement: it sees what others added while this one waited.
RULES = """
CREATE FUNCTION posting_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount_cents) FROM billing_ledgerentry WHERE posting_id = NEW.posting_id) <> 0 THEN
        RAISE EXCEPTION 'posting % does not balance', NEW.posting_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER posting_balances AFTER INSERT ON billing_ledgerentry
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION posting_balances();

CREATE FUNCTION entries_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved text := (SELECT kind FROM billing_ledgerposting WHERE id = NEW.posting_id);
BEGIN
    IF NEW.account = 'receivable' AND moved IN ('allocation', 'counter') THEN
        UPDATE billing_bill SET received_cents = received_cents - NEW.amount_cents WHERE id = NEW.bill_id;
    ELSIF NEW.account = 'receivable' AND moved IN ('release', 'counter_refund') THEN
        UPDATE billing_bill SET returned_cents = returned_cents + NEW.amount_cents WHERE id = NEW.bill_id;
    ELSIF NEW.account = 'customer' AND moved IN ('allocation', 'release') THEN
        UPDATE billing_payment SET allocated_cents = allocated_cents + NEW.amount_cents WHERE id = NEW.payment_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_add_up AFTER INSERT ON billing_ledgerentry
FOR EACH ROW EXECUTE FUNCTION entries_add_up();

CREATE FUNCTION credit_notes_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_bill SET credited_cents = credited_cents + NEW.amount_cents WHERE id = NEW.bill_id;
    RETURN NULL;
END $$;
CREATE TRIGGER credit_notes_add_up AFTER INSERT ON billing_creditnote
FOR EACH ROW EXECUTE FUNCTION credit_notes_add_up();

CREATE FUNCTION counter_refunds_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_counterpayment SET returned_cents = returned_cents + NEW.amount_cents
    WHERE id = NEW.counter_payment_id;
    RETURN NULL;
END $$;
CREATE TRIGGER counter_refunds_add_up AFTER INSERT ON billing_counterrefund
FOR EACH ROW EXECUTE FUNCTION counter_refunds_add_up();

CREATE TRIGGER posting_append_only BEFORE UPDATE OR DELETE ON billing_ledgerposting
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON billing_ledgerentry
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_note_append_only BEFORE UPDATE OR DELETE ON billing_creditnote
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER counter_refund_append_only BEFORE UPDATE OR DELETE ON billing_counterrefund
FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""

BACK = """
DROP TRIGGER counter_refund_append_only ON billing_counterrefund;
DROP TRIGGER credit_note_append_only ON billing_creditnote;
DROP TRIGGER entry_append_only ON billing_ledgerentry;
DROP TRIGGER posting_append_only ON billing_ledgerposting;
DROP TRIGGER counter_refunds_add_up ON billing_counterrefund;
DROP TRIGGER credit_notes_add_up ON billing_creditnote;
DROP TRIGGER entries_add_up ON billing_ledgerentry;
DROP TRIGGER posting_balances ON billing_ledgerentry;
DROP FUNCTION counter_refunds_add_up();
DROP FUNCTION credit_notes_add_up();
DROP FUNCTION entries_add_up();
DROP FUNCTION posting_balances();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_ledger"),
        ("clinic_booking", "0002_events_are_append_only"),
    ]

    operations = [migrations.RunSQL(RULES, BACK)]
