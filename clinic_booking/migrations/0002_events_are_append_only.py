from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$;
            CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON clinic_booking_event
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
            """,
            "DROP TRIGGER event_append_only ON clinic_booking_event; DROP FUNCTION refuse_change();",
        )
    ]
