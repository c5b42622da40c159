"""Gives the keystore a new passphrase."""

from typing import Any

from django.core.management.base import BaseCommand

from wallets.management.commands._keys import signer


class Command(BaseCommand):
    """`rotate_passphrase`: made by the signer, shown to nobody."""

    help = (
        "Has the signer make a new passphrase and put it in the old one's place. At every instant "
        "the file there opens the keystore. Earlier backups open with the old one alone: copy it "
        "first if you keep them."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, say where it lies."""
        with signer() as client:
            file = client.rotate_passphrase()
        self.stdout.write(
            f"The keystore opens with a new passphrase, in {file}. Make a new `backup`: earlier "
            "ones open with the old passphrase, which is gone from here."
        )
