"""Examples are not timed here: other work on the machine must not fail an arithmetic law."""

from hypothesis import settings

settings.register_profile("kernel", deadline=None)
settings.load_profile("kernel")
