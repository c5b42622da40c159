"""The roof's Django app: its management commands, and Celery made ready with Django."""

from django.apps import AppConfig


class RoofConfig(AppConfig):
    """What sees everything."""

    name = "arbsite"
    label = "roof"
    verbose_name = "Arbsite"

    def ready(self) -> None:
        """Bind the Celery app, so that tasks called in any process use this broker."""
        from arbsite import celery, checks  # noqa: F401
