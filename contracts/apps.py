"""The contracts app's name and place."""

from django.apps import AppConfig


class ContractsConfig(AppConfig):
    """Contracts and market."""

    name = "contracts"
    verbose_name = "Contracts and market"
    default_auto_field = "django.db.models.BigAutoField"
