from django.db import migrations

from clinic_booking.reseal import Column, sealing

COLUMNS = [
    Column("billing_contract", "note", "id", "reference"),
    Column("billing_contract", "cancel_reason", "id", "reference"),
    Column("billing_creditnote", "note", "id", "cipher_id"),
    Column("billing_deskrefund", "note", "id", "cipher_id"),
]


class Migration(migrations.Migration):
    """Seals what is there, in batches that stay. Cut off, it is begun again and goes on (docs/vault.md)."""

    atomic = False
    dependencies = [("billing", "0014_room_for_ciphers")]
    operations = [migrations.RunPython(sealing(COLUMNS), elidable=True)]
