"""Django's settings: environment in, one typed `ARB` out; defaults are closed."""

import os
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ

from arbsite.base.conf import ArbConfig, BadSetting
from arbsite.base.errors import ArbError
from arbsite.stack import paths

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
_env = environ.Env()
if (BASE_DIR / ".env").is_file() and "ARB_NO_DOTENV" not in os.environ:
    _env.read_env(str(BASE_DIR / ".env"))

try:
    ARB = ArbConfig.from_environ(
        {k: v for k, v in os.environ.items() if k != "ARB_NO_DOTENV"}, root=BASE_DIR
    )
except BadSetting as error:
    raise SystemExit(f"setting: {error}") from None

try:
    SECRET_KEY = ARB.secret_key or paths.secret(ARB.data_dir, "django")
    SIGNER_SOCKET = paths.signer_socket(ARB.data_dir)
    SIGNER_ELSEWHERE = paths.signer_elsewhere(ARB.data_dir) is not None
    _database_url = ARB.database_url or paths.database_url(ARB.data_dir)
    REDIS_URL = ARB.redis_url or paths.redis_url(ARB.data_dir)
except (ArbError, OSError) as error:
    raise SystemExit(f"ARB_DATA_DIR: {error}") from None
DEBUG = False
ALLOWED_HOSTS = list(ARB.allowed_hosts)
CSRF_TRUSTED_ORIGINS = [f"http://{h}:{ARB.bind_port}" for h in ALLOWED_HOSTS if h != "*"] + [
    f"https://{h}" for h in ALLOWED_HOSTS if h != "*"
]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "django_celery_beat",
    "axes",
    "csp",
    "arbsite.base",
    "contracts",
    "wallets",
    "prices",
    "execution",
    "arbsite.apps.RoofConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "arbsite.base.middleware.BodyLimit",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "arbsite.base.middleware.RequestId",
    "arbsite.base.middleware.LoginRequired",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "arbsite.urls"
ASGI_APPLICATION = "arbsite.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "arbsite.console.context.shell",
            ],
        },
    },
]

_database = _env.db_url_config(_database_url)
DATABASES = {
    "default": {
        **_database,
        "CONN_MAX_AGE": 0,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {
            **_database.get("OPTIONS", {}),
            "connect_timeout": 5,
            "application_name": "arbsite",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "base.User"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "arb"},
    }
}
# Sessions and lockouts live in the record: Redis may be lost at any time.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.db"

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "global_keyprefix": "arb:"}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "upkeep"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_ROUTES = {
    "contracts.tasks.*": {"queue": "chain"},
    "prices.tasks.poll_chain": {"queue": "chain"},
    "wallets.tasks.settle_*": {"queue": "chain"},
    "wallets.tasks.refresh_*": {"queue": "funding"},
    "wallets.tasks.fund_*": {"queue": "funding"},
    "wallets.tasks.act_on_*": {"queue": "funding"},
    "wallets.tasks.read_*": {"queue": "chain"},
}
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "UTC"

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"
AXES_USERNAME_FORM_FIELD = "login"
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "arbsite.base.accounts.ClosedAdapter"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
MFA_TOTP_ISSUER = "arbsite"
MFA_TOTP_TOLERANCE = 1  # periods: who reads a code in its last second can still type it
MFA_FORMS = {
    "authenticate": "arbsite.base.authenticators.AuthenticateForm",
    "reauthenticate": "arbsite.base.authenticators.ReauthenticateForm",
}
CSRF_FAILURE_VIEW = "arbsite.console.views.csrf_failed"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "arbsite.base.tokens.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["arbsite.base.permissions.Viewer"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["arbsite.base.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "arbsite.base.pagination.Cursor",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "arbsite.base.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "arbsite",
    "DESCRIPTION": "Flash-loan arbitrage: prices, opportunities, executions, wallets and the stop.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["arbsite.base.permissions.Viewer"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api",
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "arbsite.console.storage.ConsoleStorage"},
}
WHITENOISE_MANIFEST_STRICT = True

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# A console on loopback speaks plain HTTP; behind TLS the cookies follow the proxy's scheme.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ARB.bind_host not in ("127.0.0.1", "localhost", "::1")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SESSION_COOKIE_SECURE else None
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en-gb"

LOGGING_CONFIG = "arbsite.logs.configure"
LOGGING: dict[str, Any] = {"version": 1}  # not empty: an empty one would leave Django its own
SILENCED_SYSTEM_CHECKS: list[str] = []
