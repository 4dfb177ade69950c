from django.db import migrations

from clinic_booking.rows import protect


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0021_legal_holds_hold"), ("patients", "0012_row_security")]

    operations = [
        protect("scheduling_booking", clinic="clinic_id"),
        protect("scheduling_visitticket", clinic="clinic_id"),
        protect("scheduling_bookingrequest"),
    ]
