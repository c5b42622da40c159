"""Starts one process of the running stack."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.base.errors import ArbError
from arbsite.stack.supervisor import Supervisor


class Command(BaseCommand):
    """`start NAME`."""

    help = "Starts one process of the running stack; `ps` lists the names."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME."""
        parser.add_argument("name", help="as `ps` shows it, such as engine:local")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the supervisor."""
        try:
            Supervisor(settings.ARB.data_dir).start(options["name"])
        except ArbError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"started {options['name']}")
