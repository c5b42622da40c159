"""The desk acts on one opportunity or request at a time: gate, simulate, record, send.

Synchronous, in a thread and on database connections of its own. What the search decides arrives as
values; what it refuses goes back as a reason.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Final, NamedTuple

from django.db import IntegrityError, connection, transaction

from arbsite.base.errors import ArbError
from arbsite.base.units import Gas, Wei
from contracts.kernel.events import NewHead
from contracts.kernel.fees import GasFees
from contracts.models import Chain
from contracts.rpc import HttpRpc
from execution import selectors, services
from execution.executors import Rota
from execution.kernel import gate
from execution.kernel.gate import GateReason, GateState
from execution.kernel.latency import Timeline
from execution.kernel.plan import encode_execute
from execution.memory import Memory
from execution.models import Execution
from execution.offer import Offer
from execution.ports import Sending
from execution.recorded import facts_of, spans_note
from execution.refusals import passed_over, refusal
from execution.simulator import Simulated
from execution.standing import Standing, contract_of, gate_state, standing_read
from execution.tips import affordable, tips_now
from execution.trial import (
    SimulatesHeads,
    Trial,
    cannot_pay,
    disagreement,
    proof_of,
    revert_words,
    simulated_facts,
)
from execution.wanted import WORDS, Acted, Wanted, wanted_from
from prices.kernel.costs import NO_TIP, TipTerms
from prices.kernel.lenders import LenderKind
from prices.kernel.waterfall import Reason
from wallets import selectors as wallet_selectors
from wallets import services as wallet_services
from wallets.kernel.lifecycle import Status
from wallets.models import Transaction
from wallets.planning import transaction_plan_proven, transaction_reproven

logger = logging.getLogger(__name__)
GAS_OF_TEST: Final = 21_000
_TWICE: Final = "This was acted on already."
__all__ = ["Acted", "Desk", "Wanted", "wanted_from"]


class Prepared(NamedTuple):
    """What is committed and may be sent; ``persist_ns``: what writing it took."""

    row: Execution
    planned: Transaction
    persist_ns: int


class Desk:
    """Acts for one chain while this process leads it.

    ``head``: the newest block, asked at the last moment before sending.
    """

    def __init__(
        self,
        *,
        chain: Chain,
        may_sign: bool,
        simulator: SimulatesHeads,
        sender: Sending,
        epoch: int,
        head: Callable[[], NewHead],
    ) -> None:
        self.chain = chain
        self.may_sign = may_sign
        self.sender = sender
        self.epoch = epoch
        self.head = head
        self.offer = Offer(chain=chain, ask=lambda: self.sender.fees_now(), head=head)
        self.trial = Trial(chain=chain, simulator=simulator, fees_now=self.offer.now)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="simulate")
        self.rota = Rota(chain)
        self._standing: Standing | None = None
        self.memory = Memory()

    def close(self) -> None:
        """End its threads when the lead ends; what waits in them is dropped."""
        self._beside.shutdown(wait=False, cancel_futures=True)
        self.rota.close()

    def send_through(self, sender: Sending) -> None:
        """Act by this way from now on. Call it in the thread that acts."""
        self.sender = sender

    def refresh(self) -> Standing:
        """Read anew what is kept between two executions; first, what was done before this lead.
        Database; from any thread."""
        if self._standing is None:
            self.memory.read(self.chain)
        self._standing = standing_read(self.chain)
        self.rota.tell()
        return self._standing

    @property
    def gas_expected(self) -> Mapping[tuple[LenderKind, int], Gas] | None:
        """What each kind of trade uses, as last read; None before the first reading."""
        return None if self._standing is None else self._standing.gas_expected

    def tips(self, standing: Standing | None = None) -> TipTerms:
        """What builders are offered, by the rows as last read. No query."""
        standing = standing or self._standing
        if standing is None:
            return NO_TIP
        return tips_now(
            chain=self.chain,
            config=standing.mode.config,
            receiver=standing.deployment,
            named=self.sender.tip_recipients,
        ).terms

    def look(self, rpc: HttpRpc) -> None:
        """Note what each executor holds and which tip the chain asks, once a block.

        From any thread. Raises: RpcError, RpcUnavailable.
        """
        if self._standing is not None:
            self.rota.look(self._standing.executors, rpc=rpc)
        self.offer.look()

    def saw(self, head: NewHead) -> None:
        """Take a header, so that the simulator need not ask for it; have balances read at it."""
        self.rota.saw()
        self.trial.simulator.note_block(
            number=head.number,
            block_hash=head.hash,
            timestamp_s=head.timestamp_s,
            parent_hash=head.parent_hash,
        )

    def rehearse(self, wanted: Wanted) -> None:
        """Have the simulator learn a path that may pay soon. From any thread; waits for nothing."""
        if self._standing is not None:
            self.trial.rehearse(wanted, self._standing)

    def act(self, wanted: Wanted, *, waits: bool = False) -> Acted:
        """Take one opportunity as far as it may go. Raises only what is a bug, or OperationalError.

        A refusal is written to the request, if there is one; ``waits``: not one that passes by
        itself, so that it can be asked again.
        """
        try:
            acted = self._act(wanted)
        except ArbError as error:
            acted = refusal(error, chain_key=self.chain.key)
        self._answer(wanted.request_pk, acted, waits=waits)
        return acted

    def test(self, request: Execution, *, waits: bool = False) -> Acted:
        """Send 0 from the executor to itself, as someone asked; ``waits`` as in `act`."""
        try:
            acted = self._test(request)
        except ArbError as error:
            acted = refusal(error, chain_key=self.chain.key)
        self._answer(request.pk, acted, waits=waits)
        return acted

    @staticmethod
    def _answer(request_pk: int | None, acted: Acted, *, waits: bool) -> None:
        if request_pk is not None and acted.reason and not (waits and acted.passes):
            services.execution_refused(pk=request_pk, reason=acted.reason, detail=acted.detail)

    def _act(self, wanted: Wanted) -> Acted:
        standing = self._standing
        if standing is None or not standing.is_fresh:
            standing = self.refresh()
        gas_wei, head = self.trial.gas_of_one(wanted, standing), self.head()
        wallet = self.rota.turn(standing.executors, gas_wei=gas_wei, head=head.number)
        if standing.deployment is None or wallet is None:
            why = "No contract with an authorised, active executor."
            return Acted("not_armed", why, stops_all=True)
        standing = replace(standing, wallet=wallet)
        state = gate_state(
            standing,
            chain=self.chain,
            head_hash=head.hash,
            memory=self.memory,
            pools=wanted.candidate.pools,
        )
        balance_wei = standing.balances.get(wallet.pk)
        tips = affordable(self.tips(standing), balance_wei=balance_wei, gas_wei=gas_wei)
        least = gate.least_net(state.config, wanted.evaluation.borrow_amount)
        wanted = wanted.repriced(Wei(0), tips=tips, least=least)
        if reason := gate.first_reason(state, wanted.candidate):
            return passed_over(state, wanted.candidate, reason)
        fees = self.trial.fees(wanted, state)
        price_wei = fees.price_at(base_fee_wei=wanted.base_fee_wei)
        wanted = wanted.repriced(price_wei, tips=tips, least=least)
        if reason := gate.first_reason(state, wanted.candidate):
            return passed_over(state, wanted.candidate, reason)
        simulation = self._beside.submit(self.trial.simulate, wanted, standing, fees)
        prepared = self._prepare(wanted, simulation, state, standing)
        if isinstance(prepared, Acted):
            acted = prepared
        else:
            self.memory.keep(wanted.candidate, prepared.row)
            acted = self._hand_over(prepared, fees, timeline=wanted.timeline)
        if simulation.done() and simulation.exception() is None:
            self.trial.keep_estimate(wanted, simulation.result())
        return acted

    def _prepare(
        self,
        wanted: Wanted,
        simulation: "Future[Simulated]",
        state: GateState,
        standing: Standing,
    ) -> Prepared | Acted:
        """Write the rows while the simulation runs, as if it had ended as it usually does; commit
        them if it succeeds, with what it said, else none."""
        started = time.perf_counter_ns()
        try:
            with transaction.atomic():
                assumed = self.trial.assumed(wanted, standing)
                row, planned = self._write(wanted, standing, assumed)
                written = time.perf_counter_ns()
                simulated = simulation.result()
                waited = time.perf_counter_ns() - written
                if refused := self._refused(wanted, simulated, state):
                    transaction.set_rollback(True)
                    return refused
                if proof_of(simulated) != proof_of(assumed):
                    transaction_reproven(transaction_=planned, proof=proof_of(simulated))
                if simulated_facts(simulated) != simulated_facts(assumed):
                    Execution.objects.filter(pk=row.pk).update(**simulated_facts(simulated))
        except IntegrityError:  # its key stands: whoever had it first has acted, or acts
            return Acted(GateReason.IN_FLIGHT.value, _TWICE)
        return Prepared(row, planned, persist_ns=time.perf_counter_ns() - started - waited)

    def _write(
        self, wanted: Wanted, standing: Standing, simulated: Simulated
    ) -> tuple[Execution, Transaction]:
        """Both rows, inside the caller's transaction. Raises: IntegrityError for a known key."""
        self._wait_for_no_disk()
        assert standing.wallet is not None  # noqa: S101  the caller looked
        assert standing.deployment is not None  # noqa: S101  the caller looked
        planned = transaction_plan_proven(
            wallet=standing.wallet,
            kind="execution",
            to=standing.deployment.address,
            data=encode_execute(wanted.plan),
            value_wei=wanted.evaluation.tip_wei,
            key=wanted.candidate.key,
            proof=proof_of(simulated),
            last_block=wanted.plan.last_block,
            leader_epoch=self.epoch,
            private_only=standing.mode.config.use_private_mempool,
            epoch=standing.kill_epoch,
            simulated_only=not self.may_sign,
        )
        row = services.execution_record(
            chain=self.chain,
            key=wanted.candidate.key,
            request_pk=wanted.request_pk,
            planned=planned,
            facts={**facts_of(wanted, standing), **simulated_facts(simulated)},
        )
        return row, planned

    def _refused(self, wanted: Wanted, simulated: Simulated, state: GateState) -> Acted | None:
        """What a simulation, or the time that it took, says against sending."""
        if distrust := disagreement(wanted, simulated):
            return Acted(Reason.STALE_POOL.value, distrust, distrust=distrust)
        now = replace(state, head_hash=self.head().hash)
        candidate = replace(wanted.candidate, simulated=simulated.ok)
        reason = gate.reason_not_to_send(now, candidate)
        if reason is None:
            return None
        acted = passed_over(now, candidate, reason, detail=revert_words(simulated))
        return replace(acted, stops_all=acted.stops_all or cannot_pay(simulated))

    def _wait_for_no_disk(self) -> None:
        """Where bytes follow, their commit waits for the disk and covers the caller's."""
        if self.may_sign:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")

    def _hand_over(self, prepared: Prepared, fees: GasFees, *, timeline: Timeline) -> Acted:
        """Send what is recorded; what may not sign has ended at simulated."""
        row, planned = prepared.row, prepared.planned
        recorded_ns = time.perf_counter_ns()
        acted = Acted(execution_pk=row.pk)
        if self.may_sign:
            try:
                outcome = self.sender.send(
                    planned.pk,
                    fees=fees,
                    leader_epoch=self.epoch,
                    account=planned.wallet.address,
                )
                started_ns = recorded_ns - prepared.persist_ns
                spans_note(timeline, outcome, started_ns=started_ns, recorded_ns=recorded_ns)
            except ArbError as error:
                acted = refusal(error, chain_key=self.chain.key)
                acted = replace(acted, execution_pk=row.pk)
                self._end_unsent(planned, str(error))
        services.latency_record(
            chain=self.chain, execution_pk=row.pk, stages_us=timeline.microseconds()
        )
        return acted

    def _end_unsent(self, planned: Transaction, why: str) -> None:
        """A refusal before a nonce was taken ends the transaction; anything later is recovered."""
        planned.refresh_from_db()
        if planned.status in (Status.PLANNED, Status.SIMULATED):
            try:
                wallet_services.transaction_rejected(transaction_=planned, reason=why)
            except ArbError as error:
                logger.warning("left to recovery", extra={"why": str(error)})

    def _test(self, request: Execution) -> Acted:
        deployment, executors = contract_of(self.chain)
        least_wei = Wei(GAS_OF_TEST * self.chain.min_gas_price_wei)
        wallet = self.rota.turn(executors, gas_wei=least_wei, head=self.head().number)
        if wallet is None:
            able = wallet_selectors.wallets_that_send(chain_key=self.chain.key, role="executor")
            wallet = able[0] if able else None
        if wallet is None:
            return Acted("not_armed", "There is no active executor: create one first.")
        epoch = wallet_services.kill_epoch(self.chain.key)
        if wallet_selectors.kill_engaged(chain_key=self.chain.key):
            return Acted(GateReason.KILLED.value, WORDS["killed"])
        if wallet.pk in selectors.in_flight(chain=self.chain).wallets:
            return Acted(GateReason.IN_FLIGHT.value, WORDS["in_flight"])
        timeline = Timeline(event_ns=time.perf_counter_ns())
        fees = self.sender.fees_now()
        simulated = self._beside.submit(
            self.trial.simulate_nothing,
            wallet,
            fees,
            block_hash=self.head().hash,
            timeline=timeline,
        ).result()
        if not simulated.ok:
            return Acted(GateReason.SIMULATION_FAILED.value, revert_words(simulated))
        started = time.perf_counter_ns()
        try:
            with transaction.atomic():
                self._wait_for_no_disk()
                planned = transaction_plan_proven(
                    wallet=wallet,
                    kind="test",
                    to=wallet.address,
                    data=b"",
                    key=request.key,
                    proof=proof_of(simulated),
                    leader_epoch=self.epoch,
                    epoch=epoch,
                    simulated_only=not self.may_sign,
                )
                facts = {"wallet": wallet, "deployment": deployment}
                services.request_take(pk=request.pk, planned=planned, facts=facts)
        except IntegrityError:
            return Acted(GateReason.IN_FLIGHT.value, _TWICE)
        prepared = Prepared(request, planned, persist_ns=time.perf_counter_ns() - started)
        return self._hand_over(prepared, fees, timeline=timeline)
