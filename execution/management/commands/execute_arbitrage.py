"""Executes one arbitrage now: the best one, or the one named."""

import json
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from arbsite.base.errors import ArbError
from arbsite.base.problems import Conflict
from contracts import adapters as contracts_adapters
from contracts.models import Chain
from execution import adapters, render, services
from execution.management.commands import _arbitrage as arbitrage
from execution.management.commands._arbitrage import Found
from execution.models import Execution
from wallets.management.commands._keys import signer


class Command(BaseCommand):
    """`execute_arbitrage --chain KEY [--opportunity ID] [--dry-run] [--json]`."""

    help = (
        "Executes the best (or the named) opportunity once, through the engine where one runs. "
        "With --dry-run it is found and simulated on the chain as it is, and nothing is recorded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, opportunity, dry-run, json."""
        parser.add_argument("--chain", required=True, help="chain key, such as bsc")
        parser.add_argument("--opportunity", type=int, metavar="ID", help="default: the best one")
        parser.add_argument("--dry-run", action="store_true", help="simulate only")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find, act, print; exit non-zero where nothing was executed."""
        try:
            chain = contracts_adapters.chain(options["chain"])
            if options["dry_run"]:
                self._rehearse(chain, options)
            else:
                services.refuse_if_killed(chain)
                self._show(self._execute(chain, options["opportunity"]), as_json=options["json"])
        except (ArbError, Conflict) as error:
            raise CommandError(str(error)) from None
        except OperationalError:
            raise CommandError("PostgreSQL cannot be reached: start it with `up`") from None

    def _rehearse(self, chain: Chain, options: dict[str, Any]) -> None:
        found = arbitrage.Market(chain).find(opportunity_pk=options["opportunity"])
        simulated = arbitrage.simulate(found)
        revert = simulated.revert if simulated else None
        if options["json"]:
            shown = {
                "simulated": True,
                "blockNumber": found.evaluation.block.number,
                "borrowToken": found.symbol,
                "borrowAmount": str(found.evaluation.borrow_amount),
                "waterfall": arbitrage.waterfall(found),
                "netProfit": str(found.evaluation.net_profit),
                "ok": simulated.ok if simulated else None,
                "profit": str(simulated.profit) if simulated and simulated.ok else None,
                "revert": revert.as_json() if revert else None,
            }
            self.stdout.write(json.dumps(shown))
        else:
            self._show_found(found)
            if simulated is None:
                self.stdout.write("not simulated: no contract with an authorised executor")
            elif simulated.ok:
                self.stdout.write(f"simulated: profit {simulated.profit} raw units before gas")
        if revert is not None:
            raise CommandError(f"the simulation reverts: {revert}; {revert.next_action}")

    def _execute(self, chain: Chain, opportunity_pk: int | None) -> Execution:
        with arbitrage.lead(chain) as epoch:
            if epoch is None:
                self.stderr.write("  asking the engine")
                return arbitrage.ask_engine(chain, opportunity_pk=opportunity_pk)
            market = arbitrage.Market(chain)
            market.find(opportunity_pk=opportunity_pk)  # nothing to do is said before it is asked
            request = arbitrage.request_open(chain, opportunity_pk=opportunity_pk)
            with signer() if adapters.may_sign(chain) else nullcontext():
                return arbitrage.act(
                    market,
                    request=request,
                    epoch=epoch,
                    say=lambda line: self.stderr.write(f"  {line}"),
                )

    def _show_found(self, found: Found) -> None:
        each = found.evaluation
        self.stdout.write(
            f"block {each.block.number}: borrow {each.borrow_amount} raw units of {found.symbol} "
            f"from {each.lender.kind.value}, {len(each.hops)} hops"
        )
        for row in arbitrage.waterfall(found):
            self.stdout.write(f"  {row['step']:<20} {row['amount']}")

    def _show(self, row: Execution, *, as_json: bool) -> None:
        shown = render.execution(row)
        if as_json:
            self.stdout.write(json.dumps(shown, default=str))
        else:
            self.stdout.write(
                f"execution {row.pk}: {shown['status']} {shown['txHash'] or '(nothing was signed)'}"
                f" realized {shown['realizedProfit']} net {shown['netProfitWei']} wei"
            )
        if shown["status"] in ("reverted", "rejected", "expired", "cancelled"):
            raise CommandError(f"execution {row.pk} ended {shown['status']}")
