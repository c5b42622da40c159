"""Whether one committed attempt may be signed: reads its rows, applies I4, I5, I7, I20; signs not.

Plain SQL on the signer's own connection; numbers come back as exact ints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from eth_utils.address import to_checksum_address
from psycopg.rows import dict_row

from arbsite.base.units import Wei
from contracts.kernel.fees import FeeModel, GasFees
from contracts.kernel.networks import Network, network_of
from wallets.kernel import bumps, derivation, lifecycle, policy
from wallets.kernel.lifecycle import Status
from wallets.kernel.payload import EIP1559, Payload
from wallets.signer_client import SignRefused

_FACTS: Final = """
SELECT a.nonce, a.purpose, a.released, a."to", a.value_wei, a.data, a.gas_limit, a.tx_type,
       a.max_fee_wei, a.tip_fee_wei, a.hash,
       t.id AS transaction_id, t.kind, t.status, t.simulated_only, t.simulated_block,
       t.kill_epoch, t.leader_epoch, t.private_only,
       w.id AS wallet_id, w.role, w.address, w.source, w.seed, w.derivation_path, w.state,
       c.key AS chain_key, c.eip155_id, c.is_local, c.min_gas_price_wei,
       s.id AS sequence_id, s.next_nonce, s.frozen, s.address AS sequence_address,
       s.chain_id = t.chain_id AND w.chain_id = t.chain_id AS one_chain,
       (SELECT epoch FROM wallets_chainleader l WHERE l.chain_id = t.chain_id) AS epoch_now,
       o.fee AS other_fee, o.tip AS other_tip, o.strangers,
       k.clear AS switches_clear, k.epoch AS kill_epoch_now,
       ARRAY(SELECT d.address FROM wallets_assignment g
              JOIN contracts_deployment d ON d.id = g.deployment_id AND d.chain_id = t.chain_id
             WHERE g.wallet_id = t.wallet_id AND g.desired) AS receivers
  FROM wallets_attempt a
  JOIN wallets_transaction t ON t.id = a.transaction_id
  JOIN wallets_wallet w ON w.id = t.wallet_id
  JOIN contracts_chain c ON c.key = t.chain_id
  JOIN wallets_noncesequence s ON s.id = a.sequence_id
  CROSS JOIN LATERAL (
       SELECT max(b.max_fee_wei) AS fee, max(b.tip_fee_wei) AS tip,
              count(*) FILTER (WHERE b.transaction_id <> t.id AND NOT b.released) AS strangers
         FROM wallets_attempt b
        WHERE b.sequence_id = a.sequence_id AND b.nonce = a.nonce AND b.id < a.id
          AND b.signed_at IS NOT NULL) o
  CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE NOT s.engaged) AS clear, sum(s.epoch)::bigint AS epoch
         FROM wallets_killstate s WHERE s.scope IN ('*', t.chain_id)) k
 WHERE a.id = %s
"""
_AROUND: Final = """
SELECT ARRAY(SELECT d.address FROM contracts_deployment d
              WHERE d.chain_id = %(chain)s) AS contracts,
       ARRAY(SELECT w.address FROM wallets_wallet w WHERE w.chain_id = %(chain)s
              AND w.role = 'executor' AND w.state = 'active' AND w.source <> 'watch') AS executors,
       ARRAY(SELECT w.address FROM wallets_wallet w WHERE w.chain_id = %(chain)s
              AND w.role = 'gas_reserve' AND w.state = 'active' AND w.source <> 'watch') AS reserves
