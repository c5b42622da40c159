"""The three ways our own code gives up.

ArbError
├── Rejected   not worth it or not allowed: dropped, counted, never retried   (HTTP 409)
├── Retryable  transient: dropped socket, rate limit, lagging node            (HTTP 503)
└── Halt       state and chain disagree, or a limit was breached: a human looks (HTTP 423)

Concrete errors subclass one of the three next to their raiser and carry the values.
An exception that is none of the three is a bug and propagates.
"""

import re
from typing import Final


class ArbError(Exception):
    """Base of every error raised on purpose."""


class Rejected(ArbError):
    """The work item is not worth it or not allowed; dropped, counted, never retried."""


class Retryable(ArbError):
    """Transient: dropped socket, rate limit, lagging node. Bounded backoff."""


class Halt(ArbError):
    """State and chain disagree, or a limit was breached. Stop submitting; a human looks."""


_PLAIN: Final = re.compile(r"[\w./:+-]{1,42}", re.ASCII)


def shown(given: object) -> str:
    """What was given, quoted, for an error's text: only where it can be no secret.

    A key pasted in the wrong place is longer than an address, and a mnemonic has spaces: neither
    comes back in an answer, a log or a stored reply.
    """
    text = str(given)
    return repr(text) if _PLAIN.fullmatch(text) else "what was given"
