from django.db import migrations

CLINIC = """
CREATE OR REPLACE FUNCTION audit_clinic(asked text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM scheduling_clinic WHERE slug = asked $$;
"""


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0022_row_security"), ("clinic_booking", "0016_audit_clinic")]
    operations = [migrations.RunSQL(CLINIC, migrations.RunSQL.noop)]
