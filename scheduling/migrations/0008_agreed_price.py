from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0007_gst_registration"),
    ]

    operations = [
        migrations.AddField(
            model_name="bookingrequest",
            name="price_cents",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Of those not prepaid. Empty: the price of the service.",
                null=True,
                verbose_name="agreed price of a session (cents)",
            ),
        ),
    ]
