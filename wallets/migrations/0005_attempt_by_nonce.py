from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wallets", "0004_request")]

    operations = [
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(fields=["sequence", "nonce"], name="attempt_by_nonce"),
        ),
    ]
