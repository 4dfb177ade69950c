import importlib

from django.db import migrations

import clinic_booking.sealed
from clinic_booking.reseal import sealing

before = importlib.import_module("scheduling.migrations.0019_seal_notes")


class Migration(migrations.Migration):
    """From here the database takes nothing but ciphers. What was written since the last batch is sealed first."""

    dependencies = [("scheduling", "0019_seal_notes")]
    operations = [
        migrations.RunPython(sealing(before.COLUMNS), elidable=True),
        migrations.AlterField(
            model_name="booking",
            name="note",
            field=clinic_booking.sealed.SealedTextField(
                blank=True, max_length=300, row="reference", verbose_name="note for the clinic"
            ),
        ),
        migrations.AlterField(
            model_name="desknote",
            name="text",
            field=clinic_booking.sealed.SealedTextField(max_length=300, row="cipher_id", verbose_name="note"),
        ),
        migrations.AlterField(
            model_name="hold",
            name="note",
            field=clinic_booking.sealed.SealedTextField(
                blank=True, max_length=300, row="id", verbose_name="note for the clinic"
            ),
        ),
        migrations.AlterField(
            model_name="overbooking",
            name="reason",
            field=clinic_booking.sealed.SealedTextField(
                max_length=120, row="cipher_id", verbose_name="reason"
            ),
        ),
        migrations.AlterField(
            model_name="waitlistentry",
            name="note",
            field=clinic_booking.sealed.SealedTextField(
                blank=True,
                db_default="",
                default="",
                max_length=200,
                row="cipher_id",
                verbose_name="note of the staff",
            ),
        ),
        # Django adds the check of a field to new columns only.
        migrations.RunSQL([column.check() for column in before.COLUMNS]),
    ]
