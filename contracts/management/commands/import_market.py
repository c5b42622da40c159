"""Reads a market file into the registry after checking every claim on chain."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from arbsite.base.errors import ArbError
from contracts import probe, services
from contracts.kernel import market_file
from contracts.models import Chain
from contracts.rpc import HttpRpc


class Command(BaseCommand):
    """`import_market FILE`: idempotent; on any refusal nothing is written."""

    help = (
        "Reads chain, tokens, DEXes and pairs from a market file into the registry. Checks chain "
        "id, code at every address, decimals, pools and fees on chain; on a refusal nothing is "
        "written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE, --offline, --json."""
        parser.add_argument("file", help="the market file (JSON)")
        parser.add_argument("--offline", action="store_true", help="skip the checks on chain")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Parse, probe, write, report."""
        document = _read(options["file"])
        try:
            report = self._run(market_file.parse(document), offline=options["offline"])
        except ArbError as error:
            raise CommandError(f"{error} (nothing was written)") from None
        except OperationalError:
            raise CommandError("PostgreSQL cannot be reached: start it with `up`") from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report)))
            return
        for name in report.left_out:
            self.stdout.write(f"  no pool: {name}")
        for name in report.empty:
            self.stdout.write(f"  no liquidity: {name}")
        for name in report.fees_unproven:
            self.stdout.write(f"  fee not proven: {name} has no pool that could be tried")
        how = "checked on chain" if report.checked else "not checked on chain (--offline)"
        self.stdout.write(
            f"{report.chain}: {report.pairs} pairs, {report.tokens} tokens, {report.dexes} DEXes, "
            f"{report.pools} pools, {how}"
        )

    def _run(self, market: market_file.MarketFile, *, offline: bool) -> services.ImportReport:
        configured = settings.ARB.rpc.get(market.chain.key)
        urls = configured.http if configured and configured.http else market.chain.rpc_http
        others = (*configured.ws, *configured.send) if configured else ()
        probe.check_local_claim(market, (*urls, *others), offline=offline)
        if offline:
            return services.market_import(market=market, facts=None)
        rpc = HttpRpc(urls, timeout_s=30)
        try:
            facts = probe.probe_market(
                market, rpc, progress=lambda line: self.stderr.write(f"  {line}")
            )
            report = services.market_import(market=market, facts=facts)
            self._prove(report, rpc)
        finally:
            rpc.close()
        return report

    def _prove(self, report: services.ImportReport, rpc: HttpRpc) -> None:
        """Prove tokens and pools; what is not proven yet is not traded, so a failure only waits."""
        self.stderr.write("  proving every pool by simulated swaps")
        try:
            proven = services.tokens_prove(chain=Chain.objects.get(key=report.chain), rpc=rpc)
        except ArbError as error:
            self.stderr.write(f"  {error}: not all is proven; the daily task goes on")
            return
        self.stderr.write(f"  {proven} of {report.tokens} tokens proven")


def _read(name: str) -> object:
    """The decoded file. Raises: CommandError in one line."""
    try:
        return json.loads(Path(name).read_text(encoding="utf-8"), object_pairs_hook=_no_key_twice)
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{name} is not JSON: {str(error)[:120]}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON leaves open which of two equal keys counts: neither does."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object")
    return found
