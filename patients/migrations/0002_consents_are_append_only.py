from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("patients", "0001_initial"), ("clinic_booking", "0002_events_are_append_only")]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON patients_consent "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change();",
            "DROP TRIGGER consent_append_only ON patients_consent;",
        )
    ]
