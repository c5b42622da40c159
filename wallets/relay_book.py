"""What is known of a chain's relays: which may be used, how each answered, what it carried.

The registry says where a relay is; nothing is sent there before it answered a probe, and only as
long as its entry is the one that was tried.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from contracts.kernel.market_entry import BadMarketFile
from contracts.kernel.relay_entry import RelayEntry, relay_entry
from contracts.models import Chain
from contracts.rpc import is_loopback, mask_url
from contracts.services import registry_touch
from wallets.models import RelayProbe

logger = logging.getLogger(__name__)
_COUNTS: Final = """
SELECT s.relay, count(*) AS payloads, sum(s.asked) AS asked,
       count(*) FILTER (WHERE s.accepted) AS accepted,
       count(*) FILTER (WHERE s.outcome = 'refused') AS refused,
       count(*) FILTER (WHERE s.outcome = 'unknown') AS unknown,
       count(*) FILTER (WHERE s.outcome = 'not_sent') AS not_sent,
       count(*) FILTER (WHERE a.status = 'mined' AND s.outcome <> 'not_sent') AS landed,
       count(*) FILTER (WHERE a.status <> 'mined' AND s.outcome <> 'not_sent'
                          AND (a.released OR a.status = 'dead')) AS missed,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY s.took_us)
           FILTER (WHERE s.took_us > 0) AS p50_us,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY s.took_us)
           FILTER (WHERE s.took_us > 0) AS p95_us,
       max(s.last_at) AS last_at
  FROM wallets_submission s
  JOIN wallets_attempt a ON a.id = s.attempt_id
  JOIN wallets_transaction t ON t.id = a.transaction_id
 WHERE t.chain_id = %s AND s.last_at > %s
 GROUP BY s.relay ORDER BY s.relay
"""


def entries_of(chain: Chain) -> tuple[RelayEntry, ...]:
    """The chain's relays as its market file named them. No query.

    One kept by an older version in a form that is no longer read is left out, with a warning: the
    chain's public way stays.
    """
    entries = []
    for i, relay in enumerate(chain.relays):
        try:
            entries.append(relay_entry(f"{chain.key}.relays[{i}]", relay))
        except BadMarketFile as error:
            logger.warning("relay left out: import the market file", extra={"why": str(error)})
    return tuple(entries)


def digest_of(entry: RelayEntry) -> str:
    """What of an entry a probe is good for: all of it. Hexadecimal SHA-256."""
    return hashlib.sha256(json.dumps(entry.as_json(), sort_keys=True).encode()).hexdigest()


def relays_usable(*, chain: Chain) -> tuple[RelayEntry, ...]:
    """Relays that answered their probe, as their entry is now. One query."""
    tried = dict(
        RelayProbe.objects.filter(chain=chain, ok=True).values_list("relay", "entry_digest")
    )
    return tuple(
        entry
        for entry in entries_of(chain)
        if tried.get(entry.name) == digest_of(entry) and may_be_asked(chain, entry)
    )


def may_be_asked(chain: Chain, entry: RelayEntry) -> bool:
    """What is signed for a local chain asks for no permission: it never leaves this machine."""
    return not chain.is_local or is_loopback(entry.url)


def probe_record(*, chain: Chain, entry: RelayEntry, ok: bool, detail: str) -> RelayProbe:
    """Keep how a relay answered, in place of what was known.

    An engine that runs hears of it where another set of relays may be used now.
    """
    with transaction.atomic():
        before = relays_usable(chain=chain)
        probe = RelayProbe.objects.update_or_create(
            chain=chain,
            relay=entry.name,
            defaults={"entry_digest": digest_of(entry), "ok": ok, "detail": detail[:200]},
        )[0]
        if relays_usable(chain=chain) != before:
            registry_touch(chain_key=chain.key)
    return probe


def relays_shown(*, chain: Chain, with_credential: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Each relay with its state, for pages and shell; the URL masked. One query.

    ``with_credential``: names whose credential is set. ``state``: ``verified``, ``unverified`` (not
    tried, or not as its entry is now) or ``failed``, with the reason in ``detail``.
    """
    probes = {probe.relay: probe for probe in RelayProbe.objects.filter(chain=chain)}
    shown = []
    for entry in entries_of(chain):
        probe = probes.get(entry.name)
        state, detail = "unverified", "never tried: run `probe_relays`"
        if not may_be_asked(chain, entry):
            state, detail = "failed", "the chain is local and the relay is not on this machine"
        elif probe is not None and probe.entry_digest != digest_of(entry):
            detail = "its entry changed since it was tried: run `probe_relays`"
        elif probe is not None:
            state, detail = "verified" if probe.ok else "failed", probe.detail
        shown.append(
            {
                "name": entry.name,
                "kind": entry.kind,
                "url": mask_url(entry.url),
                "dialect": entry.dialect.value if entry.kind == "bundle" else None,
                "auth": entry.auth.value,
                "credential": entry.name in with_credential,
                "tipRecipient": entry.tip_recipient or None,
                "minGasPriceWei": str(entry.min_gas_price_wei),
                "cancels": entry.cancels,
                "state": state,
                "detail": detail,
                "probedAt": probe.at.isoformat() if probe else None,
            }
        )
    return shown


def relay_statistics(*, chain_key: str, window_s: int = 86_400) -> list[dict[str, Any]]:
    """Per relay over the last ``window_s``: what it was given, how it answered, what landed.

    ``landed`` counts payloads that were mined after this relay had them; where several had one, it
    counts for each: a block does not say who carried it in. ``missed``: given back or dead. What is
    neither may still land. One query.
    """
    since = timezone.now() - timedelta(seconds=window_s)
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [chain_key, since])
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [
        {
            "relay": row["relay"],
            "payloads": row["payloads"],
            "asked": int(row["asked"]),
            "accepted": row["accepted"],
            "refused": row["refused"],
            "unknown": row["unknown"],
            "notSent": row["not_sent"],
            "landed": row["landed"],
            "missed": row["missed"],
            "p50Ms": _ms(row["p50_us"]),
            "p95Ms": _ms(row["p95_us"]),
            "lastAt": row["last_at"].isoformat(),
        }
        for row in rows
    ]


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1_000, 3)
