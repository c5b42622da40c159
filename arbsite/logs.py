"""Logging for every process: one line per fact, key=value extras, secrets and URLs taken out."""

import logging
import logging.config
import re
import sys
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_URL: Final = re.compile(r"\b(https?|wss?|postgres(?:ql)?|redis|rediss|unix)://[^\s'\"<>)]+", re.I)
_HEX: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64,}")
_TOKEN: Final = re.compile(r"arb_[A-Za-z0-9_-]{20,}")
_SECRET: Final = re.compile(
    r"(?i)(password|passphrase|token|secret|mnemonic)(['\"]?\s*[=:]\s*)"
    r"(?:'[^']*'|\"[^\"]*\"|[^,;}\n]+)"
)


def redact(text: str) -> str:
    """``text`` without URLs' credentials and paths, long hex (keys, raw transactions), secrets.

    A transaction hash in a message is taken out too: hashes travel in ``extra`` under ``tx_hash``.
    """
    text = _URL.sub(lambda m: f"{m[1]}://…", text)
    text = _HEX.sub("0x…", _TOKEN.sub("arb_…", text))
    return _SECRET.sub(r"\1\2…", text)


class Formatter(logging.Formatter):
    """Time, level, logger, message and extras on one line."""

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(
            f"{key}={redact(str(value)) if key != 'tx_hash' else value}"
            for key, value in vars(record).items()
            if key not in _STANDARD and not key.startswith("_")
        )
        line = f"{self.formatTime(record)} {record.levelname:<7} {record.name} "
        line += redact(record.getMessage()).replace("\n", " ")
        if extras:
            line += f" {extras}"
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        return line


def configure(_: dict[str, Any]) -> None:
    """Set up the one handler of a process, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = Formatter()
    formatter.default_time_format = "%H:%M:%S"
    formatter.default_msec_format = "%s.%03d"
    handler.setFormatter(formatter)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)
    for name, level in {
        "django.request": logging.ERROR,
        "daphne": logging.WARNING,
        "django.channels.server": logging.WARNING,
        "axes": logging.WARNING,
        "celery.beat": logging.WARNING,
        "celery.app.trace": logging.WARNING,
        "celery.worker.strategy": logging.WARNING,
        "urllib3": logging.WARNING,
        "websockets": logging.WARNING,
    }.items():
        logging.getLogger(name).setLevel(level)
