import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# What was billed, paid and given back before there was a ledger.
BOOKS = """
UPDATE billing_bill i SET clinic_id = b.clinic_id FROM scheduling_booking b WHERE b.id = i.booking_id;
UPDATE billing_counterpayment SET idempotency_key = gen_random_uuid(),
    returned_cents = CASE WHEN returned_at IS NULL THEN 0 ELSE amount_cents END;
INSERT INTO billing_counterrefund (idempotency_key, counter_payment_id, amount_cents, given_by_id, given_at)
    SELECT gen_random_uuid(), id, amount_cents, returned_by_id, returned_at FROM billing_counterpayment
    WHERE returned_at IS NOT NULL;
INSERT INTO billing_creditnote (bill_id, legal_entity_id, number, amount_cents, gst_cents, reason, note, issued_at)
    SELECT id, legal_entity_id, row_number() OVER (PARTITION BY legal_entity_id ORDER BY closed_at, id), total_cents,
        gst_cents, 'cancelled', '', closed_at FROM billing_bill
    WHERE old_status IN ('void', 'refunded') AND total_cents > 0;
UPDATE billing_billseries s SET last_credit_number = n
    FROM (SELECT legal_entity_id, count(*) AS n FROM billing_creditnote GROUP BY 1) c
    WHERE c.legal_entity_id = s.legal_entity_id;
UPDATE billing_bill SET
    credited_cents = CASE WHEN old_status IN ('void', 'refunded') THEN total_cents ELSE 0 END,
    received_cents = CASE WHEN old_status IN ('paid', 'refunded') THEN total_cents ELSE 0 END,
    returned_cents = CASE WHEN old_status = 'refunded' THEN total_cents ELSE 0 END;

CREATE TEMPORARY TABLE was_moved (key text, kind text, at timestamptz, clinic_id bigint, by_id bigint, account text,
    cents bigint, bill_id bigint, payment_id uuid, booking_id bigint) ON COMMIT DROP;
INSERT INTO was_moved
    SELECT 'bill:' || i.id, 'bill', i.issued_at, i.clinic_id, NULL, a.account, a.cents, i.id, NULL, i.booking_id
    FROM billing_bill i CROSS JOIN LATERAL (VALUES ('receivable', total_cents), ('revenue', gst_cents - total_cents),
        ('gst', -gst_cents)) a (account, cents);
INSERT INTO was_moved
    SELECT 'credit_note:' || c.id, 'credit_note', c.issued_at, i.clinic_id, NULL, a.account, a.cents, i.id, NULL,
        i.booking_id
    FROM billing_creditnote c JOIN billing_bill i ON i.id = c.bill_id CROSS JOIN LATERAL (VALUES
        ('receivable', -c.amount_cents), ('revenue', c.amount_cents - c.gst_cents), ('gst', c.gst_cents)) a (account, cents);
INSERT INTO was_moved
    SELECT 'capture:' || p.id, 'capture', p.updated_at, h.clinic_id, NULL, a.account, a.cents, NULL, p.id, p.booking_id
    FROM billing_payment p JOIN scheduling_hold h ON h.id = p.hold_id CROSS JOIN LATERAL (VALUES
        ('stripe', p.captured_cents), ('customer', -p.captured_cents)) a (account, cents);
INSERT INTO was_moved
    SELECT m.kind || ':' || p.id || ':' || i.id, m.kind, i.issued_at, i.clinic_id, NULL, a.account, a.cents * m.sign, i.id,
        p.id, i.booking_id
    FROM billing_bill i JOIN scheduling_booking b ON b.id = i.booking_id JOIN scheduling_hold h ON h.id = b.hold_id
    JOIN billing_payment p ON p.hold_id = coalesce(h.lead_id, h.id) AND p.captured_cents > 0
    JOIN (VALUES ('allocation', 1), ('release', -1)) m (kind, sign) ON m.sign = 1 OR i.returned_cents > 0
    CROSS JOIN LATERAL (VALUES ('customer', i.received_cents), ('receivable', -i.received_cents)) a (account, cents)
    WHERE NOT EXISTS (SELECT FROM billing_counterpayment c WHERE c.bill_id = i.id);
INSERT INTO was_moved
    SELECT 'refund:' || r.id, 'refund', r.created_at, h.clinic_id, NULL, a.account, a.cents, NULL, p.id, p.booking_id
    FROM billing_refund r JOIN billing_payment p ON p.id = r.payment_id JOIN scheduling_hold h ON h.id = p.hold_id
    CROSS JOIN LATERAL (VALUES ('customer', r.amount_cents), ('stripe', -r.amount_cents)) a (account, cents)
    WHERE r.status IN ('pending', 'succeeded');
INSERT INTO was_moved
    SELECT 'counter:' || c.id, 'counter', c.taken_at, i.clinic_id, c.taken_by_id, a.account, a.cents, i.id, NULL,
        i.booking_id
    FROM billing_counterpayment c JOIN billing_bill i ON i.id = c.bill_id CROSS JOIN LATERAL (VALUES
        (c.method, c.amount_cents), ('receivable', -c.amount_cents)) a (account, cents);
INSERT INTO was_moved
    SELECT 'counter_refund:' || r.id, 'counter_refund', r.given_at, i.clinic_id, r.given_by_id, a.account, a.cents, i.id,
        NULL, i.booking_id
    FROM billing_counterrefund r JOIN billing_counterpayment c ON c.id = r.counter_payment_id
    JOIN billing_bill i ON i.id = c.bill_id CROSS JOIN LATERAL (VALUES
        (c.method, -r.amount_cents), ('receivable', r.amount_cents)) a (account, cents);
INSERT INTO billing_ledgerposting (key, kind, clinic_id, legal_entity_id, date, by_id, posted_at)
    SELECT m.key, m.kind, c.id, c.legal_entity_id, (m.at AT TIME ZONE c.time_zone)::date, m.by_id, m.at
    FROM (SELECT DISTINCT key, kind, at, clinic_id, by_id FROM was_moved WHERE cents <> 0) m
    JOIN scheduling_clinic c ON c.id = m.clinic_id;
INSERT INTO billing_ledgerentry (posting_id, account, amount_cents, bill_id, payment_id, booking_id, session_id)
    SELECT p.id, m.account, m.cents, m.bill_id, m.payment_id, m.booking_id, b.session_id
    FROM was_moved m JOIN billing_ledgerposting p ON p.key = m.key
    LEFT JOIN scheduling_booking b ON b.id = m.booking_id WHERE m.cents <> 0;
UPDATE billing_payment p SET allocated_cents = a.cents FROM (
    SELECT e.payment_id, sum(e.amount_cents) AS cents FROM billing_ledgerentry e
    JOIN billing_ledgerposting o ON o.id = e.posting_id
    WHERE e.account = 'customer' AND o.kind IN ('allocation', 'release') GROUP BY 1) a WHERE a.payment_id = p.id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_counter_and_links"),
        ("patients", "0003_search"),
        ("scheduling", "0005_desk"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameField(model_name="bill", old_name="status", new_name="old_status"),
        migrations.CreateModel(
            name="ContractInstalment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField(verbose_name="number")),
                ("due_on", models.DateField(verbose_name="due on")),
                ("amount_cents", models.PositiveIntegerField(verbose_name="amount (cents)")),
            ],
            options={
                "verbose_name": "instalment",
                "verbose_name_plural": "instalments",
                "ordering": ["number"],
            },
        ),
        migrations.CreateModel(
            name="CounterRefund",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "idempotency_key",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, unique=True, verbose_name="idempotency key"
                    ),
                ),
                ("amount_cents", models.PositiveIntegerField(verbose_name="amount (cents)")),
                (
                    "given_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="given back at"
                    ),
                ),
            ],
            options={
                "verbose_name": "refund at the counter",
                "verbose_name_plural": "refunds at the counter",
            },
        ),
        migrations.CreateModel(
            name="CreditNote",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("amount_cents", models.PositiveIntegerField(verbose_name="amount (cents)")),
                ("gst_cents", models.PositiveIntegerField(verbose_name="of which GST (cents)")),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("cancelled", "Visit cancelled"),
                            ("noshow", "Visit not attended"),
                            ("waived", "Fee waived"),
                            ("contract_ended", "Contract ended"),
                            ("correction", "Correction"),
                            ("goodwill", "Goodwill"),
                        ],
                        max_length=20,
                        verbose_name="reason",
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=200, verbose_name="note")),
                (
                    "issued_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="issued at"
                    ),
                ),
            ],
            options={
                "verbose_name": "credit note",
                "verbose_name_plural": "credit notes",
            },
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "account",
                    models.CharField(
                        choices=[
                            ("stripe", "Online payments"),
                            ("cash", "Cash"),
                            ("terminal", "Card terminal"),
                            ("paynow", "PayNow at the counter"),
                            ("receivable", "Owed by patients"),
                            ("customer", "Received, not yet for a bill"),
                            ("deferred", "Prepaid sessions not yet delivered"),
                            ("revenue", "Revenue"),
                            ("gst", "GST collected"),
                            ("loss", "Lost disputes"),
                        ],
                        max_length=12,
                        verbose_name="account",
                    ),
                ),
                ("amount_cents", models.BigIntegerField(verbose_name="amount (cents)")),
            ],
            options={
                "verbose_name": "ledger entry",
                "verbose_name_plural": "ledger entries",
            },
        ),
        migrations.CreateModel(
            name="LedgerPosting",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=100, unique=True, verbose_name="key")),
                (
                    "kind",
                    models.CharField(
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
                            ("dispute", "Lost dispute"),
                        ],
                        max_length=20,
                        verbose_name="kind",
                    ),
                ),
                ("date", models.DateField(help_text="At the clinic.", verbose_name="date")),
                (
                    "posted_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="posted at"
                    ),
                ),
            ],
            options={
                "verbose_name": "posting",
                "verbose_name_plural": "ledger",
            },
        ),
        migrations.RemoveConstraint(
            model_name="bill",
            name="bill_closed_has_time",
        ),
        migrations.RemoveConstraint(
            model_name="counterpayment",
            name="counter_payment_returned_by_somebody",
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_refunded_at_most_charged",
        ),
        migrations.AddField(
            model_name="bill",
            name="contract",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="bills",
                to="billing.contract",
                verbose_name="contract",
            ),
        ),
        migrations.AddField(
            model_name="bill",
            name="credited_cents",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="credited (cents)"),
        ),
        migrations.AddField(
            model_name="bill",
            name="due_on",
            field=models.DateField(blank=True, null=True, verbose_name="due on"),
        ),
        migrations.AddField(
            model_name="bill",
            name="received_cents",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="received (cents)"),
        ),
        migrations.AddField(
            model_name="bill",
            name="returned_cents",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="given back (cents)"),
        ),
        migrations.AddField(
            model_name="billseries",
            name="last_credit_number",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="last credit note"),
        ),
        migrations.AddField(
            model_name="contract",
            name="admin_fee_cap_cents",
            field=models.PositiveIntegerField(
                db_default=10000, default=10000, verbose_name="but at most (cents)"
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="admin_fee_percent",
            field=models.PositiveSmallIntegerField(
                db_default=10,
                default=10,
                help_text="When the contract ends early.",
                validators=[django.core.validators.MaxValueValidator(100)],
                verbose_name="kept of unused sessions (%)",
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="billing",
            field=models.CharField(
                choices=[
                    ("on_signing", "On signing"),
                    ("instalments", "In instalments"),
                    ("per_visit", "For each visit"),
                ],
                db_default="on_signing",
                default="on_signing",
                max_length=12,
                verbose_name="billed",
            ),
        ),
        migrations.AddField(
            model_name="counterpayment",
            name="returned_cents",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="given back (cents)"),
        ),
        migrations.AddField(
            model_name="payment",
            name="allocated_cents",
            field=models.PositiveIntegerField(
                db_default=0, default=0, verbose_name="applied to bills (cents)"
            ),
        ),
        migrations.AlterField(
            model_name="bill",
            name="booking",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="bill",
                to="scheduling.booking",
                verbose_name="booking",
            ),
        ),
        migrations.AlterField(
            model_name="counterpayment",
            name="bill",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="counter_payments",
                to="billing.bill",
                verbose_name="bill",
            ),
        ),
        migrations.AddConstraint(
            model_name="contract",
            constraint=models.CheckConstraint(
                condition=models.Q(("admin_fee_percent__lte", 100)), name="contract_admin_fee_sane"
            ),
        ),
        migrations.AddField(
            model_name="contractinstalment",
            name="bill",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="instalment",
                to="billing.bill",
                verbose_name="bill",
            ),
        ),
        migrations.AddField(
            model_name="contractinstalment",
            name="contract",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="instalments",
                to="billing.contract",
                verbose_name="contract",
            ),
        ),
        migrations.AddField(
            model_name="counterrefund",
            name="counter_payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="refunds",
                to="billing.counterpayment",
                verbose_name="payment at the counter",
            ),
        ),
        migrations.AddField(
            model_name="counterrefund",
            name="given_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="given back by",
            ),
        ),
        migrations.AddField(
            model_name="creditnote",
            name="bill",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="credit_notes",
                to="billing.bill",
                verbose_name="bill",
            ),
        ),
        migrations.AddField(
            model_name="creditnote",
            name="issued_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="issued by",
            ),
        ),
        migrations.AddField(
            model_name="creditnote",
            name="legal_entity",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="scheduling.legalentity",
                verbose_name="legal entity",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="bill",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="billing.bill",
                verbose_name="bill",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="booking",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="scheduling.booking",
                verbose_name="booking",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="payment",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="billing.payment",
                verbose_name="payment",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="session",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="scheduling.sessionticket",
                verbose_name="session",
            ),
        ),
        migrations.AddField(
            model_name="ledgerposting",
            name="by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="by",
            ),
        ),
        migrations.AddField(
            model_name="ledgerposting",
            name="clinic",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="scheduling.clinic",
                verbose_name="clinic",
            ),
        ),
        migrations.AddField(
            model_name="ledgerposting",
            name="legal_entity",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="scheduling.legalentity",
                verbose_name="legal entity",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="posting",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="billing.ledgerposting",
                verbose_name="posting",
            ),
        ),
        migrations.AddConstraint(
            model_name="contractinstalment",
            constraint=models.UniqueConstraint(fields=("contract", "number"), name="instalment_once"),
        ),
        migrations.AddConstraint(
            model_name="contractinstalment",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_cents__gt", 0), ("number__gte", 1)),
                name="instalment_of_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="counterrefund",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_cents__gt", 0)), name="counter_refund_of_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditnote",
            constraint=models.UniqueConstraint(
                fields=("legal_entity", "number"), name="credit_note_number_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditnote",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_cents__gt", 0), ("gst_cents__lte", models.F("amount_cents")), ("number__gte", 1)
                ),
                name="credit_note_sane",
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerposting",
            index=models.Index(fields=["clinic", "date"], name="posting_clinic_date"),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_cents", 0), _negated=True), name="ledger_entry_of_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("account", "receivable"), _negated=True),
                    ("bill__isnull", False),
                    _connector="OR",
                ),
                name="ledger_receivable_has_bill",
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("account__in", ["customer", "stripe"]), _negated=True),
                    ("payment__isnull", False),
                    _connector="OR",
                ),
                name="ledger_online_has_payment",
            ),
        ),
        migrations.AddField(
            model_name="bill",
            name="clinic",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="bills",
                to="scheduling.clinic",
                verbose_name="clinic",
            ),
        ),
        migrations.AddField(
            model_name="counterpayment",
            name="idempotency_key",
            field=models.UUIDField(
                default=uuid.uuid4,
                editable=False,
                help_text="Of the form.",
                null=True,
                verbose_name="idempotency key",
            ),
        ),
        migrations.RunSQL(BOOKS, migrations.RunSQL.noop),
        migrations.RemoveField(model_name="bill", name="old_status"),
        migrations.RemoveField(
            model_name="bill",
            name="closed_at",
        ),
        migrations.RemoveField(
            model_name="counterpayment",
            name="returned_at",
        ),
        migrations.RemoveField(
            model_name="counterpayment",
            name="returned_by",
        ),
        migrations.AlterField(
            model_name="bill",
            name="clinic",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="bills",
                to="scheduling.clinic",
                verbose_name="clinic",
            ),
        ),
        migrations.AlterField(
            model_name="counterpayment",
            name="idempotency_key",
            field=models.UUIDField(
                default=uuid.uuid4,
                editable=False,
                help_text="Of the form.",
                unique=True,
                verbose_name="idempotency key",
            ),
        ),
        migrations.AddField(
            model_name="bill",
            name="status",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Case(
                    models.When(
                        received_cents__gt=django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("total_cents"), "-", models.F("credited_cents")
                            ),
                            "+",
                            models.F("returned_cents"),
                        ),
                        then=models.Value("refund_due"),
                    ),
                    models.When(then=models.Value("paid"), total_cents=0),
                    models.When(
                        received_cents=0, then=models.Value("void"), total_cents=models.F("credited_cents")
                    ),
                    models.When(then=models.Value("refunded"), total_cents=models.F("credited_cents")),
                    models.When(
                        received_cents=django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("total_cents"), "-", models.F("credited_cents")
                            ),
                            "+",
                            models.F("returned_cents"),
                        ),
                        then=models.Value("paid"),
                    ),
                    models.When(
                        received_cents__gt=models.F("returned_cents"), then=models.Value("part_paid")
                    ),
                    default=models.Value("issued"),
                ),
                output_field=models.CharField(
                    choices=[
                        ("issued", "To be paid"),
                        ("part_paid", "Paid in part"),
                        ("paid", "Paid"),
                        ("refund_due", "Money to be given back"),
                        ("void", "Void"),
                        ("refunded", "Refunded"),
                    ],
                    max_length=10,
                ),
                verbose_name="status",
            ),
        ),
        migrations.AddConstraint(
            model_name="bill",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("booking__isnull", False), ("contract__isnull", True)),
                    models.Q(("booking__isnull", True), ("contract__isnull", False)),
                    _connector="OR",
                ),
                name="bill_is_for_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="bill",
            constraint=models.CheckConstraint(
                condition=models.Q(("credited_cents__lte", models.F("total_cents"))),
                name="bill_credited_at_most_total",
            ),
        ),
        migrations.AddConstraint(
            model_name="bill",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "received_cents__lte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("total_cents"), "+", models.F("returned_cents")
                        ),
                    )
                ),
                name="bill_paid_at_most_total",
            ),
        ),
        migrations.AddConstraint(
            model_name="bill",
            constraint=models.CheckConstraint(
                condition=models.Q(("returned_cents__lte", models.F("received_cents"))),
                name="bill_returned_at_most_received",
            ),
        ),
        migrations.AddConstraint(
            model_name="counterpayment",
            constraint=models.CheckConstraint(
                condition=models.Q(("returned_cents__lte", models.F("amount_cents"))),
                name="counter_returned_at_most_taken",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "refunded_cents__lte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("captured_cents"), "-", models.F("allocated_cents")
                        ),
                    )
                ),
                name="payment_refunded_at_most_charged",
            ),
        ),
        migrations.AddIndex(
            model_name="bill",
            index=models.Index(fields=["clinic", "issued_at"], name="bill_clinic_issued"),
        ),
    ]
