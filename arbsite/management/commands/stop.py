"""Stops one process of the running stack, or all of it."""

from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.base.errors import ArbError
from arbsite.stack import paths
from arbsite.stack.lock import is_held
from arbsite.stack.supervisor import Supervisor
from arbsite.stack.waiting import wait_until

_STOP_S: Final = 15.0


class Command(BaseCommand):
    """`stop [NAME]`."""

    help = "Stops one process of the running stack until `start`; without a name the whole stack."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME."""
        parser.add_argument("name", nargs="?", help="as `ps` shows it, such as engine:local")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the supervisor; for the whole stack wait for its end."""
        data_dir = settings.ARB.data_dir
        supervisor = Supervisor(data_dir)
        try:
            if options["name"]:
                supervisor.stop(options["name"])
                self.stdout.write(f"stopped {options['name']}")
                return
            supervisor.shutdown()
            lock = paths.Layout(data_dir).run / "up.lock"

            def lacking() -> str | None:
                # It looks after the dead once a second, and after each request.
                supervisor.answers()
                return "it is still stopping" if is_held(lock) else None

            wait_until(lacking, what="the stack", deadline_s=_STOP_S)
        except ArbError as error:
            raise CommandError(str(error)) from None
        self.stdout.write("stopped the whole stack")
