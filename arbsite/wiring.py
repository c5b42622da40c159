"""The composition root: what the long processes are made of, built from settings once."""

from collections.abc import Callable

from contracts import adapters as contracts_adapters
from contracts.kernel.events import NewHead
from contracts.models import Chain
from execution import adapters as execution_adapters
from execution.desk import Desk
from execution.engine import Engine, EngineParts
from prices.feed import Feed
from wallets import adapters as wallet_adapters
from wallets.sender import Sender


def engine(chain: Chain) -> Engine:
    """One chain's engine on real adapters."""
    may_sign = execution_adapters.may_sign(chain)
    simulator = execution_adapters.path_simulator(chain)
    rpc = contracts_adapters.rpc(chain)

    def sender() -> Sender:
        return wallet_adapters.sender(chain)

    def feed(addresses: list[str], known: Callable[[], tuple[str, ...]]) -> Feed:
        return Feed(
            urls=contracts_adapters.ws_urls(chain),
            chain_id=chain.eip155_id,
            addresses=addresses,
            block_time_ms=chain.block_time_ms,
            known=known,
        )

    def desk(epoch: int, head: Callable[[], NewHead]) -> Desk:
        return Desk(
            chain=chain,
            may_sign=may_sign,
            simulator=simulator,
            sender=sender(),
            epoch=epoch,
            head=head,
        )

    return Engine(
        EngineParts(
            chain=chain,
            may_sign=may_sign,
            rpc=rpc,
            clients=[("http", rpc), ("send", contracts_adapters.rpc_send(chain))],
            feed=feed,
            sender=sender,
            desk=desk,
            close=simulator.close,
        )
    )
