"""What a payload offers for its gas at the head, known before anyone on the way has to ask."""

import time
from collections.abc import Callable
from typing import Final

from arbsite.base.units import Wei
from contracts.kernel.events import NewHead
from contracts.kernel.fees import FeeModel, GasFees, fees_offered
from contracts.models import Chain

TIP_KEPT_S: Final = 15.0


class Offer:
    """``ask``: the node's answer now. ``head``: the newest block. Any thread."""

    def __init__(
        self, *, chain: Chain, ask: Callable[[], GasFees], head: Callable[[], NewHead]
    ) -> None:
        self._chain = chain
        self._ask = ask
        self._head = head
        self._tip: tuple[Wei, float] | None = None  # as asked of the chain, and when

    def look(self) -> None:
        """Ask the tip, where a chain has one. Raises: RpcError, RpcUnavailable."""
        if FeeModel(self._chain.fee_model) is FeeModel.EIP1559:
            self._tip = (self._ask().max_priority_fee_wei, time.monotonic())

    def now(self) -> GasFees:
        """The tip as last asked over the head's base fee; the node is asked where nobody looked of
        late. Raises: RpcError, RpcUnavailable.
        """
        tip, base_fee = self._tip, self._head().base_fee_wei
        if tip is None or base_fee is None or time.monotonic() - tip[1] > TIP_KEPT_S:
            return self._ask()
        return fees_offered(
            model=FeeModel.EIP1559,
            base_fee_wei=base_fee,
            min_gas_price_wei=Wei(self._chain.min_gas_price_wei),
            bid_wei=tip[0],
        )
