from django.db import migrations

from clinic_booking.retention.schedule import seed

KEPT = ["retentionrule", "erasurecertificate", "reviewederasure"]


def fill(apps, schema_editor):
    seed(apps.get_model("clinic_booking", "RetentionRule"), schema_editor.connection.alias)


def append_only(table):
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON clinic_booking_{table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change();",
        f"DROP TRIGGER {table}_append_only ON clinic_booking_{table};",
    )


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0011_retention")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        *(append_only(table) for table in KEPT),
    ]
