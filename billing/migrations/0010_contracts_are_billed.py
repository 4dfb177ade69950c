from django.db import migrations, models

# The parts of a contract are its price from the moment it is confirmed. Deferred: parts and status come in any order.
# Contracts that were confirmed before there were parts have none.
RULES = """
CREATE FUNCTION instalments_are_the_price() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sold bigint; parts bigint; of_contract bigint;
BEGIN
    IF TG_TABLE_NAME = 'billing_contract' THEN of_contract := NEW.id;
    ELSIF TG_OP = 'DELETE' THEN of_contract := OLD.contract_id;
    ELSE of_contract := NEW.contract_id;
    END IF;
    PERFORM FROM billing_contract WHERE id = of_contract AND status IN ('confirmed', 'completed')
        AND billing <> 'per_visit';
    IF FOUND THEN
        SELECT coalesce(sum(quantity::bigint * price_cents), 0) INTO sold FROM billing_contractline
            WHERE contract_id = of_contract;
        SELECT coalesce(sum(amount_cents), 0) INTO parts FROM billing_contractinstalment WHERE contract_id = of_contract;
        IF sold <> parts THEN
            RAISE EXCEPTION 'the parts of contract % are % of % cents', of_contract, parts, sold
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER instalments_are_the_price
AFTER INSERT OR UPDATE OF contract_id, amount_cents OR DELETE ON billing_contractinstalment
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION instalments_are_the_price();
CREATE CONSTRAINT TRIGGER confirmed_has_its_parts AFTER UPDATE OF status ON billing_contract
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status = 'draft' AND NEW.status = 'confirmed')
EXECUTE FUNCTION instalments_are_the_price();

CREATE FUNCTION billed_part_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'part % of contract % is billed', OLD.number, OLD.contract_id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER billed_part_stays BEFORE UPDATE OR DELETE ON billing_contractinstalment
FOR EACH ROW WHEN (OLD.bill_id IS NOT NULL) EXECUTE FUNCTION billed_part_stays();
"""

BACK = """
DROP TRIGGER billed_part_stays ON billing_contractinstalment;
DROP FUNCTION billed_part_stays();
DROP TRIGGER confirmed_has_its_parts ON billing_contract;
DROP TRIGGER instalments_are_the_price ON billing_contractinstalment;
DROP FUNCTION instalments_are_the_price();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0009_payment_problems"),
    ]

    operations = [
        migrations.AlterField(
            model_name="ledgerposting",
            name="kind",
            field=models.CharField(
                choices=[
                    ("bill", "Bill"),
                    ("credit_note", "Credit note"),
                    ("capture", "Charged online"),
                    ("allocation", "Applied to a bill"),
                    ("release", "Taken off a bill"),
                    ("refund", "Refunded online"),
                    ("refund_failed", "Refund that failed"),
                    ("counter", "Paid at the counter"),
                    ("counter_refund", "Given back at the counter"),
                    ("delivery", "Prepaid session delivered"),
                    ("contract_end", "Contract settled"),
                    ("dispute", "Lost dispute"),
                ],
                max_length=20,
                verbose_name="kind",
            ),
        ),
        migrations.RunSQL(RULES, BACK),
    ]
