"""What pages are told of prices, opportunities and monitoring: keys, never data, after commit."""

from collections.abc import Sequence
from typing import Final

from arbsite.base.channel import tell

PRICES: Final = "prices"
OPPORTUNITIES: Final = "opportunities"
STATUS: Final = "status"


def wrote(*, chain_key: str, pools: Sequence[int], opportunities: Sequence[int]) -> None:
    """Rows of these pools and opportunities were written."""
    if pools:
        tell(PRICES, pools)
    if opportunities:
        tell(OPPORTUNITIES, opportunities)
    tell(STATUS, [chain_key])


def status_changed(chain_key: str) -> None:
    """Monitoring, mode or health of a chain changed."""
    tell(STATUS, [chain_key])
