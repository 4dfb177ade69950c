from django.db import migrations

ROLE = """
CREATE OR REPLACE FUNCTION audit_role(actor bigint, clinic bigint) RETURNS varchar LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT role FROM scheduling_membership WHERE user_id = actor AND clinic_id = clinic LIMIT 1),
        (SELECT office FROM clinic_booking_user WHERE id = actor AND office <> ''),
        (SELECT role FROM scheduling_membership WHERE user_id = actor ORDER BY id LIMIT 1),
        (SELECT 'superuser' FROM clinic_booking_user WHERE id = actor AND is_superuser),
        '') $$;
"""


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0016_hold_hoarding"), ("clinic_booking", "0010_audit_by_month")]
    operations = [migrations.RunSQL(ROLE, migrations.RunSQL.noop)]
