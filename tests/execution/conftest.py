"""One trading floor for a module: its tests share chain and record, and leave both empty."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import setup_databases, teardown_databases

from tests.execution.floor import Floor, floor


@pytest.fixture(scope="module")
def open_floor(django_db_setup, django_db_blocker) -> Iterator[Callable[..., Floor]]:
    """Opens a floor that lasts as long as the module."""
    with django_db_blocker.unblock(), ExitStack() as undo:
        if not connection.settings_dict["NAME"].startswith("test_"):
            # No test of this run is marked for the database, so nobody made one.
            made = setup_databases(verbosity=0, interactive=False, aliases=["default"])
            undo.callback(teardown_databases, made, verbosity=0)
        undo.callback(call_command, "flush", interactive=False, verbosity=0)
        yield lambda **options: undo.enter_context(floor(**options))


@pytest.fixture
def channel_layer(settings):
    """Messages to pages stay in this process."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
