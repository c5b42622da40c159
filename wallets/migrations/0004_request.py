"""0004: what people ask for and a worker acts on. Schema alone."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contracts', '0001_initial'),
        ('wallets', '0003_gas_money'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Request',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('generate', 'Generate a wallet'), ('authorize', 'Authorise'), ('revoke', 'Revoke'), ('fund', 'Fund'), ('auto_fund', 'Fund all that are low'), ('pause', 'Pause'), ('unpause', 'Let go on'), ('sweep', 'Sweep'), ('limits', 'Set limits'), ('mend', 'Mend drift'), ('deploy', 'Deploy'), ('observe', 'Read contracts'), ('balances', 'Read balances')], max_length=16)),
                ('args', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('runs', models.PositiveIntegerField(default=0)),
                ('taken_at', models.DateTimeField(null=True)),
                ('done_at', models.DateTimeField(null=True)),
                ('result', models.JSONField(null=True)),
                ('reason', models.CharField(blank=True, max_length=40)),
                ('problem', models.CharField(blank=True, max_length=400)),
                ('chain', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='contracts.chain')),
                ('deployment', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='requests', to='contracts.deployment')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('wallet', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='requests', to='wallets.wallet')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('done_at__isnull', True)), fields=['created_at'], name='request_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('done_at__isnull', True), ('problem', ''), ('result__isnull', True)), models.Q(('done_at__isnull', False), ('problem', ''), ('result__isnull', False)), models.Q(('done_at__isnull', False), ('result__isnull', True), models.Q(('problem', ''), _negated=True)), _connector='OR'), name='request_ends_one_way')],
            },
        ),
    ]
