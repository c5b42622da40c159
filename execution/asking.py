"""Which chains a call on the executing side means where it names none."""

from contracts.models import Chain
from contracts.selectors import chain_wanted


def chains_meant(key: str | None) -> list[Chain]:
    """The chain that is named, else every chain that has a mode. Raises: ValidationError."""
    return [chain_wanted(key)] if key else list(Chain.objects.filter(fast_mode_configs__version=1))
