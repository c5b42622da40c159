"""The product's settings over a data folder of this run's own, and no one else's environment."""

import os
import tempfile

# Before the product's settings load: they read the environment once.
FOLDER = tempfile.TemporaryDirectory(prefix="arb-test-", ignore_cleanup_errors=True)
for _name in [n for n in os.environ if n.startswith(("ARB_", "RPC_", "RELAY_"))]:
    del os.environ[_name]
for _name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "KEYSTORE_PASSPHRASE_FILE"):
    os.environ.pop(_name, None)
os.environ["ARB_DATA_DIR"] = FOLDER.name
os.environ["ARB_NO_DOTENV"] = "1"

from arbsite.settings import *  # noqa: E402, F403  the order is the point

# Argon2 is meant to be slow; tests sign in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Pages are tested without collected files; the browser's tests collect their own.
STATIC_ROOT = FOLDER.name + "/static"
os.mkdir(STATIC_ROOT)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
