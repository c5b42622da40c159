"""Shows what a loan costs: the lender's reserve, our minimum, and a simulated round trip's loss."""

import json
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from arbsite.base.errors import ArbError
from contracts import adapters as contracts_adapters
from contracts.models import Token
from execution.management.commands._flash_loan import Crossing, LoanTest, loan_test, token_find

# A round trip mostly loses its fees, and the right end is that the contract refuses to lose them.
EXPECTED: Final = "ProfitTooLow"


class Command(BaseCommand):
    """`test_flash_loan --chain KEY [--token T] [--json]`."""

    help = (
        "Prints the lender's reserve and our contract's minimum profit, and simulates a borrowed "
        "round trip through the deepest pools, showing the loss step by step. Sends nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, token, json."""
        parser.add_argument("--chain", required=True, help="chain key, such as bsc")
        parser.add_argument(
            "--token", metavar="T", help="symbol or address; default: the wrapped native coin"
        )
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, simulate, print; exit non-zero when the loan does not work as it should."""
        try:
            chain = contracts_adapters.chain(options["chain"])
            token = token_find(chain, options["token"])
            found = loan_test(chain, token=token, rpc=contracts_adapters.rpc(chain))
        except ArbError as error:
            raise CommandError(str(error)) from None
        except OperationalError:
            raise CommandError("PostgreSQL cannot be reached: start it with `up`") from None
        self.stdout.write(json.dumps(_json(found)) if options["json"] else _text(found))
        revert = found.simulated.revert if found.simulated else None
        if revert is not None and revert.name != EXPECTED:
            raise CommandError(f"the round trip failed: {revert}; {revert.next_action}")
        if found.simulated is not None and revert is None and found.trip.result < 0:
            raise CommandError("the contract let a losing trade pass: pause it and read its code")


def _json(found: LoanTest) -> dict[str, Any]:
    trip, reserve = found.trip, found.reserve
    return {
        "chain": found.chain.key,
        "blockNumber": found.head.number,
        "blockHash": found.head.hash,
        "token": {
            "symbol": found.token.symbol,
            "address": found.token.address,
            "decimals": found.token.decimals,
        },
        "lender": {
            "kind": "aave_v3",
            "address": found.lender,
            "reserveId": reserve.reserve_id,
            "aToken": reserve.atoken,
            "flags": reserve.flags,
            "liquidity": str(reserve.liquidity),
            "premiumBps": reserve.premium_bps,
            "premiumRounding": str(reserve.rounding),
        },
        "contract": {
            "address": found.receiver.address,
            "minProfit": str(found.min_profit),
        }
        if found.receiver
        else None,
        "path": [
            {
                "pool": each.pool.address,
                "dex": each.pool.dex.key,
                "feeBps": each.pool.fee_bps,
            }
            for each in (trip.there, trip.home)
        ],
        "borrowAmount": str(trip.borrowed),
        "middleAmount": str(trip.middle),
        "backAmount": str(trip.back),
        "steps": [{"step": step, "amount": str(amount)} for step, amount in trip.steps],
        "result": str(trip.result),
        "revert": found.simulated.revert.as_json()
        if found.simulated and found.simulated.revert
        else None,
        "note": found.note,
    }


def _text(found: LoanTest) -> str:
    trip, reserve, token = found.trip, found.reserve, found.token
    flags = ", ".join(f"{name} {str(on).lower()}" for name, on in reserve.flags.items())
    lines = [
        f"{token.symbol} on {found.chain.key} at block {found.head.number}",
        f"  lender     Aave V3 {found.lender}",
        f"  reserve    id {reserve.reserve_id}, aToken {reserve.atoken}",
        f"  flags      {flags}",
        f"  liquidity  {_amount(reserve.liquidity, token)}",
        f"  premium    {reserve.premium_bps} bps, rounded {reserve.rounding}",
    ]
    if found.receiver is not None:
        lines.append(f"  contract   {found.receiver.address}")
        lines.append(f"  minimum    {_amount(found.min_profit or 0, token)}")
    lines += [
        "round trip",
        f"  borrow     {_amount(trip.borrowed, token)}",
        f"  there      {_amount(trip.middle, trip.other)} at {_pool(trip.there)}",
        f"  back       {_amount(trip.back, token)} at {_pool(trip.home)}",
        *(f"  {step:<20} {_amount(amount, token)}" for step, amount in trip.steps),
        f"  {'left before gas':<20} {_amount(trip.result, token)}",
    ]
    revert = found.simulated.revert if found.simulated else None
    if revert is not None:
        lines.append(f"simulated: reverts with {revert}")
    elif found.simulated is not None:
        lines.append(f"simulated: it would pay {_amount(found.simulated.profit or 0, token)}")
    if found.note:
        lines.append(f"not simulated: {found.note}")
    return "\n".join(lines)


def _pool(each: Crossing) -> str:
    return f"{each.pool.dex.name} {each.pool.address} ({each.fee} bps)"


def _amount(raw: int, token: Token) -> str:
    """Raw units in whole tokens, exactly, without a float."""
    sign, digits = "-" if raw < 0 else "", str(abs(raw)).rjust(token.decimals + 1, "0")
    whole, part = digits[: len(digits) - token.decimals], digits[len(digits) - token.decimals :]
    part = part.rstrip("0")
    return f"{sign}{whole}{'.' + part if part else ''} {token.symbol}"
