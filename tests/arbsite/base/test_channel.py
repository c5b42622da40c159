"""Words to pages are gathered for a moment, so that who speaks in a hurry wakes nobody thrice."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from arbsite.base import channel


@pytest.fixture
def heard(settings):
    """All that went to the pages until it was asked."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

    async def listen(speak):
        layer = get_channel_layer()
        name = await layer.new_channel()
        await layer.group_add(channel.GROUP, name)
        speak()
        found = []
        while not found or found[-1]["channel"] != "end":
            async with asyncio.timeout(20):
                found.append(await layer.receive(name))
        return found

    return lambda speak: asyncio.run(listen(speak))


def test_words_of_one_moment_go_out_as_one_a_channel_and_no_key_twice(heard):
    def speak():
        for pk in (7, 8, 7):
            channel.tell("executions", [pk])
        channel.tell("latency", ["local"])
        channel.tell("end", [])

    assert [(word["channel"], word["keys"]) for word in heard(speak)] == [
        ("executions", [7, 8]),
        ("latency", ["local"]),
        ("end", []),
    ]
