import importlib

from django.db import migrations

import clinic_booking.sealed
from clinic_booking.reseal import sealing

before = importlib.import_module("billing.migrations.0015_seal_notes")


class Migration(migrations.Migration):
    """From here the database takes nothing but ciphers. What was written since the last batch is sealed first."""

    dependencies = [("billing", "0015_seal_notes")]
    operations = [
        migrations.RunPython(sealing(before.COLUMNS), elidable=True),
        migrations.AlterField(
            model_name="contract",
            name="cancel_reason",
            field=clinic_booking.sealed.SealedTextField(
                blank=True,
                db_default="",
                default="",
                max_length=200,
                row="reference",
                verbose_name="why it was cancelled",
            ),
        ),
        migrations.AlterField(
            model_name="contract",
            name="note",
            field=clinic_booking.sealed.SealedTextField(
                blank=True,
                db_default="",
                default="",
                max_length=300,
                row="reference",
                verbose_name="note of the staff",
            ),
        ),
        migrations.AlterField(
            model_name="creditnote",
            name="note",
            field=clinic_booking.sealed.SealedTextField(
                blank=True, max_length=200, row="cipher_id", verbose_name="note"
            ),
        ),
        migrations.AlterField(
            model_name="deskrefund",
            name="note",
            field=clinic_booking.sealed.SealedTextField(
                blank=True, max_length=200, row="cipher_id", verbose_name="note"
            ),
        ),
        # Django adds the check of a field to new columns only.
        migrations.RunSQL([column.check() for column in before.COLUMNS]),
    ]