"""
SWITCHES: Final = 2  # everything's and the chain's; a missing one stops as an engaged one does
_HELD: Final = lifecycle.HOLDS_NONCE | {Status.SIMULATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetted:
    """What the rows say of an attempt that may be signed, and the payload rebuilt from them."""

    payload: Payload
    wallet_id: int
    transaction_id: int
    chain_key: str
    kind: str
    purpose: str
    role: str
    source: str
    seed: str
    path: str
    address: str
    to: str
    stored_hash: str
    to_reserve: bool  # its coin goes to a reserve of ours, whose key must prove it
    secret: tuple[str, str]  # name in the keystore, and path
    worthless: bool


def vet(
    connection: psycopg.Connection[Any],
    attempt_id: int,
    *,
    live_chains: frozenset[str],
    treasuries: Mapping[str, str],
    signed_last_hour: Callable[[int], int],
    is_exposed: Callable[[str, str], bool],
) -> Vetted:
    """Read and judge one attempt. One statement, and a second for what is no execution.

    ``signed_last_hour`` counts by wallet id; ``is_exposed`` knows secrets by name and path;
    ``treasuries`` are the configured ones, by chain key.

    Raises: SignRefused with a code: missing, released, mixed, not_live, wrong_seed, status,
        not_simulated, frozen, leader, killed, stale_epoch, replacement, exposed, rate, policy.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_FACTS, (attempt_id,)).fetchone()
    if row is None:
        raise SignRefused("missing", f"there is no committed attempt {attempt_id}")
    _check_chain(row, live_chains=live_chains)
    _check_state(row)
    _check_kill(row)
    _check_replacement(row)
    ask = _ask(row, exposed=is_exposed(*secret_of(row)))
    around = _around(connection, row, treasury=treasuries.get(row["chain_key"], ""))
    _check_policy(row, ask, around, signed_last_hour=signed_last_hour(row["wallet_id"]))
    return Vetted(
        payload=_payload(row),
        wallet_id=row["wallet_id"],
        transaction_id=row["transaction_id"],
        chain_key=row["chain_key"],
        kind=row["kind"],
        purpose=row["purpose"],
        role=row["role"],
        source=row["source"],
        seed=row["seed"],
        path=row["derivation_path"],
        address=row["address"],
        to=row["to"],
        stored_hash=row["hash"] or "",
        to_reserve=policy.moves_coin_away(ask, around=around) and row["to"] != around.treasury,
        secret=secret_of(row),
        worthless=ask.worthless,
    )


def secret_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """(name in the keystore, path) of a wallet's key; the path is "" for an imported one."""
    return derivation.secret_of(
        source=row["source"],
        seed=row["seed"],
        path=row["derivation_path"],
        chain_key=row["chain_key"],
        address=row["address"],
    )


def _payload(row: dict[str, Any]) -> Payload:
    return Payload(
        chain_id=int(row["eip155_id"]),
        tx_type=row["tx_type"],
        nonce=row["nonce"],
        max_fee_wei=int(row["max_fee_wei"]),
        tip_fee_wei=int(row["tip_fee_wei"]),
        gas_limit=row["gas_limit"],
        to=bytes.fromhex(row["to"][2:]),
        value_wei=int(row["value_wei"]),
        data=bytes(row["data"]),
    )


def _check_chain(row: dict[str, Any], *, live_chains: frozenset[str]) -> None:
    chain = row["chain_key"]
    if not row["one_chain"] or row["sequence_address"] != row["address"]:
        raise SignRefused("mixed", "transaction, wallet and nonce are not of one account")
    if not row["is_local"] and chain not in live_chains:
        raise SignRefused("not_live", f"nothing is signed on {chain}: it is not in ARB_LIVE")
    if row["source"] == "watch":
        raise SignRefused("no_key", f"{row['address']} is watch-only: there is no key to sign with")
    if row["source"] == "derived" and (row["seed"] == "local") != row["is_local"]:
        raise SignRefused("wrong_seed", f"a key of the {row['seed']} seed never signs on {chain}")


def _check_state(row: dict[str, Any]) -> None:
    status, purpose = Status(row["status"]), row["purpose"]
    if row["released"]:
        raise SignRefused("released", "the attempt's nonce was given back")
    if row["simulated_only"]:
        raise SignRefused("simulated_only", "the transaction is for simulation only")
    first = purpose in ("first", "gap_fill", "reuse")
    if status not in _HELD or (first and status is not Status.SIMULATED and not row["hash"]):
        raise SignRefused("status", f"a {purpose} payload is not signed for a {status} transaction")
    if row["simulated_block"] is None:
        raise SignRefused("not_simulated", "the transaction was never simulated")
    if row["nonce"] >= row["next_nonce"]:
        raise SignRefused("mixed", f"nonce {row['nonce']} was never allocated")
    if row["frozen"]:
        raise SignRefused("frozen", f"the account is frozen: {row['frozen']}")
    if (
        purpose not in lifecycle.NEVER_KILLED_PURPOSES
        and row["leader_epoch"] is not None
        and row["leader_epoch"] != row["epoch_now"]
    ):
        raise SignRefused("leader", "another engine leads this chain now")


