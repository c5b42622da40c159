"""The desk acts on one opportunity or request at a time: gate, simulate, record, send.

Synchronous, in a thread and on database connections of its own. What the search decides arrives as
values; what it refuses goes back as a reason.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from arbsite.base.errors import ArbError
from arbsite.base.units import Gas, Wei
from contracts.kernel.events import NewHead
from contracts.kernel.fees import GasFees
from contracts.models import Chain
from contracts.rpc import HttpRpc
from execution import selectors, services
from execution.drafts import Draft, Drafts, simulated_otherwise
from execution.executors import Rota
from execution.kernel import gate
from execution.kernel.gate import GateReason, GateState
from execution.kernel.latency import Timeline
from execution.memory import Memory
from execution.models import Execution
from execution.offer import Offer
from execution.ports import Begun, Sending
from execution.recorded import spans_note
from execution.refusals import passed_over, refusal
from execution.simulator import Simulated
from execution.standing import (
    GateFacts,
    Standing,
    contract_of,
    gate_facts,
    gate_facts_read,
    gate_question,
    gate_state,
    standing_read,
)
from execution.tips import affordable, tips_now
from execution.trial import (
    SimulatesHeads,
    Trial,
    cannot_pay,
    disagreement,
    proof_of,
    revert_words,
)
from execution.wanted import WORDS, Acted, Wanted, wanted_from
from prices.kernel.costs import NO_TIP, TipTerms
from prices.kernel.lenders import LenderKind
from prices.kernel.waterfall import Reason
from wallets import selectors as wallet_selectors
from wallets import services as wallet_services
from wallets.beginning import KeyStands
from wallets.kernel.lifecycle import Status
from wallets.models import Transaction
from wallets.record import RecordUnavailable

logger = logging.getLogger(__name__)
GAS_OF_TEST: Final = 21_000
SLOW_NS: Final = 5_000_000  # a simulation that took longer has the gate asked once more
_OTHER_LIMITS: Final = "The limits were changed meanwhile: it is planned anew by those."
__all__ = ["Acted", "Desk", "Wanted", "wanted_from"]


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
        self.rota = Rota(chain)
        self.drafts = Drafts(chain=chain, may_sign=may_sign, epoch=epoch)
        self._facts: GateFacts | None = None  # as last read, while they stand in nobody's way
        self._standing: Standing | None = None
        self.memory = Memory()

    def close(self) -> None:
        """End its threads when the lead ends; what waits in them is dropped."""
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
        self.drafts.fill()
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
        """Note what the gate will ask, what each executor holds and which tip the chain asks.

        Once a block, from any thread. Raises: RpcError, RpcUnavailable.
        """
        if self._standing is not None:
            # So that who acts next begins with what is.
            self._facts = gate_facts_read(self._standing, chain=self.chain, pools=())
            self.rota.look(self._standing.executors, rpc=rpc)
        self.offer.look()

    def saw(self, head: NewHead) -> None:
        """Take a header, so that the simulator need not ask for it; have balances read at it.

        What runs beside waits for who acts on it, until `rest`.
        """
        self.trial.simulator.make_way()
        self.rota.saw()
        self.trial.simulator.note_block(
            number=head.number,
            block_hash=head.hash,
            timestamp_s=head.timestamp_s,
            parent_hash=head.parent_hash,
        )

    def rest(self) -> None:
        """Nobody acts on the head that was seen, or whoever did has done."""
        self.trial.simulator.go_on()

    def rehearse(self, wanted: Wanted) -> None:
        """Have the simulator learn a path that may pay soon. From any thread; waits for nothing."""
        if self._standing is not None:
            self.trial.rehearse(wanted, self._standing)

    def act(self, wanted: Wanted, *, waits: bool = False) -> Acted:
        """Take one opportunity as far as it may go. Raises only what is a bug, or that the record
        is away.

        A refusal is written to the request, if there is one; ``waits``: not one that passes by
        itself, so that it can be asked again.
        """
        self.trial.simulator.make_way()
        try:
            acted = self._act(wanted)
        except RecordUnavailable:
            raise  # nothing was decided: it is asked again once the record is back
        except ArbError as error:
            acted = refusal(error, chain_key=self.chain.key)
        finally:
            self.rest()
        self._answer(wanted.request_pk, acted, waits=waits)
        return acted

    def test(self, request: Execution, *, waits: bool = False) -> Acted:
        """Send 0 from the executor to itself, as someone asked; ``waits`` as in `act`."""
        try:
            acted = self._test(request)
        except RecordUnavailable:
            raise
        except ArbError as error:
            acted = refusal(error, chain_key=self.chain.key)
        finally:
            self.rest()
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
        if wanted.config_pk != standing.mode.config.pk:
            standing = self.refresh()
        if wanted.config_pk != standing.mode.config.pk:
            return Acted(GateReason.SUPERSEDED.value, _OTHER_LIMITS, stops_all=True)
        gas_wei, head = self.trial.gas_of_one(wanted, standing), self.head()
        wallet = self.rota.turn(standing.executors, gas_wei=gas_wei, head=head.number)
        if standing.deployment is None or wallet is None:
            why = "No contract with an authorised, active executor."
            return Acted("not_armed", why, stops_all=True)
        standing = replace(standing, wallet=wallet)
        passed = self._passes(wanted, standing, self._facts) if self._facts else None
        if not isinstance(passed, Passed):  # what stands in the way by what is known may be past
            self._facts = gate_facts_read(standing, chain=self.chain, pools=wanted.pools)
            passed = self._passes(wanted, standing, self._facts)
        if not isinstance(passed, Passed):
            self._facts = None
            return passed
        try:
            return self._carry_out(passed, standing)
        except KeyStands as error:  # whoever had it first has acted, or acts
            return Acted(GateReason.IN_FLIGHT.value, str(error))

    def _passes(self, wanted: Wanted, standing: Standing, facts: GateFacts) -> "Passed | Acted":
        """What would be sent and for which fees, or why not. No query; asks the node for fees
        where nobody looked of late."""
        state = self._state(standing, facts)
        tips = affordable(
            self.tips(standing),
            balance_wei=standing.balances.get(standing.wallet.pk if standing.wallet else 0),
            gas_wei=self.trial.gas_of_one(wanted, standing),
        )
        least = gate.least_net(state.config, wanted.evaluation.borrow_amount)
        wanted = wanted.repriced(Wei(0), tips=tips, least=least)
        if reason := gate.first_reason(state, wanted.candidate):
            return passed_over(state, wanted.candidate, reason)
        fees = self.trial.fees(wanted, state)
        price_wei = fees.price_at(base_fee_wei=wanted.base_fee_wei)
        wanted = wanted.repriced(price_wei, tips=tips, least=least)
        if reason := gate.first_reason(state, wanted.candidate):
            return passed_over(state, wanted.candidate, reason)
        return Passed(wanted, fees)

    def _state(self, standing: Standing, facts: GateFacts) -> GateState:
        return gate_state(standing, facts, head_hash=self.head().hash, memory=self.memory)

    def _carry_out(
        self, passed: "Passed", standing: Standing, simulated: Simulated | None = None
    ) -> Acted:
        """Have it written as if its simulation had ended as it usually does, and simulate while
        the record works and answers what the gate asks; commit and send if all agree. Where the
        simulation gives another gas limit than was assumed, all is written anew: attempts do not
        change."""
        assert standing.wallet is not None  # noqa: S101  the caller looked
        assert standing.deployment is not None  # noqa: S101  the caller looked
        self.sender.wake()
        wanted, candidate = passed.wanted, passed.wanted.candidate
        assumed = simulated or self.trial.assumed(wanted, standing)
        began_ns = time.perf_counter_ns()
        with self.sender.begin(
            standing.wallet.address if self.may_sign else None,
            payer=standing.deployment.address if wanted.evaluation.tip_wei else "",
            asks=[gate_question(standing, chain=self.chain, pools=wanted.pools)],
            fees=passed.fees,
        ) as begun:
            draft = self.drafts.arbitrage(wanted, standing, assumed)
            begun.write(draft.planned.intent, draft.rows)
            asked_ns = time.perf_counter_ns()
            simulated = simulated or self.trial.simulate(wanted, standing, passed.fees)
            took_ns = time.perf_counter_ns() - asked_ns
            facts = gate_facts(begun.answers()[0])
            if took_ns > SLOW_NS:  # asked before it: whoever stopped anything meanwhile counts
                facts = gate_facts_read(standing, chain=self.chain, pools=wanted.pools)
            state = self._state(standing, facts)
            acted = self._refused(wanted, simulated, state)
            if acted is None and proof_of(simulated) == proof_of(assumed):
                begun.commit(mends=simulated_otherwise(draft, simulated))
                self._facts = None  # the wallet is busy, for one
                self.memory.keep(candidate, draft.row)
                acted = self._hand_over(
                    begun, draft, timeline=wanted.timeline, began_ns=began_ns + took_ns
                )
        self.trial.keep_estimate(wanted, simulated)
        return acted or self._carry_out(passed, standing, simulated)

    def _refused(self, wanted: Wanted, simulated: Simulated, state: GateState) -> Acted | None:
        """What a simulation, or the time that it took, says against sending."""
        if distrust := disagreement(wanted, simulated):
            return Acted(Reason.STALE_POOL.value, distrust, distrust=distrust)
        now = replace(state, head_hash=self.head().hash)
        candidate = replace(wanted.candidate, simulated=simulated.ok)
        reason = gate.reason_not_to_send(now, candidate)
        if reason is None:
            return None
        self._facts = None
        acted = passed_over(now, candidate, reason, detail=revert_words(simulated))
        return replace(acted, stops_all=acted.stops_all or cannot_pay(simulated))

    def _hand_over(self, begun: Begun, draft: Draft, *, timeline: Timeline, began_ns: int) -> Acted:
        """Send what is committed; what may not sign has ended at simulated. ``began_ns``: the
        commit took the time since then."""
        row, planned = draft.row, draft.planned.row
        recorded_ns = time.perf_counter_ns()
        acted = Acted(execution_pk=row.pk)
        if self.may_sign:
            try:
                outcome = begun.send()
                spans_note(timeline, outcome, started_ns=began_ns, recorded_ns=recorded_ns)
            except ArbError as error:
                acted = refusal(error, chain_key=self.chain.key)
                acted = replace(acted, execution_pk=row.pk)
                self._end_unsent(planned, str(error))
        services.execution_written(row)  # pages wait for the wire, not the wire for them
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
        simulated = self.trial.simulate_nothing(
            wallet, fees, block_hash=self.head().hash, timeline=timeline
        )
        if not simulated.ok:
            return Acted(GateReason.SIMULATION_FAILED.value, revert_words(simulated))
        draft = self.drafts.test(
            request, wallet=wallet, deployment=deployment, simulated=simulated, kill_epoch=epoch
        )
        began_ns = time.perf_counter_ns()
        try:
            nonce_of = draft.planned.intent.nonce_of
            with self.sender.begin(nonce_of, fees=fees) as begun:
                begun.write(draft.planned.intent, draft.rows)
                begun.answers()
                begun.commit()
                return self._hand_over(begun, draft, timeline=timeline, began_ns=began_ns)
        except KeyStands as error:
            return Acted(GateReason.IN_FLIGHT.value, str(error))


class Passed(NamedTuple):
    """What passed the gate, priced with what would be paid now."""

    wanted: Wanted
    fees: GasFees
