"""What beat runs and how often: rows of django-celery-beat, editable in the admin panel."""

from typing import Final, NamedTuple

from django_celery_beat.models import IntervalSchedule, PeriodicTask


class Schedule(NamedTuple):
    """One row: its name, the task, and seconds between runs."""

    name: str
    task: str
    every_s: int


SCHEDULES: Final = (
    Schedule("wake-ups the broker missed", "arbsite.base.tasks.sweep_wakeups", 10),
    Schedule("idempotency records pruned", "arbsite.base.tasks.prune_idempotency", 3600),
    Schedule("chain health", "contracts.tasks.measure_chain_health", 15),
    Schedule("tokens and pools proven again", "contracts.tasks.prove_tokens", 86_400),
    # Looks which chains are due: how often each is read is its monitor's.
    Schedule("balances", "wallets.tasks.refresh_all_balances", 5),
    Schedule("balances pruned", "wallets.tasks.prune_balances", 3600),
    Schedule("requests whose worker was lost", "wallets.tasks.act_on_waiting_requests", 10),
    Schedule("contracts read", "wallets.tasks.read_all_contracts", 30),
    Schedule("receipts backstop", "wallets.tasks.settle_all_receipts", 15),
    Schedule("poll", "prices.tasks.poll_due", 5),
    Schedule("prices rolled up", "prices.tasks.roll_up_prices", 15),
    Schedule("opportunities pruned", "prices.tasks.prune_opportunities", 3600),
    Schedule("unsent opportunities looked at again", "execution.tasks.look_at_unsent", 5),
    Schedule("shadow checks pruned", "execution.tasks.prune_shadow_checks", 3600),
)


def schedules_ensure() -> int:
    """Make missing rows; what an operator changed stays. Returns how many were made."""
    made = 0
    for wanted in SCHEDULES:
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=wanted.every_s, period=IntervalSchedule.SECONDS
        )
        _, created = PeriodicTask.objects.get_or_create(
            name=wanted.name,
            # A run that could not start in time is worth nothing: the next one is near.
            defaults={
                "task": wanted.task,
                "interval": interval,
                "expire_seconds": max(wanted.every_s, 30),
            },
        )
        made += created
    return made
