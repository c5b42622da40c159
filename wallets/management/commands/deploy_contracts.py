"""Deploys our contracts on a chain and sets them up, or takes over a receiver that stands there."""

import json
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.base.fields import checksummed
from contracts import adapters as contracts_adapters
from wallets.administration.adopt import contract_adopt
from wallets.administration.deploy import DeployReport, contracts_deploy
from wallets.administration.office import office_open
from wallets.administration.replacing import contract_replace, receiver_named
from wallets.management.commands._keys import plain_errors, signer


class Command(BaseCommand):
    """`deploy_contracts --chain KEY [--owner | --adopt | --replace ADDRESS] [--json]`."""

    help = (
        "Deploys FlashLoanReceiver and MultiDexRouter from the chain's first gas reserve wallet, "
        "lists factories, lenders and pools, sets treasury and minimum profits. Run again, it goes "
        "on where it stopped. Where the chain may not sign it simulates and records."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, owner, adopt, replace, json."""
        parser.add_argument("--chain", required=True, help="chain key, such as bsc")
        parser.add_argument(
            "--owner", metavar="ADDRESS", help="who takes the receiver over, in two steps"
        )
        parser.add_argument(
            "--adopt", metavar="ADDRESS", help="record a receiver that stands on chain already"
        )
        parser.add_argument(
            "--replace",
            metavar="ADDRESS",
            help="put a new receiver in the place of this one: deploy, authorise, drain, revoke; "
            "run again it goes on from there",
        )
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Deploy, adopt or replace, then print what stands."""
        owner = _address(options["owner"], flag="--owner")
        adopted = _address(options["adopt"], flag="--adopt")
        replaced = _address(options["replace"], flag="--replace")
        if replaced and (owner or adopted):
            raise CommandError(
                "--replace keeps the owner: give neither --owner nor --adopt with it"
            )
        with plain_errors():
            chain = contracts_adapters.chain(options["chain"])
            office = office_open(
                chain, say=lambda line: self.stderr.write(f"  {line}"), via="shell"
            )
            with signer() if office.may_sign else nullcontext():
                if replaced:
                    old = receiver_named(chain.key, replaced)
                    report = contract_replace(office, old=old)
                elif adopted:
                    report = contract_adopt(office, address=adopted, owner=owner)
                else:
                    report = contracts_deploy(office, owner=owner)
        self.stdout.write(json.dumps(_json(report)) if options["json"] else _table(report))


def _address(text: str | None, *, flag: str) -> str:
    if not text:
        return ""
    try:
        return checksummed(text)
    except ValueError as error:
        raise CommandError(f"{flag}: {error}") from None


def _json(report: DeployReport) -> dict[str, Any]:
    return {
        "chain": report.chain,
        "simulated": report.simulated_only,
        "contracts": [
            {
                "kind": row.get_kind_display(),
                "address": row.address,
                "owner": row.owner,
                "treasury": row.treasury,
                "txHash": row.tx_hash,
                "adopted": row.adopted,
            }
            for row in report.contracts
        ],
        "transactions": [
            {"id": one.pk, "kind": one.kind, "txHash": one.tx_hash or None, "status": one.status}
            for one in report.transactions
        ],
        "drift": [one.as_json() for one in report.drift],
    }


def _table(report: DeployReport) -> str:
    lines = [f"{row.get_kind_display():<18} {row.address}" for row in report.contracts]
    for one in report.drift:
        lines.append(f"open: {one.key} is {one.observed}, not {one.desired} {one.note}".rstrip())
    count = len(report.transactions)
    if report.simulated_only:
        lines.append(
            f"{report.chain}: {count} transactions simulated and recorded, nothing was signed: "
            f"add {report.chain} to ARB_LIVE to sign"
        )
    else:
        lines.append(f"{report.chain}: {count} transactions")
    return "\n".join(lines)
