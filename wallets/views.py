"""The pages of wallets and contracts: reads in, templates out. What changes is asked of the API."""

from collections.abc import Mapping
from typing import Any, Final

import segno
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render as draw
from django.utils.safestring import SafeString, mark_safe

from arbsite.base.fields import BIGINT_MAX
from arbsite.base.models import AuditEvent
from contracts.models import Chain, Deployment, Dex, Token
from wallets import (
    exposure,
    gas_selectors,
    listing,
    monitoring,
    relay_book,
    render,
    selectors,
    services,
)
from wallets.administration import overview
from wallets.models import FundingPolicy, Wallet

ROLES: Final = (("executor", "Executor"), ("gas_reserve", "Gas reserve"), ("master", "Master"))
STATES: Final = ("active", "frozen", "exposed", "retired")
TRANSACTIONS_SHOWN: Final = 20
EVENTS_SHOWN: Final = 40
REPLACED_SHOWN: Final = 10


def wallets_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Every wallet of every chain, filtered by the address; cards above."""
    return draw(request, "wallets/wallets.html", {"page": "wallets", **_listed(request, chain)})


def wallets_live(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Cards and table, asked for again when a wallet came."""
    return draw(request, "wallets/wallets_live.html", _listed(request, chain))


def _listed(request: HttpRequest, chain: str) -> dict[str, Any]:
    wanted = {name: request.GET.get(name, "")[:32] for name in ("of", "role", "state", "low")}
    chains = {row.key: row for row in Chain.objects.all()}
    everything = _placed(listing.wallets_shown(listing.wallets().order_by("chain", "role", "pk")))
    here = chains.get(chain)
    return {
        "rows": [row for row in everything if _matches(row, wanted)],
        "summary": listing.summary(everything),
        "chains": [chains[key] for key in sorted({row["chain"] for row in everything})],
        "all_chains": list(chains.values()),
        "wanted": wanted,
        "roles": ROLES,
        "states": STATES,
        "monitoring": monitoring.monitoring_status(here) if here else None,
        "policy": _policy(here) if here else None,
        "next_paths": _next_paths(chains.values()),
    }


