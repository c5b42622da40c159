"""Input and output have named doors: nothing else imports what is behind one."""

import ast

import pytest

from tests.architecture.tree import importers, modules

# What is behind each door, and the only modules that may go through it. A new one needs a reason.
DOORS = {
    "nodes": (
        (
            "web3",
            "urllib3",
            "websockets",
            "picows",
            "requests",
            "httpx",
            "aiohttp",
            *("urllib.request", "ssl"),
        ),
        {"contracts/http_wire.py", "contracts/ws_rpc.py"},
    ),
    "key material": (
        ("eth_account", "coincurve", "eth_keys"),
        {
            "wallets/keystore.py",
            "wallets/signer.py",
            "wallets/kernel/derivation.py",
            "wallets/kernel/payload.py",
            "wallets/kernel/relay_auth.py",  # a relay's credential, which owns nothing
        },
    ),
    "an EVM in process": (("pyrevm",), {"execution/evm.py"}),
    "ciphers": (("cryptography",), {"wallets/keystore.py"}),
    "keystore": (
        ("wallets.keystore",),
        {"wallets/signer.py"},
    ),
    "channel layer": (
        ("channels.layers", "channels_redis"),
        {"arbsite/base/channel.py", "arbsite/console/hub.py"},
    ),
    "Redis": (
        ("redis",),
        {
            "arbsite/base/channel.py",
            "arbsite/base/wake.py",
            "arbsite/console/hub.py",
            "arbsite/console/health.py",
            "arbsite/stack/valkey.py",
        },
    ),
    "the supervisor over HTTP": (
        ("http.client",),
        {"arbsite/stack/supervisor.py", "arbsite/stack/bootstrap.py"},
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_only_the_door_imports_what_is_behind_it(door):
    libraries, allowed = DOORS[door]

    assert importers(*libraries) - allowed == set()


@pytest.mark.parametrize("door", DOORS)
def test_no_door_stands_open_without_need(door):
    libraries, allowed = DOORS[door]

    assert allowed - importers(*libraries) == set()


def test_only_push_tells_the_channel():
    tellers = importers("arbsite.base.channel")

    assert {path for path in tellers if not path.endswith("/push.py")} == set()


def test_only_the_sender_hands_over_signed_bytes():
    callers = {
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "send_raw")
        or (isinstance(node, ast.Constant) and node.value == "eth_sendRawTransaction")
    }

    outside = {path for path in callers if not path.startswith("wallets/relays/")}
    # The local market's builder puts what others sent behind a race, as it found it.
    assert outside == {"contracts/rpc.py", "contracts/localchain/chain.py"}


def test_only_the_ground_and_the_roof_read_the_environment():
    readers = {
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }

    assert {path for path in readers if not path.startswith("arbsite/")} == set()
    assert not any(path.startswith("arbsite/base/") for path in readers)


def test_signals_of_models_are_not_used_for_rules():
    assert importers("django.db.models.signals") == set()
