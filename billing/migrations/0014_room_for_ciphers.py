import uuid

import django.contrib.postgres.functions
from django.db import migrations, models

# Its note may be sealed anew or erased; all else of it stays for ever.
STAYS = """
DROP TRIGGER {name}_append_only ON billing_{table};
CREATE TRIGGER {name}_append_only BEFORE DELETE ON billing_{table} FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER {name}_stays BEFORE UPDATE ON billing_{table} FOR EACH ROW
    WHEN (to_jsonb(OLD) - 'note' IS DISTINCT FROM to_jsonb(NEW) - 'note') EXECUTE FUNCTION refuse_change()
"""
BACK = """
DROP TRIGGER {name}_stays ON billing_{table};
DROP TRIGGER {name}_append_only ON billing_{table};
CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE ON billing_{table}
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""


def stays(name: str, table: str) -> migrations.RunSQL:
    of = {"name": name, "table": table}
    return migrations.RunSQL(STAYS.format(**of), BACK.format(**of))


class Migration(migrations.Migration):
    dependencies = [("billing", "0013_known_at")]

    operations = [
        migrations.RunSQL(
            [
                "ALTER TABLE billing_contract ALTER COLUMN note TYPE text",
                "ALTER TABLE billing_contract ALTER COLUMN cancel_reason TYPE text",
                "ALTER TABLE billing_creditnote ALTER COLUMN note TYPE text",
                "ALTER TABLE billing_deskrefund ALTER COLUMN note TYPE text",
            ],
            [
                "ALTER TABLE billing_contract ALTER COLUMN note TYPE varchar(300)",
                "ALTER TABLE billing_contract ALTER COLUMN cancel_reason TYPE varchar(200)",
                "ALTER TABLE billing_creditnote ALTER COLUMN note TYPE varchar(200)",
                "ALTER TABLE billing_deskrefund ALTER COLUMN note TYPE varchar(200)",
            ],
        ),
        stays("credit_note", "creditnote"),
        stays("desk_refund", "deskrefund"),
        migrations.AddField(
            model_name="creditnote",
            name="cipher_id",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="deskrefund",
            name="cipher_id",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
    ]
