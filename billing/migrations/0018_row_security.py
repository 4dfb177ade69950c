from django.db import migrations

from clinic_booking.rows import protect


class Migration(migrations.Migration):
    dependencies = [("billing", "0017_erasure_and_legal_holds"), ("patients", "0012_row_security")]

    operations = [
        protect("billing_bill", clinic="clinic_id"),
        protect("billing_contract", clinic="clinic_id"),
    ]
