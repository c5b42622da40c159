"""0006: the share of a profit that is offered to builders. Versions from before offered nothing: 0.

Reverse: the column is dropped, and nothing is offered.
"""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0005_shadow_check'),
    ]

    operations = [
        migrations.AddField(
            model_name='fastmodeconfig',
            name='tip_share_bps',
            field=models.PositiveIntegerField(default=0),
        ),
    ]
