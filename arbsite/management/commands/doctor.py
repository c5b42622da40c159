"""Says in plain words what is missing or wrong, and the command that mends it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.stack.chain_diagnosis import CHAIN_CHECKS
from arbsite.stack.diagnosis import CHECKS, examine, patient
from arbsite.stack.findings import Level


class Command(BaseCommand):
    """`doctor [--chain KEY]`."""

    help = "Says in plain words what is missing or wrong and the command that mends it."
    # It must speak where the others cannot start.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """--chain, --json."""
        parser.add_argument("--chain", metavar="KEY", help="look at this chain as well")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, print, exit non-zero when something is wrong."""
        checks = CHECKS + (CHAIN_CHECKS if options["chain"] else ())
        findings = examine(patient(chain=options["chain"]), checks=checks)
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings]))
        else:
            for finding in findings:
                self.stdout.write(f"{finding.level:<6} {finding.text}")
                if finding.mend:
                    self.stdout.write(f"       mend: {finding.mend}")
        wrong = sum(finding.level is Level.WRONG for finding in findings)
        if wrong:
            raise CommandError(f"{wrong} of {len(findings)} findings need mending")
