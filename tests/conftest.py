"""Resources for every test: a data folder of its own, and PostgreSQL and Redis when asked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.settings import FOLDER

# A shared machine stalls now and then: a law is broken by a value, never by a clock. The same
# values at each run of `make test`, so that green stays green; `make prove` draws new ones.
settings.register_profile("arb", deadline=None, derandomize=True)
settings.register_profile("prove", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "arb"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The data folder of this test run."""
    return Path(FOLDER.name)


@pytest.fixture(scope="session")
def postgres(data_dir: Path) -> Iterator[None]:
    """A real PostgreSQL of this run's own."""
    from arbsite.stack import postgres as launcher

    with launcher.running(data_dir):
        yield


@pytest.fixture(scope="session")
def redis_server(data_dir: Path) -> Iterator[str]:
    """A real Redis of this run's own; its URL."""
    from arbsite.stack import paths, valkey

    with valkey.running(data_dir):
        yield paths.redis_url(data_dir)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: None) -> None:
    """PostgreSQL runs before pytest-django makes the test database."""
