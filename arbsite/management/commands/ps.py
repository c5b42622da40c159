"""Shows the running stack's processes."""

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.base.errors import ArbError
from arbsite.stack.supervisor import Supervisor


class Command(BaseCommand):
    """`ps`: name, state, pid, uptime, restarts."""

    help = "Shows the processes of the running stack."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="print the table as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the supervisor, print."""
        try:
            rows = Supervisor(settings.ARB.data_dir).processes()
        except ArbError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            keys = {"uptime_s": "uptimeS"}
            table = [{keys.get(k, k): v for k, v in asdict(row).items()} for row in rows]
            self.stdout.write(json.dumps(table))
            return
        self.stdout.write(f"{'NAME':<16} {'STATE':<9} {'PID':>8} {'UPTIME':>10} {'RESTARTS':>8}")
        for row in rows:
            pid = "-" if row.pid is None else str(row.pid)
            uptime = "-" if row.uptime_s is None else duration(row.uptime_s)
            self.stdout.write(
                f"{row.name:<16} {row.state:<9} {pid:>8} {uptime:>10} {row.restarts:>8}"
            )


def duration(seconds: int) -> str:
    """``3d04h``, ``2h05m``, ``4m09s``, ``12s``."""
    minutes, left_s = divmod(seconds, 60)
    hours, left_m = divmod(minutes, 60)
    days, left_h = divmod(hours, 24)
    if days:
        return f"{days}d{left_h:02}h"
    if hours:
        return f"{hours}h{left_m:02}m"
    return f"{minutes}m{left_s:02}s" if minutes else f"{left_s}s"
