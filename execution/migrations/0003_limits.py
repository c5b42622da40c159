"""0003: the operator's further limits, and what an arming remembers of itself.

Columns that old versions of limits lack stay NULL there: versions are never edited, and
`execution.limits` derives for them what held before. Two columns that nothing read are dropped.
Reverse: they come back empty.
"""

from django.db import migrations, models

import arbsite.base.fields


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0002_append_only'),
    ]

    operations = [
        migrations.RemoveField(model_name='fastmodeconfig', name='forced_lender'),
        migrations.RemoveField(model_name='fastmodeconfig', name='max_position_usd'),
        migrations.AddField(
            model_name='fastmode',
            name='armed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='fastmode',
            name='returns',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='fastmodeconfig',
            name='expiry_ms',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='fastmodeconfig',
            name='max_loss_per_day_wei',
            field=arbsite.base.fields.Uint256Field(null=True),
        ),
        migrations.AddField(
            model_name='fastmodeconfig',
            name='max_loss_per_hour_wei',
            field=arbsite.base.fields.Uint256Field(null=True),
        ),
        migrations.AddField(
            model_name='fastmodeconfig',
            name='max_position_wei',
            field=arbsite.base.fields.Uint256Field(default=0),
        ),
        migrations.AddField(
            model_name='fastmodeconfig',
            name='repeats',
            field=models.PositiveIntegerField(null=True),
        ),
    ]
