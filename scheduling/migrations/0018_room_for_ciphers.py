import uuid

import django.contrib.postgres.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0017_audit_knows_roles")]

    operations = [
        migrations.RunSQL(
            [
                "ALTER TABLE scheduling_booking ALTER COLUMN note TYPE text",
                "ALTER TABLE scheduling_hold ALTER COLUMN note TYPE text",
                "ALTER TABLE scheduling_overbooking ALTER COLUMN reason TYPE text",
                "ALTER TABLE scheduling_desknote ALTER COLUMN text TYPE text",
                "ALTER TABLE scheduling_waitlistentry ALTER COLUMN note TYPE text",
            ],
            [
                "ALTER TABLE scheduling_booking ALTER COLUMN note TYPE varchar(300)",
                "ALTER TABLE scheduling_hold ALTER COLUMN note TYPE varchar(300)",
                "ALTER TABLE scheduling_overbooking ALTER COLUMN reason TYPE varchar(120)",
                "ALTER TABLE scheduling_desknote ALTER COLUMN text TYPE varchar(300)",
                "ALTER TABLE scheduling_waitlistentry ALTER COLUMN note TYPE varchar(200)",
            ],
        ),
        migrations.AddField(
            model_name="desknote",
            name="cipher_id",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="overbooking",
            name="cipher_id",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="waitlistentry",
            name="cipher_id",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
    ]
