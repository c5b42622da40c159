"""The execution app's name and place."""

from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    """Execution."""

    name = "execution"
    verbose_name = "Execution"
    default_auto_field = "django.db.models.BigAutoField"
