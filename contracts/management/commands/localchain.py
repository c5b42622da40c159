"""Runs the local chain and its market alone, without the database."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.base.errors import ArbError
from arbsite.base.files import write_atomic
from arbsite.base.turns import take_turns
from contracts.localchain.anvil import DEFAULT_PORT, PortBusy, ports_to_try
from contracts.localchain.driver import Driver
from contracts.localchain.market_file import market_file
from contracts.localchain.node import DEFAULT_SEED, Node
from contracts.localchain.rival import Race
from contracts.localchain.runner import run, told_to_stop

DEFAULT_CHAIN_ID: Final = 31337
PEOPLE_YIELD: Final = 5  # their niceness: they look at a block together with whoever executes on it
KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Command(BaseCommand):
    """`localchain`: until SIGTERM, SIGINT, or the end of the process that started it."""

    help = (
        "Runs the embedded chain with its market: real Uniswap V2 and Aave V3 bytecode, traders "
        "and a rival. Prints its market file, or writes it, and says when it is ready."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """All optional."""
        parser.add_argument("--write-market", metavar="FILE", help="write the market file there")
        parser.add_argument(
            "--seed",
            type=int,
            help=f"the same seed gives the same market (the kept market's, else {DEFAULT_SEED})",
        )
        parser.add_argument("--block-time", type=float, default=1.0, metavar="S", help="seconds")
        parser.add_argument("--no-traders", action="store_true", help="nobody trades but you")
        parser.add_argument(
            "--rival",
            metavar="MS:PERCENT",
            help="the rival acts MS after each block, and is first with PERCENT of what it finds "
            "(default: it waits 1 to 4 blocks)",
        )
        parser.add_argument(
            "--port",
            type=int,
            help="this one and no other; 0 takes a free one (default: the one in the file of "
            f"--write-market, else {DEFAULT_PORT}, else a free one)",
        )
        parser.add_argument("--key", default="local", help="the chain's key in the market file")
        parser.add_argument("--chain-id", type=int, default=DEFAULT_CHAIN_ID)
        parser.add_argument(
            "--state-dir", metavar="DIR", help="keep the chain there and go on from it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Build or resume, announce, mine."""
        _check(options)
        race = _race(options)
        stop = told_to_stop(signal.SIGTERM, signal.SIGINT)
        folder = Path(options["state_dir"]) if options["state_dir"] else None
        try:
            with _node(options, folder=folder) as node:
                people = not options["no_traders"]
                driver = Driver(
                    node.market, chain=node.chain, noise=people, rival=people, race=race
                )
                self._announce(node, options)
                if race is None:  # a rival that races has the same chance of the processor
                    os.nice(PEOPLE_YIELD)
                    take_turns()
                run(node, driver, block_time_s=options["block_time"], stop=stop)
        except ArbError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None

    def _announce(self, node: Node, options: dict[str, Any]) -> None:
        file = market_file(
            node.market,
            key=options["key"],
            chain_id=options["chain_id"],
            http_url=node.anvil.http_url,
            ws_url=node.anvil.ws_url,
            block_time_ms=round(options["block_time"] * 1000),
        )
        text = json.dumps(file, indent=1) + "\n"
        if options["write_market"]:
            write_atomic(Path(options["write_market"]), text, mode=0o644)
        else:
            self.stdout.write(text)
        self.stdout.write(
            f"localchain ready key={options['key']} chainId={options['chain_id']} "
            f"seed={node.market.seed} block={node.chain.head()} "
            f"{'resumed' if node.resumed else 'new'} http={node.anvil.http_url} "
            f"ws={node.anvil.ws_url} pid={os.getpid()}"
        )
        self.stdout.flush()


def _check(options: dict[str, Any]) -> None:
    """Raises: CommandError naming the first option that cannot be."""
    if options["seed"] is not None and options["seed"] < 0:
        raise CommandError("--seed must be a whole number, 0 or more")
    if not 0.05 <= options["block_time"] <= 600:
        raise CommandError("--block-time must be from 0.05 to 600 seconds")
    if not 0 <= (options["port"] or 0) <= 65_535:
        raise CommandError("--port must be from 0 to 65535 (0 takes a free one)")
    if not KEY.fullmatch(options["key"]):
        raise CommandError("--key must be lower-case letters, digits and _, such as local")
    if not 1 <= options["chain_id"] < 2**53:
        raise CommandError("--chain-id must be from 1 to 2^53 - 1")


def _node(options: dict[str, Any], *, folder: Path | None) -> Node:
    """The node on the first port that is free of those that may be. Raises: what `Node` raises."""
    busy: PortBusy | None = None
    for port in ports_to_try(options["port"], known=_known_port(options["write_market"])):
        try:
            return Node(
                port=port, chain_id=options["chain_id"], seed=options["seed"], folder=folder
            )
        except PortBusy as error:
            busy = error
    assert busy is not None  # noqa: S101  there is one port at least
    raise busy


def _known_port(market: str | None) -> int | None:
    """The port in the market file of an earlier run: whoever imported it looks there."""
    if market is None:
        return None
    try:
        chain = json.loads(Path(market).read_text())["chain"]
        return urlsplit(str(chain["rpcHttp"][0])).port
    except (OSError, ValueError, LookupError, TypeError):
        return None  # none, or something else: it is written anew


def _race(options: dict[str, Any]) -> Race | None:
    """Raises: CommandError where the rival's terms cannot be."""
    if options["rival"] is None:
        return None
    try:
        race = Race.parse(options["rival"])
    except ValueError as error:
        raise CommandError(f"--rival {error}") from None
    if race.delay_ms >= 1000 * options["block_time"]:
        raise CommandError("--rival must act within a block's time")
    return race
