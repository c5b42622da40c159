"""The pages Live prices and Opportunities: selectors in, templates out."""

from typing import Any, Final

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from arbsite.base import formats
from arbsite.base.fields import BIGINT_MAX
from contracts.models import Chain, Dex, Pair, Pool, Token
from prices import pairs, selectors
from prices.models import Monitor, Opportunity

SHOWN: Final = 100
MAX_INT: Final = 2**31


def prices_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Live prices of one chain, a row a pair."""
    rows = pools_shown(chain)
    living = living_of_pairs(chain)
    return render(
        request,
        "prices/prices.html",
        {
            "page": "prices",
            "rows": pairs.pair_rows(rows, living),
            "pools": rows,
            "living": living,
            "monitor": Monitor.objects.filter(chain_id=chain).first(),
            "chains": Chain.objects.filter(monitor__isnull=False),
            "dexes": Dex.objects.filter(chain_id=chain),
        },
    )


def living_json(request: HttpRequest, *, chain: str) -> JsonResponse:
    """What the page asks for when it has missed something."""
    return JsonResponse({"results": living_of_pairs(chain)})


def living_of_pairs(chain: str) -> list[dict[str, Any]]:
    """Living two-hop cycles through one pair, with what a row of the page shows. Three queries."""
    pair_of = dict(Pool.objects.filter(chain_id=chain).values_list("pk", "pair__name"))
    tokens = dict(Token.objects.filter(chain_id=chain).values_list("pk", "address"))
    rows = Opportunity.objects.filter(
        chain_id=chain, ended_at__isnull=True, pools__len=2
    ).values_list(
        "id", "pools", "net_profit_bps", "net_profit", "borrow_token_id", "borrow_amount",
        "verdict", "reason",
    )  # fmt: skip
    return [
        {
            "id": pk,
            "chain": chain,
            "pair": pair_of[pools[0]],
            "netProfitBps": net_bps,
            "netProfit": None if net is None else str(net),
            "borrowToken": tokens.get(token),
            "borrowAmount": str(amount),
            "verdict": verdict,
            "reason": reason or None,
            "endedAt": None,
        }
        for pk, pools, net_bps, net, token, amount, verdict, reason in rows
        if pair_of.get(pools[0]) is not None and pair_of.get(pools[0]) == pair_of.get(pools[1])
    ]


def pools_shown(chain: str, *, pair: str | None = None) -> list[dict[str, Any]]:
    """Live rows with the address of each pair's second token. Four queries."""
    quotes = dict(
        Pool.objects.filter(chain_id=chain).values_list("address", "pair__quote__address")
    )
    return [
        {**row, "quoteToken": quotes[row["pool"]]}
        for row in selectors.live(chain=chain, pair=pair)
        if row["pool"] in quotes
    ]


def pair_page(request: HttpRequest, pair: str, *, chain: str) -> HttpResponse:
    """One pair: what each exchange quotes, its chart, and where its best spread goes."""
    rows = pools_shown(chain, pair=pair)
    if not rows:
        raise Http404("There is no such pair on this chain.")
    name = rows[0]["pair"]
    ours = [each for each in living_of_pairs(chain) if each["pair"] == name]
    best = max(ours, key=lambda each: each["netProfitBps"] or -MAX_INT, default=None)
    shown = selectors.opportunities([best["id"]]) if best else []
    return render(
        request,
        "prices/pair.html",
        {
            **_frame(request),
            "page": "prices",
            "row": pairs.pair_row(name, rows, best),
            "pools": rows,
            "opportunity": shown[0] if shown else None,
        },
    )


def opportunities_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Recorded opportunities, newest first, filtered by the address."""
    wanted = {
        name: request.GET.get(name, "")[:80]
        for name in ("verdict", "reason", "pair", "dex", "net", "before")
    }
    listed = list(_filtered(chain, wanted).select_related("borrow_token")[: SHOWN + 1])
    rows = selectors.opportunities_render(listed[:SHOWN])
    return render(
        request,
        "prices/opportunities.html",
        {
            "page": "opportunities",
            "rows": rows,
            "wanted": wanted,
            "reasons": formats.REASONS.items(),
            "older": listed[SHOWN - 1].pk if len(listed) > SHOWN else None,
            "pairs": Pair.objects.filter(chain_id=chain),
            "dexes": Dex.objects.filter(chain_id=chain),
        },
    )


def _filtered(chain: str, wanted: dict[str, str]) -> QuerySet[Opportunity]:
    rows = Opportunity.objects.filter(chain_id=chain).order_by("-id")
    if wanted["verdict"] in ("executable", "rejected"):
        rows = rows.filter(verdict=wanted["verdict"])
    if wanted["reason"]:
        rows = rows.filter(reason=wanted["reason"])
    if wanted["pair"]:
        rows = rows.filter(pools__overlap=_pools(chain, pair__name=wanted["pair"]))
    if wanted["dex"]:
        rows = rows.filter(pools__overlap=_pools(chain, dex__key=wanted["dex"]))
    if (net := _whole(wanted["net"])) is not None:
        rows = rows.filter(net_profit_bps__gte=net)
    if before := _whole(wanted["before"]):
        rows = rows.filter(pk__lt=before)
    return rows


def _pools(chain: str, **filters: Any) -> list[int]:
    return list(Pool.objects.filter(chain_id=chain, **filters).values_list("pk", flat=True))


def _whole(text: str) -> int | None:
    """A whole number typed into a filter; anything else filters nothing."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        return None
    return max(-MAX_INT, int(text)) if text.startswith("-") else int(text)


def opportunity_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One opportunity: its waterfall, what it rests on, and why it was or was not sent."""
    rows = selectors.opportunities([pk]) if pk <= BIGINT_MAX else []
    if not rows:
        raise Http404("There is no such opportunity: old ones are pruned.")
    return render(
        request,
        "prices/opportunity.html",
        {
            **_frame(request),
            "page": "opportunities",
            "row": rows[0],
            "would_pass": would_pass(rows[0]),
        },
    )


def would_pass(row: dict[str, Any]) -> str:
    """What would have to change for it to be sent, in a sentence; empty when it passes."""
    net, reason = row["netProfitBps"], row["reason"]
    if formats.l1_fee_unknown(row):
        return "No setting helps: what every trade here pays to the L1 is not known yet."
    if reason == "min_profit":
        return f"It nets {net} bps of its size: it passes where the minimum profit is at most that."
    if reason == "max_gas":
        return "It passes when the gas price falls to the limit, or with a higher limit."
    if reason in ("fees", "price_impact", "premium", "gas"):
        return (
            "No setting helps: after this step nothing is left of the spread. "
            "A wider spread or deeper pools would."
        )
    if reason in ("thin_pool", "stale_pool", "token_risk", "implausible"):
        return "Its data are not trusted, so it is not sent whatever it promises."
    if reason == "not_armed":
        return "It passes: arm Fast Mode, or press Execute."
    if reason == "killed":
        return "It passes: the kill switch has to be released first."
    return ""


def _frame(request: HttpRequest) -> dict[str, Any]:
    """Inside a drawer only the content is wanted, elsewhere a whole page."""
    drawer = request.GET.get("fragment") == "1"
    return {"frame": "partials/bare.html" if drawer else "base.html", "drawer": drawer}
