from django.db import migrations

TABLES = ["booking", "visitticket", "hold"]


def told_by(table):
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_known_at AFTER INSERT OR UPDATE OF patient_id, clinic_id ON scheduling_{table} "
        "FOR EACH ROW EXECUTE FUNCTION patient_known_at();"
        "INSERT INTO patients_patientclinic (patient_id, clinic_id) "
        f"SELECT DISTINCT patient_id, clinic_id FROM scheduling_{table} WHERE patient_id IS NOT NULL "
        "ON CONFLICT DO NOTHING;",  # noqa: S608
        f"DROP TRIGGER {table}_known_at ON scheduling_{table};",
    )


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0014_more_roles"), ("patients", "0006_known_at")]

    operations = [told_by(table) for table in TABLES]
