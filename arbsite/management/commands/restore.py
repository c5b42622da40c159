"""Puts a backup in place; everything stays stopped until a human let it go on."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from arbsite.management.commands._endings import plain_endings
from arbsite.stack.restore import restore


class Command(BaseCommand):
    """`restore FILE [--force]`."""

    help = (
        "Proves a backup and puts it in place of an empty record and keystore. It starts in "
        "recovery: the kill switch is engaged, and no account signs before it was compared with "
        "its chain. --force moves what is there aside first."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE, --force."""
        parser.add_argument("file", metavar="FILE", help="what `backup` wrote")
        parser.add_argument(
            "--force", action="store_true", help="move the record and keystore there aside first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, say what is held and what to do next."""
        file = Path(options["file"]).absolute()
        with plain_endings(file=file, database="the database refused"):
            done = restore(
                file,
                arb=settings.ARB,
                force=options["force"],
                say=lambda line: self.stderr.write(f"  {line}"),
            )
        self.stdout.write(f"Restored the backup of {done.manifest.made_at}, stopped:")
        if done.aside:
            self.stdout.write(f"  the files that were there lie in {done.aside}")
        if done.schema_aside:
            self.stdout.write(
                f"  the record that was there is the schema {done.schema_aside}; drop it when you "
                "are sure"
            )
        self.stdout.write(f"  the kill switch is engaged everywhere, {done.accounts} accounts wait")
        self.stdout.write(
            "Start the stack: each account is compared with its chain. Look at the alerts, run "
            "`unfreeze` for each account that they name, then `kill_release`."
        )
