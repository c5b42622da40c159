"""The product's settings for a web server that a test starts, its static files apart."""

import os
from pathlib import Path

from arbsite.settings import *  # noqa: F403

STATIC_ROOT = Path(os.environ["TEST_STATIC_ROOT"])
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "arbsite.console.storage.ConsoleStorage"},
}
