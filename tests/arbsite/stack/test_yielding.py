"""Who waits for a block wakes with it: what nobody's money waits for lets the others go first."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from arbsite.stack import die_with_parent
from arbsite.stack.processes import Plan, table

STANDING = (sys.executable, "-c", "import os; print(os.nice(0), os.sched_getscheduler(0))")


def standing_of(yields):
    words = die_with_parent.wrapped(STANDING, yields=yields)
    env = {**os.environ, die_with_parent.PARENT: str(os.getpid())}
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout
    return tuple(map(int, said.split()))


def test_a_program_that_yields_is_nicer_than_who_starts_it_and_interrupts_nobody():
    mine = os.nice(0), os.sched_getscheduler(0)
    assert standing_of(0) == mine
    assert standing_of(5) == (min(mine[0] + 5, 19), os.SCHED_BATCH)


@pytest.mark.django_db
def test_the_database_interrupts_nobody_who_asks_it():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    assert os.sched_getscheduler(backend) == os.SCHED_BATCH


def test_pages_and_schedules_yield_to_the_engine_and_to_all_that_an_execution_waits_for(tmp_path):
    plan = Plan(
        root=tmp_path, data_dir=tmp_path, bind_host="127.0.0.1", bind_port=1, chains=("local",)
    )
    yielding = {program.name for program in table(plan) if program.yields}
    assert yielding == {"web", "worker", "beat"}
