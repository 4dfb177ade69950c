from django.db import migrations


class Migration(migrations.Migration):
    """A payment's refunds are added up by the database, whose check allows no more than was charged."""

    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION refunds_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                -- First the lock, then a new statement: it sees what others added while this one waited.
                PERFORM 1 FROM billing_payment WHERE id = NEW.payment_id FOR NO KEY UPDATE;
                UPDATE billing_payment SET refunded_cents = (
                    SELECT coalesce(sum(amount_cents), 0) FROM billing_refund
                    WHERE payment_id = NEW.payment_id AND status <> 'failed')
                WHERE id = NEW.payment_id;
                RETURN NULL;
            END $$;
            CREATE TRIGGER refunds_add_up AFTER INSERT OR UPDATE ON billing_refund
            FOR EACH ROW EXECUTE FUNCTION refunds_add_up();
            """,
            """
            DROP TRIGGER refunds_add_up ON billing_refund;
            DROP FUNCTION refunds_add_up();
            """,
        )
    ]
