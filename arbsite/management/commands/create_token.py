"""Prints a new API token, the only time it is seen."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, transaction

from arbsite.base import audit
from arbsite.base.errors import Rejected
from arbsite.base.models import ApiToken, User
from arbsite.base.permissions import RANK, rank_of
from arbsite.base.tokens import DEFAULT_DAYS, SCOPE_ROLE, digest, token_create


class Command(BaseCommand):
    """`create_token USER [--scope read|operate|admin] [--days N]`."""

    help = "Prints a new API token, once. Send it as `Authorization: Bearer TOKEN`."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """User, scope, life, label, json."""
        parser.add_argument("user", help="whose token it is; the user's role still bounds it")
        parser.add_argument("--scope", choices=sorted(SCOPE_ROLE), default="read")
        parser.add_argument(
            "--days",
            type=int,
            help=f"how long it lives (default {DEFAULT_DAYS}); refused for admin, which lives 12 h",
        )
        parser.add_argument("--label", default="", help="what it is for")
        parser.add_argument("--json", action="store_true", help="print an object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it, write that down, print it."""
        try:
            token, made = _make(options)
        except Rejected as error:
            raise CommandError(str(error)) from None
        except OperationalError:
            raise CommandError("PostgreSQL cannot be reached: start it with `up`") from None
        if options["json"]:
            facts = {"token": token, "scope": made.scope, "expiresAt": made.expires_at.isoformat()}
            self.stdout.write(json.dumps(facts))
        else:
            self.stdout.write(token)
            # Apart from the token, so that it can be piped on its own.
            until = f"{made.expires_at:%Y-%m-%d %H:%M} UTC"
            self.stderr.write(f"scope {made.scope}, until {until}; shown only now")
            if rank_of(made.user) < RANK[SCOPE_ROLE[made.scope]]:
                self.stderr.write(f"{made.user} is {made.user.role}: the token reaches no further")


def _make(options: dict[str, Any]) -> tuple[str, ApiToken]:
    user = User.objects.filter(username=options["user"], is_active=True).first()
    if user is None:
        raise CommandError(f"there is no active user {options['user']!r}: make one in the admin")
    with transaction.atomic():
        token = token_create(
            user=user, scope=options["scope"], days=options["days"], label=options["label"]
        )
        made = ApiToken.objects.select_related("user").get(digest=digest(token))
        audit.record(
            verb="token.create",
            target=f"{user.get_username()} {made.prefix}",
            via="command",
            after={"scope": made.scope, "expires_at": made.expires_at.isoformat()},
        )
    return token, made