def _check_kill(row: dict[str, Any]) -> None:
    if not lifecycle.is_stopped_by_kill(kind=row["kind"], purpose=row["purpose"]):
        return
    if row["switches_clear"] != SWITCHES:
        raise SignRefused("killed", "the kill switch is engaged")
    if row["kill_epoch_now"] != row["kill_epoch"]:
        raise SignRefused("stale_epoch", "the transaction was planned before the last kill")


def _check_replacement(row: dict[str, Any]) -> None:
    if row["strangers"]:
        raise SignRefused("mixed", f"nonce {row['nonce']} belongs to another transaction")
    if row["other_fee"] is None:
        return
    if row["purpose"] == "reuse" and row["private_only"]:
        return  # builders choose by the bundle, not by the pool's rule
    model = FeeModel.EIP1559 if row["tx_type"] == EIP1559 else FeeModel.LEGACY
    earlier = GasFees(
        model=model,
        max_fee_wei=Wei(int(row["other_fee"])),
        max_priority_fee_wei=Wei(int(row["other_tip"])),
    )
    later = GasFees(
        model=model,
        max_fee_wei=Wei(int(row["max_fee_wei"])),
        max_priority_fee_wei=Wei(int(row["tip_fee_wei"])),
    )
    if not bumps.replaces(earlier=earlier, later=later):
        raise SignRefused("replacement", "a replacement offers at least 10 % more on both fees")


def _ask(row: dict[str, Any], *, exposed: bool) -> policy.Ask:
    return policy.Ask(
        role=row["role"],
        state=row["state"],
        address=row["address"],
        kind=row["kind"],
        purpose=row["purpose"],
        to=row["to"],
        data=bytes(row["data"]),
        value_wei=Wei(int(row["value_wei"])),
        max_fee_wei=Wei(int(row["max_fee_wei"])),
        # Either record is enough: the row may have been restored, the file may have been.
        exposed=exposed or row["state"] == "exposed",
        worthless=network_of(eip155_id=int(row["eip155_id"]), local=row["is_local"])
        is not Network.MAINNET,
    )


def _around(
    connection: psycopg.Connection[Any], row: dict[str, Any], *, treasury: str
) -> policy.Surroundings:
    """An execution goes to a contract that its wallet is assigned to, or nowhere: nobody else is
    read for one, and somebody waits for it."""
    if row["kind"] == "execution":
        return policy.Surroundings(receivers=frozenset(row["receivers"]))
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_AROUND, {"chain": row["chain_key"]}).fetchone()
    assert found is not None  # noqa: S101  three arrays, whatever is in them
    return policy.Surroundings(
        receivers=frozenset(row["receivers"]),
        contracts=frozenset(found["contracts"]),
        executors=frozenset(found["executors"]),
        reserves=frozenset(found["reserves"]),
        treasury=to_checksum_address(treasury) if treasury else "",
    )


def _check_policy(
    row: dict[str, Any], ask: policy.Ask, around: policy.Surroundings, *, signed_last_hour: int
) -> None:
    limits = policy.limits_of(
        is_local=row["is_local"], min_gas_price_wei=Wei(int(row["min_gas_price_wei"]))
    )
    if why := policy.refused_exposed(ask, around=around):
        raise SignRefused("exposed", why)
    if why := policy.over_rate(ask, limits=limits, signed_last_hour=signed_last_hour):
        raise SignRefused("rate", why)
    if why := policy.refusal(ask, around=around, limits=limits):
        raise SignRefused("policy", why)
