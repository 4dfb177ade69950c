import django.db.models.deletion
from django.db import migrations, models

# A payment by link was that of the visit's hold; now it is for the bill.
LINKS = """
UPDATE billing_payment p SET bill_id = i.id, hold_id = NULL, booking_id = NULL
FROM scheduling_booking b JOIN billing_bill i ON i.booking_id = b.id
WHERE p.is_by_link AND b.hold_id = p.hold_id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
BACK = """
UPDATE billing_payment p SET hold_id = b.hold_id, bill_id = NULL, is_by_link = true
FROM billing_bill i JOIN scheduling_booking b ON b.id = i.booking_id WHERE i.id = p.bill_id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_contracts_are_billed"),
        ("patients", "0004_language_and_purposes"),
        ("scheduling", "0009_reminders"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_charged_for_a_booking",
        ),
        migrations.AddField(
            model_name="payment",
            name="bill",
            field=models.ForeignKey(
                blank=True,
                help_text="Paid by link: what it is for stays, whatever becomes of the payment.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="link_payments",
                to="billing.bill",
                verbose_name="bill",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="hold",
            field=models.OneToOneField(
                blank=True,
                help_text="What is paid for, or else a bill.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payment",
                to="scheduling.hold",
                verbose_name="hold",
            ),
        ),
        migrations.RunSQL(LINKS, BACK),
        migrations.RemoveField(
            model_name="payment",
            name="is_by_link",
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("bill__isnull", True), ("hold__isnull", False)),
                    models.Q(("bill__isnull", False), ("booking__isnull", True), ("hold__isnull", True)),
                    _connector="OR",
                ),
                name="payment_is_for_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("status__in", ["created", "failed", "submitting", "requires_action", "capturing"])
                ),
                fields=("bill",),
                name="one_open_payment_of_a_bill",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status__in", ["capturing", "paid"]), _negated=True),
                    ("booking__isnull", False),
                    ("bill__isnull", False),
                    _connector="OR",
                ),
                name="payment_charged_for_something",
            ),
        ),
    ]
