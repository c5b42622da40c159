"""The local chain's wall clock."""

import subprocess
import sys

AT_ANY_INSTANT = """
import random, signal
from contracts.localchain.runner import told_to_stop

chance = random.Random(7)
for _ in range(300):
    told = told_to_stop(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 2e-4))
    while not told.wait(1e-5):
        pass
print("stopped each time")
"""


def test_a_signal_stops_it_at_whatever_instant_it_comes():
    # A handler that set the event itself would hang within these rounds, nearly always.
    said = subprocess.run(
        [sys.executable, "-c", AT_ANY_INSTANT], capture_output=True, text=True, timeout=60
    )
    assert said.stdout.strip() == "stopped each time", said.stderr
