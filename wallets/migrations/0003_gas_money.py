"""0003: how gas is kept up: policies, monitors, the ledger of fundings and reserves. Schema alone."""

import arbsite.base.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contracts', '0001_initial'),
        ('wallets', '0002_append_only'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BalanceMonitor',
            fields=[
                ('chain', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='balance_monitor', serialize=False, to='contracts.chain')),
                ('running', models.BooleanField(default=True)),
                ('interval_s', models.PositiveIntegerField(default=15)),
                ('swept_at', models.DateTimeField(null=True)),
                ('swept_block', models.PositiveBigIntegerField(null=True)),
                ('swept_wallets', models.PositiveIntegerField(default=0)),
                ('problem', models.CharField(blank=True, max_length=200)),
                ('changed_at', models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name='FundingPolicy',
            fields=[
                ('chain', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='funding_policy', serialize=False, to='contracts.chain')),
                ('automatic', models.BooleanField(default=True)),
                ('threshold_wei', arbsite.base.fields.Uint256Field(default=50000000000000000)),
                ('target_wei', arbsite.base.fields.Uint256Field(default=100000000000000000)),
                ('min_transfer_wei', arbsite.base.fields.Uint256Field(default=1000000000000000)),
                ('cap_transfer_wei', arbsite.base.fields.Uint256Field(default=200000000000000000)),
                ('cap_wallet_day_wei', arbsite.base.fields.Uint256Field(default=500000000000000000)),
                ('cap_chain_day_wei', arbsite.base.fields.Uint256Field(default=1000000000000000000)),
                ('reserve_floor_wei', arbsite.base.fields.Uint256Field(default=100000000000000000)),
                ('cooldown_s', models.PositiveIntegerField(default=600)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'verbose_name_plural': 'funding policies',
            },
        ),
        migrations.CreateModel(
            name='ReserveBook',
            fields=[
                ('reserve', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='book', serialize=False, to='wallets.wallet')),
                ('opened_block', models.PositiveBigIntegerField()),
                ('opened_wei', arbsite.base.fields.Uint256Field()),
                ('checked_block', models.PositiveBigIntegerField()),
                ('checked_block_hash', arbsite.base.fields.HashField()),
                ('checked_wei', arbsite.base.fields.Uint256Field()),
                ('difference_wei', arbsite.base.fields.SignedAmountField(default=0)),
                ('problem', models.CharField(blank=True, max_length=200)),
                ('checked_at', models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.AddField(
            model_name='funding',
            name='automatic',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='funding',
            name='closed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='funding',
            name='decided_balance_wei',
            field=arbsite.base.fields.Uint256Field(null=True),
        ),
        migrations.AddField(
            model_name='funding',
            name='decided_block',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='funding',
            name='decided_block_hash',
            field=arbsite.base.fields.HashField(blank=True),
        ),
        migrations.AddField(
            model_name='funding',
            name='gas_wei',
            field=arbsite.base.fields.Uint256Field(default=0),
        ),
        migrations.AddField(
            model_name='funding',
            name='key',
            field=models.CharField(max_length=200, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='funding',
            name='kill_epoch',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='funding',
            name='kind',
            field=models.CharField(choices=[('topup', 'Top-up'), ('deposit', 'Deposit')], default='topup', max_length=8),
        ),
        migrations.AddField(
            model_name='funding',
            name='refused',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddIndex(
            model_name='funding',
            index=models.Index(fields=['wallet', '-created_at'], name='funding_latest'),
        ),
        migrations.AddConstraint(
            model_name='funding',
            constraint=models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True), ('kind', 'topup')), fields=('wallet',), name='funding_one_open_per_wallet'),
        ),
        migrations.AddConstraint(
            model_name='funding',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'deposit')), fields=('reserve', 'decided_block'), name='funding_one_deposit_per_block'),
        ),
        migrations.AddConstraint(
            model_name='funding',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'topup'), models.Q(('wallet', models.F('reserve')), _negated=True)), models.Q(('closed_at__isnull', False), ('kind', 'deposit'), ('transaction__isnull', True), ('wallet', models.F('reserve'))), _connector='OR'), name='funding_kind_fits'),
        ),
        migrations.AddConstraint(
            model_name='funding',
            constraint=models.CheckConstraint(condition=models.Q(('amount_wei__gt', 0)), name='funding_moves_something'),
        ),
        migrations.AddConstraint(
            model_name='fundingpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('target_wei__gt', models.F('threshold_wei'))), name='funding_policy_target_above_threshold'),
        ),
    ]
