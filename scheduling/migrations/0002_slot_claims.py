from django.db import migrations


class Migration(migrations.Migration):
    """What Django cannot declare: the composite foreign key of a slot's hold, and its version counter."""

    dependencies = [("scheduling", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            ALTER TABLE scheduling_slot ADD CONSTRAINT slot_held_until_is_that_of_the_hold
            FOREIGN KEY (hold_id, held_until) REFERENCES scheduling_hold (id, expires_at) DEFERRABLE INITIALLY DEFERRED;

            CREATE FUNCTION slot_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.version := OLD.version + 1; RETURN NEW; END $$;
            CREATE TRIGGER slot_next_version BEFORE UPDATE ON scheduling_slot FOR EACH ROW
            WHEN ((OLD.hold_id, OLD.held_until, OLD.booking_id, OLD.is_blocked)
                  IS DISTINCT FROM (NEW.hold_id, NEW.held_until, NEW.booking_id, NEW.is_blocked))
            EXECUTE FUNCTION slot_next_version();
            """,
            """
            DROP TRIGGER slot_next_version ON scheduling_slot;
            DROP FUNCTION slot_next_version();
            ALTER TABLE scheduling_slot DROP CONSTRAINT slot_held_until_is_that_of_the_hold;
            """,
        )
    ]
