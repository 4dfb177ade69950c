from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0007_offices_and_audit")]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON clinic_booking_auditevent "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change();",
            "DROP TRIGGER audit_append_only ON clinic_booking_auditevent;",
        )
    ]
