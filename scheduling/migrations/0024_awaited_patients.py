from django.db import migrations

# Demand without a time belongs to every clinic that could deliver it, and so do those who wait; who is known at no
# clinic yet may be served by any.
AT_A_CLINIC = "(SELECT coalesce(current_setting('visitor.clinics', true), '') NOT IN ('', '{}'))"
KNOWN_NOWHERE = "NOT EXISTS (SELECT FROM patients_patientclinic k WHERE k.patient_id = {patient})"
WAITS = """EXISTS (
    SELECT FROM scheduling_sessionticket s
    WHERE s.request_id = scheduling_bookingrequest.id AND s.status = 'planned' AND closed_at IS NULL
)"""


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0023_audit_knows_clinics")]

    operations = [
        migrations.RunSQL(
            "CREATE POLICY awaited_request ON scheduling_bookingrequest FOR SELECT TO clinic_visitor USING ("
            f"{AT_A_CLINIC} AND ({KNOWN_NOWHERE.format(patient='scheduling_bookingrequest.patient_id')} OR {WAITS}));"
            "CREATE POLICY awaited_patient ON patients_patient FOR SELECT TO clinic_visitor USING ("
            f"{AT_A_CLINIC} AND ({KNOWN_NOWHERE.format(patient='patients_patient.id')} OR EXISTS ("
            f"SELECT FROM scheduling_bookingrequest WHERE patient_id = patients_patient.id AND {WAITS})));",
            "DROP POLICY awaited_patient ON patients_patient;"
            "DROP POLICY awaited_request ON scheduling_bookingrequest;",
        )
    ]
