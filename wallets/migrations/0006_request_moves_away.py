"""0006: two more kinds of request. Choices alone: the table is not touched."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wallets', '0005_attempt_by_nonce'),
    ]

    operations = [
        migrations.AlterField(
            model_name='request',
            name='kind',
            field=models.CharField(choices=[('generate', 'Generate a wallet'), ('authorize', 'Authorise'), ('revoke', 'Revoke'), ('fund', 'Fund'), ('auto_fund', 'Fund all that are low'), ('pause', 'Pause'), ('unpause', 'Let go on'), ('sweep', 'Sweep'), ('limits', 'Set limits'), ('mend', 'Mend drift'), ('deploy', 'Deploy'), ('observe', 'Read contracts'), ('balances', 'Read balances'), ('expose', 'Note as exposed'), ('move_away', 'Move away')], max_length=16),
        ),
    ]
