"""0004: an execution keeps what its simulation returned. Both columns are empty for older rows."""

import arbsite.base.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0003_limits'),
    ]

    operations = [
        migrations.AddField(
            model_name='execution',
            name='simulated_by',
            field=models.CharField(blank=True, max_length=4),
        ),
        migrations.AddField(
            model_name='execution',
            name='simulated_profit',
            field=arbsite.base.fields.SignedAmountField(null=True),
        ),
    ]
