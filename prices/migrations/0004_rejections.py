"""0004: ``Monitor.rejections``, empty at first: what was stopped before is not counted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("prices", "0003_sighting"),
    ]

    operations = [
        migrations.AddField(
            model_name="monitor",
            name="rejections",
            field=models.JSONField(default=dict),
        ),
    ]
