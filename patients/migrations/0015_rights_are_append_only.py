from django.db import migrations

from clinic_booking.rows import protect

TABLES = ("patients_privacynotice", "patients_privacystep")


def append_only(table):
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change();",
        f"DROP TRIGGER {table}_append_only ON {table};",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0014_privacy_rights"),
        ("clinic_booking", "0013_row_security"),
    ]

    operations = [
        *map(append_only, TABLES),
        protect("patients_privacyrequest"),
        protect("patients_datacopy"),
        protect("patients_detailsconfirmed"),
    ]
