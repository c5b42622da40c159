"""The prices app's name and place."""

from django.apps import AppConfig


class PricesConfig(AppConfig):
    """Prices."""

    name = "prices"
    verbose_name = "Prices"
    default_auto_field = "django.db.models.BigAutoField"
