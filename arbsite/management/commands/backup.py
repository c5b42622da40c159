"""Writes the record and the keystore into one private file."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.management.commands._endings import plain_endings
from arbsite.stack import archive
from arbsite.stack.backup import backup


class Command(BaseCommand):
    """`backup FILE [--with-passphrase]`."""

    help = (
        "Writes the record, the encrypted keystore, the signer's journal and the local chain's "
        "state into one file of mode 0600; the stack may run. The keystore's passphrase is left "
        "out unless you ask for it: keep it elsewhere."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE, --with-passphrase."""
        parser.add_argument("file", metavar="FILE", help="a file that does not exist yet")
        parser.add_argument(
            "--with-passphrase",
            action="store_true",
            help="put the passphrase in as well: whoever has the file then has every key",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, say what it holds and what it does not."""
        file = Path(options["file"]).absolute()
        if not file.parent.is_dir():
            raise CommandError(f"{file.parent} is not a folder: make it first")
        with plain_endings(file=file, database="PostgreSQL cannot be read"):
            manifest = backup(
                file,
                arb=settings.ARB,
                with_passphrase=options["with_passphrase"],
                say=lambda line: self.stderr.write(f"  {line}"),
            )
        self.stdout.write(f"{file} holds, of {manifest.made_at}:")
        for name, (size, digest) in sorted(manifest.members.items()):
            self.stdout.write(f"  {name} ({size} bytes, sha256 {digest[:16]})")
        if archive.PASSPHRASE in manifest.members:
            self.stdout.write("It holds the passphrase: whoever has this file has every key.")
        elif archive.KEYSTORE in manifest.members:
            self.stdout.write(
                "It does not hold the keystore's passphrase: without it no key can be restored."
            )
