from django.db import migrations

# The clinic of an address; `scheduling` puts its own in its place.
CLINIC = """
CREATE FUNCTION audit_clinic(asked text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT NULL::bigint $$;
"""


class Migration(migrations.Migration):
    dependencies = [("clinic_booking", "0015_seals")]
    operations = [migrations.RunSQL(CLINIC, "DROP FUNCTION audit_clinic(text);")]
