"""Runs the whole stack in the foreground until Ctrl-C."""

import re
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from arbsite.base.errors import ArbError
from arbsite.base.models import User
from arbsite.stack import bootstrap, paths, preflight, ready
from arbsite.stack.processes import Plan, table
from arbsite.stack.session import Session, run
from contracts.models import Chain, Dex, Pair, Pool
from execution.models import FastMode


class Command(BaseCommand):
    """`up`: embedded services, migrations, local chain, contracts, engines, console."""

    help = "Supervises the whole stack: starts it in order, restarts what dies, Ctrl-C stops it."
    # Checks that need the database run in the steps, once it is there.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """--no-localchain, --rival MS:PERCENT, --chain KEY."""
        parser.add_argument(
            "--no-localchain", action="store_true", help="leave the local chain out"
        )
        parser.add_argument(
            "--rival",
            metavar="MS:PERCENT",
            help="the local chain's rival races instead of waiting (see localchain --help)",
        )
        parser.add_argument(
            "--chain",
            action="append",
            metavar="KEY",
            help="an engine for this chain (repeatable; default: local)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, start, wait, stop."""
        began = time.monotonic()
        localchain = not options["no_localchain"]
        plan = self._plan(chains=options["chain"], localchain=localchain, rival=options["rival"])

        def bring_up(session: Session) -> None:
            boot = bootstrap.Bootstrap(plan=plan, session=session)
            bootstrap.run(boot)
            text = ready.render(screen(boot, seconds=time.monotonic() - began))
            # From here `up` only watches.
            connection.close()
            session.say(text)

        try:
            run(
                table(plan),
                data_dir=plan.data_dir,
                root=plan.root,
                out=sys.stdout,
                check=lambda: preflight.check(plan),
                bring_up=bring_up,
            )
        except ArbError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            said = " ".join(str(error).split())
            raise CommandError(f"the database refused: {said[:300]}") from None

    def _plan(self, *, chains: list[str] | None, localchain: bool, rival: str | None) -> Plan:
        arb = settings.ARB
        for key in chains or ():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", key):
                raise CommandError(f"--chain {key}: not a chain key such as local or bsc")
        defaults = [bootstrap.LOCAL] if localchain else []
        words = ["--seed", str(arb.local_seed), "--block-time", arb.local_block_time_s]
        words += ["--rival", rival] if rival else []
        return Plan(
            root=Path(settings.BASE_DIR),
            data_dir=arb.data_dir,
            bind_host=arb.bind_host,
            bind_port=arb.bind_port,
            chains=tuple(dict.fromkeys(chains or defaults)),
            embedded_postgres=arb.embedded_database,
            embedded_redis=arb.embedded_redis,
            localchain=localchain,
            signer=paths.signer_elsewhere(arb.data_dir) is None,
            localchain_options=tuple(words),
        )


def screen(boot: bootstrap.Bootstrap, *, seconds: float) -> ready.Screen:
    """What the ready screen shows, from the record. About five queries a chain."""
    arb, plan = settings.ARB, boot.plan
    file = paths.secret_path(plan.data_dir, "admin")
    admin = User.objects.filter(username=arb.admin_user).first()
    password, where = boot.first_password, f"kept in {file}"
    if password is None:
        kept = file.read_text().strip() if file.is_file() else ""
        if kept and admin is not None and admin.check_password(kept):
            password = kept
        else:
            where = "the one you set"
    host = "127.0.0.1" if plan.bind_host in ("0.0.0.0", "::") else plan.bind_host  # noqa: S104 - compared, not bound
    return ready.Screen(
        url=f"http://{f'[{host}]' if ':' in host else host}:{plan.bind_port}/",
        user=arb.admin_user,
        password=password,
        password_at=where,
        traded=[
            traded(chain) for chain in Chain.objects.filter(key__in=plan.chains).order_by("key")
        ],
        known=list(Chain.objects.exclude(key__in=plan.chains).values_list("key", flat=True)),
        logs=paths.Layout(plan.data_dir).logs,
        seconds=seconds,
    )


def traded(chain: Chain) -> ready.Traded:
    """One chain's line. Four queries."""
    return ready.Traded(
        chain=chain.key,
        pairs=Pair.objects.filter(chain=chain).count(),
        dexes=Dex.objects.filter(chain=chain).count(),
        pools=Pool.objects.filter(pair__chain=chain).count(),
        live=settings.ARB.may_sign(chain_key=chain.key, is_local=chain.is_local),
        armed=FastMode.objects.filter(chain=chain, state="armed").exists(),
    )
