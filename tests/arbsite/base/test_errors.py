"""What an error may repeat of what it was given."""

import pytest

from arbsite.base.errors import shown

KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.mark.parametrize("text", ["bsc", "CAKE/USDT", "0x" + "ab" * 20, "engine:local", "12"])
def test_a_name_or_an_address_is_shown(text):
    assert shown(text) == repr(text)


@pytest.mark.parametrize(
    "text",
    [
        KEY, "0x" + KEY, "test test test", "FBxp3mqUCiRQeXrGEZeVBLFkbKuFmPQmVxXbHe1ZJfmA",
        "rAl0vsOaF+NrpKa00jj/lEusLRMvuVvvyueE17/0/4A=", str(int(KEY, 16)), "", "a\nb", "\u0663" * 5,
    ],
)  # fmt: skip
def test_what_may_be_a_key_or_words_is_not(text):
    assert shown(text) == "what was given"
