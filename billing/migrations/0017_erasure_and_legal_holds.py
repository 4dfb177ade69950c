from django.db import migrations

PATIENT = "($1).patient_id"
BY_CONTRACT = "(SELECT patient_id FROM billing_contract WHERE id = ($1).contract_id)"
BY_BILL = "(SELECT patient_id FROM billing_bill WHERE id = ($1).bill_id)"
# Lines and parts of contracts are not here: staff replace those of a draft.
DELETE = {
    "contract": PATIENT,
    "bill": PATIENT,
    "billline": BY_BILL,
    "creditnote": BY_BILL,
    "deskrefund": BY_BILL,
    "counterpayment": BY_BILL,
    "payment": PATIENT,
}

# What is append-only may lose its free text, and nothing else of it may change.
ONLY_TEXT_GOES = """
CREATE FUNCTION refuse_change_but_for_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) ->> TG_ARGV[0] = ''
        AND to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
TEXTS = {"creditnote": ("credit_note", "note"), "deskrefund": ("desk_refund", "note")}


def but_for_text(table, name, text):
    trigger = f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE ON billing_{table} FOR EACH ROW EXECUTE FUNCTION"
    drop = f"DROP TRIGGER {name}_append_only ON billing_{table};"
    return migrations.RunSQL(
        f"{drop}{trigger} refuse_change_but_for_text('{text}');", f"{drop}{trigger} refuse_change();"
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_sealed_notes"), ("patients", "0008_legal_holds_hold")]

    operations = [
        migrations.RunSQL(ONLY_TEXT_GOES, "DROP FUNCTION refuse_change_but_for_text();"),
        *(but_for_text(table, *names) for table, names in TEXTS.items()),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_delete BEFORE DELETE ON billing_{table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_delete_while_held('{whose}');",
                f"DROP TRIGGER held_delete ON billing_{table};",
            )
            for table, whose in DELETE.items()
        ),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER held_removal BEFORE UPDATE ON billing_{table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_removal_while_held('{BY_BILL}', '{text}');",
                f"DROP TRIGGER held_removal ON billing_{table};",
            )
            for table, (_name, text) in TEXTS.items()
        ),
    ]
