"""The watchdog's decisions, from events and a clock that the test moves."""

import pytest

from arbsite.stack.watchdog import Actions, Watchdog, Watched

EXITED, BACKOFF, FATAL = (f"PROCESS_STATE_{name}" for name in ("EXITED", "BACKOFF", "FATAL"))
STARTING = "PROCESS_STATE_STARTING"


class World:
    def __init__(self):
        self.done = []
        self.succeeds = True
        self.dog = Watchdog(
            {
                "engine.local": Watched(
                    "engine:local", on_crash_loop=("kill", "local"), rest_s=10.0
                ),
                "web": Watched("web"),
            },
            actions=Actions(
                start=lambda name: self.done.append(("start", name)),
                stop=lambda name: self.done.append(("stop", name)),
                run=self.run,
                say=lambda text: self.done.append(("say", text)),
            ),
        )

    def run(self, command):
        self.done.append(("run", *command))
        return self.succeeds

    def crash(self, slug, *, at, event=EXITED, expected=False):
        self.dog.hear(event, slug=slug, expected=expected, now=at)
        self.dog.tick(now=at)

    def acts(self):
        return [act for act in self.done if act[0] != "say"]


@pytest.fixture
def world():
    return World()


def test_four_crashes_in_a_minute_are_left_to_the_supervisor(world):
    for at in (0, 10, 20, 30):
        world.crash("engine.local", at=at)

    assert world.acts() == []


def test_the_fifth_crash_in_a_minute_trips_the_switch_rests_and_tries_again(world):
    for at in (0, 10, 20, 30, 59):
        world.crash("engine.local", at=at)
    assert world.acts() == [("stop", "engine:local"), ("run", "kill", "local")]

    world.dog.tick(now=68)
    assert len(world.acts()) == 2
    world.dog.tick(now=69)
    assert world.acts()[2:] == [("start", "engine:local")]


def test_five_crashes_over_more_than_a_minute_trip_nothing(world):
    for at in (0, 20, 40, 60.1, 80):
        world.crash("engine.local", at=at)

    assert world.acts() == []


def test_failed_starts_count_as_crashes(world):
    for at in range(5):
        world.crash("engine.local", at=at, event=BACKOFF)

    assert ("run", "kill", "local") in world.acts()


def test_an_engine_that_waits_for_its_database_never_trips_the_switch(world):
    for at in range(20):
        world.crash("engine.local", at=at, expected=True)

    assert world.acts() == []
    assert world.dog.restarts()["engine:local"] == 20


def test_the_switch_is_pulled_until_it_holds(world):
    world.succeeds = False
    for at in range(5):
        world.crash("engine.local", at=at)
    world.dog.tick(now=8.9)
    assert world.acts().count(("run", "kill", "local")) == 1
    world.dog.tick(now=9)
    world.succeeds = True
    world.dog.tick(now=19)
    world.dog.tick(now=500)

    assert world.acts().count(("run", "kill", "local")) == 3


def test_what_the_supervisor_gave_up_is_started_again(world):
    world.dog.hear(FATAL, slug="web", expected=False, now=5)
    world.dog.tick(now=5.9)
    assert world.acts() == []

    world.dog.tick(now=6)
    assert world.acts() == [("start", "web")]


def test_a_restart_that_was_quicker_than_the_rest_is_stopped_again(world):
    for at in range(5):
        world.crash("web", at=at)

    world.dog.hear(STARTING, slug="web", expected=False, now=4.1)

    assert world.acts() == [("stop", "web"), ("stop", "web")]
