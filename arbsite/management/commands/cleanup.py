"""Removes what killed processes left behind."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from arbsite.stack.cleaning import clean


class Command(BaseCommand):
    """`cleanup`: dead pid files, sockets, locks and half-written files."""

    help = "Removes dead pid files, sockets and locks, and says what it removed; leaves the living."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove, say."""
        removed = clean(settings.ARB.data_dir)
        for path in removed:
            self.stdout.write(f"removed {path}")
        if not removed:
            self.stdout.write("nothing to remove")
