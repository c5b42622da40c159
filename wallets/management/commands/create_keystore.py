"""Makes the master seed and shows its words once, or reads words from standard input."""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from wallets.management.commands._keys import add_exposure, exposure_asked, secret_read, signer

EXPOSED: Final = (
    "It is marked as exposed for ever: where coin has value, wallets derived from it sign nothing "
    "but moving away (`move_away`)."
)


class Command(BaseCommand):
    """`create_keystore [--import [--exposed | --not-exposed]]`."""

    help = (
        "Makes a master seed and shows its 24 words, once. With --import it reads the words of an "
        "existing one from standard input, never from the command line."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--import, --exposed, --not-exposed."""
        parser.add_argument(
            "--import", action="store_true", dest="read", help="read the words from standard input"
        )
        add_exposure(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make or read, and say what to do next."""
        with signer() as client:
            if options["read"]:
                exposed = exposure_asked(options["exposed"], what="this mnemonic", tell=self.stderr)
                client.seed_import("main", mnemonic=secret_read("The words"), exposed=exposed)
                self.stdout.write("The master seed is in the keystore.")
                if exposed:
                    self.stdout.write(EXPOSED)
                return
            words = client.seed_create("main")
        self.stdout.write("Write these words down, in order, on paper. They are not shown again:\n")
        self.stdout.write(words)
        self.stdout.write("\nWhoever has them has every key derived from them.")