def _matches(row: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return (
        (not wanted["of"] or row["chain"] == wanted["of"])
        and (not wanted["role"] or row["role"] == wanted["role"])
        and (not wanted["state"] or row["state"] == wanted["state"])
        and (not wanted["low"] or bool(row["low"]))
    )


def _policy(chain: Chain) -> FundingPolicy:
    """The chain's limits, or what they are by default; nothing is written by looking."""
    return FundingPolicy.objects.filter(chain=chain).first() or FundingPolicy(chain=chain)


def _next_paths(chains: Any) -> dict[str, dict[str, dict[str, str]]]:
    """By chain and role: the path that the next wallet gets, and a label for it."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for chain in chains:
        found[chain.key] = {}
        for role, words in ROLES:
            count = Wallet.objects.filter(chain=chain, role=role).count()
            found[chain.key][role] = {
                "path": ""
                if role == "master" and not chain.is_local
                else services.derivation_next(chain=chain, role=role),
                "label": f"{_short_name(chain)}-{words.replace(' ', '-')}-{count + 1}",
            }
    return found


def _short_name(chain: Chain) -> str:
    return "".join(part.capitalize() for part in chain.key.split("_"))


def _placed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with what a page says of their chain, and a warning where two addresses look alike."""
    chains = {row.key: row for row in Chain.objects.all()}
    known = {row["address"] for row in rows}
    known |= set(Deployment.objects.values_list("address", flat=True))
    alike: dict[str, int] = {}
    for address in known:
        alike[_ends(address)] = alike.get(_ends(address), 0) + 1
    for row in rows:
        chain = chains[row["chain"]]
        row |= {
            "chainName": chain.name,
            "explorer": chain.explorer_url,
            "kind": _kind(chain),
            "alike": alike[_ends(row["address"])] > 1,
            "roleWords": dict(ROLES)[row["role"]],
        }
    return rows


def _ends(address: str) -> str:
    return (address[:8] + address[-6:]).lower()


def _kind(chain: Chain) -> str:
    if chain.is_local:
        return "local"
    return "testnet" if "testnet" in chain.key or chain.key == "sepolia" else ""


def wallet_page(request: HttpRequest, pk: int, *, chain: str) -> HttpResponse:
    """One wallet: overview, assignments, funding, activity, receiving, and the way out."""
    row = listing.wallets().filter(pk=pk).first() if pk <= BIGINT_MAX else None
    if row is None:
        raise Http404("There is no such wallet.")
    cost = listing.costs_of([row])[row.chain_id]
    shown = render.wallet(row, cost_wei=cost, transactions=TRANSACTIONS_SHOWN)
    drawer = request.GET.get("fragment") == "1"
    reserve = _reserve(row)
    return draw(
        request,
        "wallets/wallet.html",
        {
            "frame": "partials/bare.html" if drawer else "base.html",
            "drawer": drawer,
            "page": "wallets",
            "row": _placed([shown])[0],
            "chain_row": row.chain,
            "fundings": [
                render.funding(one) for one in gas_selectors.fundings_of(wallet_id=row.pk)
            ],
            "receivers": _receivers(row),
            "events": AuditEvent.objects.filter(target=row.address)[:EVENTS_SHOWN],
            "requests": [render.request(one) for one in listing.requests().filter(wallet=row)[:10]],
            "points": gas_selectors.balance_history(wallet_id=row.pk),
            "qr": _qr(row),
            "reserve": reserve,
            "away": _away(row),
            "owned": [
                one.address
                for one in listing.deployments(chain_key=row.chain_id).filter(owner=row.address)
            ],
            "policy": _policy(row.chain),
            "monitoring": monitoring.monitoring_status(row.chain),
            "killed": selectors.kill_engaged(chain_key=row.chain_id),
            "fundable": row.role == "executor" and row.state == "active" and row.source != "watch",
        },
    )


def _away(row: Any) -> dict[str, str] | None:
    """Where the coin of a wallet out of use would go, or why nowhere; None where it has no key."""
    if row.state not in ("exposed", "retired") or row.source == "watch":
        return None
    treasury = settings.ARB.treasuries.get(row.chain_id, "")
    try:
        return {"to": exposure.haven_of(wallet=row, treasury=treasury), "problem": ""}
    except exposure.NoHaven as error:
        return {"to": "", "problem": str(error)}


def _reserve(row: Any) -> dict[str, Any] | None:
    """The reserve that gas would come from: the richest, as the funding policy chooses."""
    rows = listing.wallets(chain_key=row.chain_id).filter(role="gas_reserve", state="active")
    found = sorted(rows.exclude(source="watch"), key=lambda one: -(one.last_wei or 0))
    return render.wallet(found[0]) if found else None


def _receivers(row: Any) -> list[dict[str, Any]]:
    """Each receiver of the chain with this wallet's right on it."""
    held = {each.deployment_id: each for each in row.assignments.all()}
    rows = listing.deployments(chain_key=row.chain_id).filter(kind="receiver")
    return [
        {
            "id": one.pk,
            "address": one.address,
            "right": render.assignment(held[one.pk]) if one.pk in held else None,
        }
        for one in rows
    ]


def _qr(row: Any) -> SafeString:
    """EIP-681, drawn by segno as an SVG of its own making: no text of ours is in it."""
    code = segno.make(f"ethereum:{row.address}@{row.chain.eip155_id}", micro=False)
    return mark_safe(  # noqa: S308  paths and numbers alone
        code.svg_inline(scale=5, border=3, svgclass="qr", lineclass=None, light="#fff")
    )


def contracts_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Our contracts on the page's chain: what they should be, what they are, who may execute."""
    return draw(request, "wallets/contracts.html", {"page": "contracts", **_contracts(chain)})


def contracts_live(request: HttpRequest, *, chain: str) -> HttpResponse:
    """The part that is asked for again when a contract was read or changed."""
    return draw(request, "wallets/contracts_live.html", _contracts(chain))


def _contracts(chain_key: str) -> dict[str, Any]:
    chain = Chain.objects.filter(key=chain_key).first()
    if chain is None:
        return {"chain_row": None, "receiver": None, "router": None}
    shown = overview.contracts_shown(chain_key=chain_key)
    receiver = next((one for one in shown if one["kind"] == "FlashLoanReceiver"), None)
    router = next((one for one in shown if one["kind"] == "MultiDexRouter"), None)
    return {
        "chain_row": chain,
        "receiver": receiver,
        "router": router,
        "tokens": _tokens(chain, receiver),
        "listed": _listed_parts(chain, receiver),
        "executors": _executors(chain, receiver),
        "replaced": listing.receivers_replaced(chain_key=chain.key)[:REPLACED_SHOWN],
        "builders": [one for one in relay_book.entries_of(chain) if one.tip_recipient],
        "others": [
            row
            for row in Chain.objects.exclude(key=chain_key)
            if Deployment.objects.filter(chain=row, active=True).exists()
        ],
        "killed": selectors.kill_engaged(chain_key=chain.key),
        "has_reserve": Wallet.objects.filter(chain=chain, role="gas_reserve", state="active")
        .exclude(source="watch")
        .exists(),
    }


def _tokens(chain: Chain, receiver: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Lendable tokens: the owner's least profit, the chain's, and what the lender has."""
    seen = (receiver or {}).get("observed") or {}
    wanted = receiver["desired"]["minProfit"] if receiver else {}
    return [
        {
            "address": row.address,
            "symbol": row.symbol,
            "token": {"symbol": row.symbol, "decimals": row.decimals},
            "decimals": row.decimals,
            "desired": wanted.get(row.address),
            "observed": seen.get("minProfit", {}).get(row.address),
            "liquidity": seen.get("liquidity", {}).get(row.address),
        }
        for row in Token.objects.filter(chain=chain, lendable=True).order_by("symbol", "pk")
    ]


def _listed_parts(chain: Chain, receiver: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Factories, routers and lenders, with whether the contract lists them."""
    seen = (receiver or {}).get("observed") or {}
    dexes = {row.factory: row.name for row in Dex.objects.filter(chain=chain)}
    parts = []
    for name, words in (("factories", "Factory"), ("lenders", "Lender"), ("routers", "Router")):
        for address, listed in seen.get(name, {}).items():
            said = dexes.get(address, "") if name == "factories" else ""
            parts.append({"kind": words, "name": said, "address": address, "listed": listed})
    return parts


def _executors(chain: Chain, receiver: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each executor of the chain with its right on the receiver, in the order they take over."""
    rows = listing.wallets(chain_key=chain.key).filter(role="executor").order_by("pk")
    found = []
    for row in rows:
        held = next(
            (each for each in row.assignments.all() if receiver
             and each.deployment_id == receiver["id"]),
            None,
        )  # fmt: skip
        if row.state == "retired" and held is None:
            continue
        found.append(
            {
                "id": row.pk,
                "label": row.label,
                "address": row.address,
                "state": row.state,
                "source": row.source,
                "position": held.position if held else None,
                "right": render.assignment(held) if held else None,
                "onChain": ((receiver or {}).get("observed") or {})
                .get("executors", {})
                .get(row.address),
            }
        )
    return sorted(found, key=lambda one: (one["position"] is None, one["position"] or 0, one["id"]))
