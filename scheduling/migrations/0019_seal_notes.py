from django.db import migrations

from clinic_booking.reseal import Column, sealing

COLUMNS = [
    Column("scheduling_booking", "note", "id", "reference"),
    Column("scheduling_hold", "note", "id", "id"),
    Column("scheduling_overbooking", "reason", "id", "cipher_id"),
    Column("scheduling_desknote", "text", "id", "cipher_id"),
    Column("scheduling_waitlistentry", "note", "id", "cipher_id"),
]


class Migration(migrations.Migration):
    """Seals what is there, in batches that stay. Cut off, it is begun again and goes on (docs/vault.md)."""

    atomic = False
    dependencies = [("scheduling", "0018_room_for_ciphers")]
    operations = [migrations.RunPython(sealing(COLUMNS), elidable=True)]
