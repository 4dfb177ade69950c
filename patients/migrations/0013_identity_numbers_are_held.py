from django.db import migrations

# The end of the number follows the identifiers, which may be replaced; deleted they may not be.
HELD = (
    "CREATE OR REPLACE TRIGGER held_removal BEFORE UPDATE ON patients_patient FOR EACH ROW EXECUTE FUNCTION"
)


class Migration(migrations.Migration):
    dependencies = [("patients", "0012_row_security")]

    operations = [
        migrations.RunSQL(
            f"{HELD} refuse_removal_while_held('($1).id', 'name');",
            f"{HELD} refuse_removal_while_held('($1).id', 'name', 'masked_id');",
        ),
        migrations.RunSQL(
            "CREATE TRIGGER held_delete BEFORE DELETE ON patients_identifier "
            "FOR EACH ROW EXECUTE FUNCTION refuse_delete_while_held('($1).patient_id');",
            "DROP TRIGGER held_delete ON patients_identifier;",
        ),
    ]
