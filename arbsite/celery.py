"""The Celery app: tasks are wake-ups with a primary key, found in every app's `tasks.py`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arbsite.settings")

app = Celery("arbsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["arbsite.base", "contracts", "wallets", "prices", "execution"])
