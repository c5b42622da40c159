"""Fast Mode of one chain as API and page show it: limits, state, figures, readiness."""

from typing import Any

from contracts.models import Chain
from execution import adapters, fast_mode, readiness, selectors
from prices.render import iso
from wallets import selectors as wallet_selectors


def checks(chain: Chain) -> list[dict[str, Any]]:
    """The readiness list."""
    found = readiness.readiness(
        chain=chain, may_sign=adapters.may_sign(chain), signer_up=adapters.signer_up()
    )
    return [check.as_json() for check in found]


def failing(chain: Chain) -> list[dict[str, Any]]:
    """What of it stands against arming."""
    return [check for check in checks(chain) if not check["ok"]]


def mode_status(chain: Chain) -> dict[str, Any]:
    """SPEC's status. ``offering``: what passes waits for a person's Confirm."""
    mode = fast_mode.fast_mode_ensure(chain=chain)
    killed = wallet_selectors.kill_engaged(chain_key=chain.key)
    stop = wallet_selectors.kill_status(chain_keys=[chain.key]) if killed else []
    engaged = next((each for each in stop if each["engaged"]), None)
    return {
        "chain": chain.key,
        "config": fast_mode.config_shown(mode.config, state=mode.state, is_local=chain.is_local),
        "state": "killed" if killed else mode.state,
        "reason": engaged["reason"] if engaged else mode.reason,
        "since": engaged["changedAt"] if engaged else iso(mode.since),
        "by": engaged["changedBy"] if engaged else mode.changed_by,
        "armedAt": iso(mode.armed_at) if mode.state != "off" else None,
        "expiresAt": iso(mode.expires_at),
        "offering": not killed and mode.state == "armed" and not mode.config.auto_execute,
        "stats": selectors.stats(chain=chain),
        "readiness": checks(chain),
    }
