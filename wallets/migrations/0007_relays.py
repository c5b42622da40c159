"""0007: what each relay was given, and how it answered when it was tried; a request to drill.

New tables and choices alone: no table is rewritten.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contracts', '0001_initial'),
        ('wallets', '0006_request_moves_away'),
    ]

    operations = [
        migrations.AlterField(
            model_name='request',
            name='kind',
            field=models.CharField(choices=[('generate', 'Generate a wallet'), ('authorize', 'Authorise'), ('revoke', 'Revoke'), ('fund', 'Fund'), ('auto_fund', 'Fund all that are low'), ('pause', 'Pause'), ('unpause', 'Let go on'), ('sweep', 'Sweep'), ('limits', 'Set limits'), ('mend', 'Mend drift'), ('deploy', 'Deploy'), ('observe', 'Read contracts'), ('balances', 'Read balances'), ('expose', 'Note as exposed'), ('move_away', 'Move away'), ('drill', 'Drill the kill switch')], max_length=16),
        ),
        migrations.CreateModel(
            name='RelayProbe',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('relay', models.CharField(max_length=24)),
                ('entry_digest', models.CharField(max_length=64)),
                ('ok', models.BooleanField(default=False)),
                ('detail', models.CharField(blank=True, max_length=200)),
                ('at', models.DateTimeField(auto_now=True)),
                ('chain', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='contracts.chain')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('chain', 'relay'), name='probe_one_per_relay')],
            },
        ),
        migrations.CreateModel(
            name='Submission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('relay', models.CharField(max_length=24)),
                ('asked', models.PositiveIntegerField(default=1)),
                ('accepted', models.BooleanField(default=False)),
                ('outcome', models.CharField(choices=[('accepted', 'Accepted'), ('refused', 'Refused'), ('unknown', 'Unknown'), ('not_sent', 'Not sent')], max_length=8)),
                ('detail', models.CharField(blank=True, max_length=200)),
                ('took_us', models.PositiveBigIntegerField(default=0)),
                ('first_at', models.DateTimeField(auto_now_add=True)),
                ('last_at', models.DateTimeField(auto_now=True)),
                ('attempt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='submissions', to='wallets.attempt')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['last_at'], name='submission_latest')],
                'constraints': [models.UniqueConstraint(fields=('attempt', 'relay'), name='submission_one_per_relay')],
            },
        ),
    ]
