"""Who waits for a block wakes with it: what nobody's money waits for lets the others go first."""

import os
import subprocess
import sys

from arbsite.stack import die_with_parent
from arbsite.stack.processes import Plan, table

NICENESS = (sys.executable, "-c", "import os; print(os.nice(0))")


def test_a_program_that_yields_is_nicer_than_who_starts_it():
    for yields in (0, 5):
        words = die_with_parent.wrapped(NICENESS, yields=yields)
        env = {**os.environ, die_with_parent.PARENT: str(os.getpid())}
        said = subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout
        assert int(said) == min(os.nice(0) + yields, 19)


def test_pages_and_schedules_yield_to_the_engine_and_to_all_that_an_execution_waits_for(tmp_path):
    plan = Plan(
        root=tmp_path, data_dir=tmp_path, bind_host="127.0.0.1", bind_port=1, chains=("local",)
    )
    yielding = {program.name for program in table(plan) if program.yields}
    assert yielding == {"web", "worker", "beat"}
