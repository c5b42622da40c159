"""A small stack of harmless processes under the real supervisor: ``python -m ... DATA_DIR``."""

import json
import sys
from functools import partial
from pathlib import Path

from arbsite.base.errors import ArbError
from arbsite.stack.processes import Program, Tier, watchdog
from arbsite.stack.session import Session, run

ROOT = Path(__file__).resolve().parents[3]

STEADY = str(Path(__file__).with_name("steady.py"))


def steady(name, *, tier, data_dir, **options):
    note = str(data_dir / "ended")
    return Program(name=name, argv=(sys.executable, STEADY, name, note), tier=tier, **options)


def programs(data_dir, *, crashing):
    note = str(data_dir / "killed")
    engine = {"on_crash_loop": (sys.executable, STEADY, "--note", note), "rest_s": 2.0}
    rows = [
        steady("postgres", tier=Tier.DATABASE, data_dir=data_dir),
        steady("redis", tier=Tier.SERVICES, data_dir=data_dir, bare_env=True),
        steady(
            "signer",
            tier=Tier.SERVICES,
            data_dir=data_dir,
            keeps_env=frozenset({"KEYSTORE_PASSPHRASE_FILE"}),
        ),
        watchdog(data_dir),
        steady("engine:local", tier=Tier.APPS, data_dir=data_dir, **engine),
        steady("web", tier=Tier.APPS, data_dir=data_dir),
    ]
    if crashing:
        crash = (sys.executable, "-c", "raise SystemExit('broken on purpose')")
        rows.append(Program(name="engine:sick", argv=crash, tier=Tier.APPS, **engine))
    return rows


def lacking(program, *, data_dir):
    """What keeps a steady process from noting that it was told to end."""
    if STEADY not in program.argv or (data_dir / f"{program.name}.listens").exists():
        return None
    return "it does not listen yet"


def main():
    data_dir = Path(sys.argv[1])
    table = programs(data_dir, crashing=bool({"--crashing", "--broken"} & set(sys.argv)))

    def bring_up(session: Session) -> None:
        for program in table:
            session.start(program.name, lacking=partial(lacking, program, data_dir=data_dir))
        if "--broken" in sys.argv:
            session.start("engine:sick", lacking=lambda: "it does not answer")
        session.say("Ready " + json.dumps([p.name for p in table]))

    try:
        run(table, data_dir=data_dir, root=ROOT, out=sys.stdout, bring_up=bring_up)
    except ArbError as error:
        print(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
