"""The executors of a contract in the order they take over, and which of them has the turn."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from django.db.models import Min

from arbsite.base import alerts
from arbsite.base.errors import ArbError
from arbsite.base.units import BlockNumber, Wei
from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from execution.kernel.executors import Candidate, Turn, choose
from execution.selectors import HOLDS_WALLET
from wallets import selectors as wallet_selectors
from wallets.models import NonceSequence, Transaction, Wallet

logger = logging.getLogger(__name__)
# What one execution burns at most, where receipts have not said yet.
GAS_OF_ONE: Final = 500_000
# A choice waits no longer than this for the balances at its head: asked when the head is seen, they
# are there before the search ends unless the node is slow, and then the last ones count.
BALANCES_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """One authorised, active executor as the record knows it."""

    deployment_id: int
    wallet: Wallet
    frozen: bool
    open_since: BlockNumber | None

    def candidate(self, balance_wei: Wei | None) -> Candidate:
        """As the kernel takes it."""
        return Candidate(
            wallet_id=self.wallet.pk,
            frozen=self.frozen,
            balance_wei=balance_wei,
            open_since=self.open_since,
        )


def executors_of(*, deployment_id: int) -> tuple[Executor, ...]:
    """A contract's executors in their order; revoked and inactive ones are none. Queries: 3."""
    wallets = wallet_selectors.executors_in_order(deployment_id=deployment_id)
    frozen = set(
        NonceSequence.objects.filter(address__in=[wallet.address for wallet in wallets])
        .exclude(frozen="")
        .values_list("chain_id", "address")
    )
    open_ = Transaction.objects.filter(
        wallet__in=wallets, status__in=HOLDS_WALLET, simulated_only=False
    )
    since = dict(open_.order_by().values_list("wallet_id").annotate(since=Min("simulated_block")))
    return tuple(
        Executor(
            deployment_id=deployment_id,
            wallet=wallet,
            frozen=(wallet.chain_id, wallet.address) in frozen,
            open_since=since.get(wallet.pk),
        )
        for wallet in wallets
    )


def turn_of(
    executors: Sequence[Executor],
    *,
    balances: Mapping[int, Wei],
    gas_wei: Wei,
    head: BlockNumber | None,
) -> tuple[Wallet | None, Turn | None]:
    """Who executes now, as a row and with the reasons; see `kernel.executors.choose`."""
    candidates = [one.candidate(balances.get(one.wallet.pk)) for one in executors]
    turn = choose(candidates, gas_wei=gas_wei, head=head)
    if turn is None:
        return None, None
    return next(one.wallet for one in executors if one.wallet.pk == turn.wallet_id), turn


class Rota:
    """Gives a chain's executors their turns, and tells when a backup takes over.

    Who is drained in a block is passed over at that block's head, and who is frozen or revoked at
    the next decision: a backup executes one block later at most. Where there is no backup nothing
    is asked.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._rpc: HttpRpc | None = None
        self._wallets: tuple[Wallet, ...] = ()
        self._balances: Mapping[int, Wei] = {}
        self._asked: Future[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rota")
        self._given: tuple[Sequence[Executor], Wallet, Turn] | None = None
        self._told: int | None = None

    def look(self, executors: Sequence[Executor], *, rpc: HttpRpc) -> None:
        """Read the balances that a choice needs, in one batch; an only executor needs none.

        Raises: RpcUnavailable.
        """
        self._rpc = rpc
        self._take(executors)
        if self._wallets:  # in its turn: an answer never takes the place of a later one
            self._thread.submit(self._read).result()

    def saw(self) -> None:
        """A new head: have the balances read anew while it is searched. Never waits, nor raises."""
        waits = self._asked is not None and not (self._asked.running() or self._asked.done())
        if self._wallets and not waits:
            self._asked = self._thread.submit(self._read_calmly)

    def close(self) -> None:
        """End its thread; what waits in it is dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self, executors: Sequence[Executor]) -> None:
        wallets = tuple(one.wallet for one in executors)
        self._wallets = wallets if len(wallets) > 1 else ()
        if not self._wallets:
            self._balances = {}

    def _read_calmly(self) -> None:
        try:
            self._read()
        except ArbError as error:  # the last ones count until the next head
            logger.warning(
                "balances not read", extra={"chain": self._chain.key, "error": str(error)}
            )

    def _read(self) -> None:
        wallets, rpc = self._wallets, self._rpc
        if not wallets or rpc is None:
            return
        asked = [("eth_getBalance", [wallet.address, "latest"]) for wallet in wallets]
        answers = zip(wallets, rpc.batch(asked), strict=True)
        self._balances = {
            wallet.pk: Wei(hex_int(answer))
            for wallet, answer in answers
            if not isinstance(answer, RpcError)
        }

    def turn(
        self, executors: Sequence[Executor], *, gas_wei: Wei, head: BlockNumber
    ) -> Wallet | None:
        """Whose turn it is: by the record as it is now, and the balances of the newest head.

        It stands in the way of an execution: without a backup it asks nobody; with one, three
        queries, and at most `BALANCES_WAIT_S` for the node.
        """
        if len(executors) > 1:
            executors = executors_of(deployment_id=executors[0].deployment_id)
            self._take(executors)
            if self._asked is not None:
                wait([self._asked], timeout=BALANCES_WAIT_S)
        wallet, turn = turn_of(executors, balances=self._balances, gas_wei=gas_wei, head=head)
        if wallet is not None and turn is not None:
            self._given = (executors, wallet, turn)
        return wallet

    def tell(self) -> None:
        """Say it once when another executor has the turn than before: in the log, and as an alert
        while a backup has it. Two queries at a change, else none."""
        if self._given is None:
            return
        executors, wallet, turn = self._given
        if wallet.pk == self._told:
            return
        self._told = wallet.pk
        key = f"takeover:{self._chain.key}"
        if wallet.pk == executors[0].wallet.pk:
            alerts.alert_resolve(key=key)
            return
        names = {one.wallet.pk: one.wallet.address for one in executors}
        why = ", ".join(f"{names[pk]} is {ail}" for pk, ail in turn.passed)
        logger.warning(
            "backup executes",
            extra={"chain": self._chain.key, "wallet": wallet.address, "why": why},
        )
        alerts.alert_raise(
            key=key,
            title=f"A backup executes on {self._chain.key}",
            detail=f"{wallet.address} has taken over: {why}.",
            fix="Top up, unfreeze or wait: the first in order takes its turn back by itself.",
        )
