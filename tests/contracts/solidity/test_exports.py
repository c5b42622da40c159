"""What the Solidity build leaves for Python is fresh, and the sources keep the house's rules."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ABI = ROOT / "contracts" / "abi"
SOURCES = sorted((ROOT / "contracts" / "solidity" / "src").rglob("*.sol"))
DEPLOYED = ("FlashLoanReceiver", "MultiDexRouter")
CODE_LIMIT_BYTES = 24_576  # EIP-170


def exported(name: str) -> dict:
    return json.loads((ABI / f"{name}.json").read_text())


def signatures(name: str, kind: str) -> set[str]:
    def spell(entry: dict) -> str:
        if entry["type"].startswith("tuple"):
            inner = ",".join(spell(part) for part in entry["components"])
            return f"({inner}){entry['type'].removeprefix('tuple')}"
        return entry["type"]

    return {
        f"{entry['name']}({','.join(spell(part) for part in entry['inputs'])})"
        for entry in exported(name)["abi"]
        if entry["type"] == kind
    }


def code_only(path: Path) -> str:
    """A source without its comments."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text)


def test_exported_abis_are_what_the_sources_build():
    done = subprocess.run(
        [sys.executable, "tools/export_abi.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DEPLOYED)
def test_deployed_code_is_comparable_byte_for_byte_and_fits(name):
    document = exported(name)
    assert document["immutableReferences"] == {}
    code = bytes.fromhex(document["deployedBytecode"].removeprefix("0x"))
    assert 0 < len(code) <= CODE_LIMIT_BYTES
    assert code in bytes.fromhex(document["bytecode"].removeprefix("0x"))


def test_the_receivers_interface_is_the_promised_one():
    plan = "(uint8,address,address,uint256,uint256,uint64,uint64,bytes32[])"
    assert signatures("FlashLoanReceiver", "function") >= {
        f"execute({plan})",
        "registerPools(address,address[])",
        "delistPools(address[])",
        "sweep(address)",
        "pause()",
        "unpause()",
        "setExecutor(address,bool)",
        "setFactory(address,bool)",
        "setRouter(address,bool)",
        "setLender(address,bool)",
        "setTipRecipient(address,bool)",
        "setMinProfit(address,uint256)",
        "setTreasury(address)",
        "owner()",
        "pendingOwner()",
        "treasury()",
        "paused()",
        "isExecutor(address)",
        "isFactory(address)",
        "isRouter(address)",
        "isLender(address)",
        "isPool(address)",
        "minProfit(address)",
    }
    assert signatures("FlashLoanReceiver", "event") >= {
        "Settled(address,address,uint256,uint256,uint256)",
        "Swept(address,uint256)",
        "PoolListed(address,address)",
    }
    assert signatures("FlashLoanReceiver", "error") >= {
        "NotExecutor()",
        "Expired()",
        "UnknownLender(address)",
        "UnknownPool(address)",
        "BadCaller(address)",
        "BadInitiator(address)",
        "MinProfitTooLow(uint256,uint256)",
        "ProfitTooLow(uint256,uint256)",
    }


def test_the_routers_interface_is_the_promised_one():
    assert signatures("MultiDexRouter", "function") == {
        "walk(bytes32[],uint256,address)",
        "quote(bytes32[],uint256)",
        "quoteMany(bytes32[][],uint256[])",
        "reserves(address[])",
    }


def test_the_router_has_no_storage_and_no_owner():
    text = code_only(ROOT / "contracts" / "solidity" / "src" / "MultiDexRouter.sol")
    body = text[text.index("contract MultiDexRouter") :]
    assert not re.search(
        r"^    \w[\w\s=>()]* (public|private|internal) \w+( =|;)", body, re.MULTILINE
    )
    assert "owner" not in body.lower()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_keep_the_rules(path):
    text = code_only(path)
    assert re.findall(r"pragma solidity ([^;]+);", text) == ["0.8.28"]
    assert "assembly" not in text
    assert "console" not in text
    assert not re.search(r"revert\s*\(", text), "custom errors only"
    assert not re.search(r"require\s*\(", text), "custom errors only"
    assert not re.search(r"tx\.origin|delegatecall|selfdestruct", text)
    assert not re.search(r"^import\s+\"", text, re.MULTILINE), "named imports only"
