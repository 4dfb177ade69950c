from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0012_desk_refunds_and_disputes"),
        ("patients", "0006_known_at"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER contract_known_at AFTER INSERT OR UPDATE OF patient_id, clinic_id ON billing_contract "
            "FOR EACH ROW EXECUTE FUNCTION patient_known_at();"
            "INSERT INTO patients_patientclinic (patient_id, clinic_id) "
            "SELECT DISTINCT patient_id, clinic_id FROM billing_contract ON CONFLICT DO NOTHING;",
            "DROP TRIGGER contract_known_at ON billing_contract;",
        )
    ]
