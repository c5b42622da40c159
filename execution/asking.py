"""Which chains a call on the executing side means where it names none."""

from django.conf import settings
from django.db.models import Q

from contracts.models import Chain
from contracts.selectors import chain_wanted


def chains_meant(key: str | None) -> list[Chain]:
    """The chain that is named, else every chain that has a mode. Raises: ValidationError."""
    return [chain_wanted(key)] if key else list(Chain.objects.filter(fast_mode_configs__version=1))


def chains_freed(key: str | None) -> list[Chain]:
    """The chain that is named, else every chain that the switch of all may stop something on: one
    that has a mode, and one on which anything may be signed. Raises: ValidationError."""
    if key:
        return [chain_wanted(key)]
    may = Q(fast_mode_configs__version=1) | Q(key__in=settings.ARB.live_chains)
    return list(Chain.objects.filter(may).distinct())
