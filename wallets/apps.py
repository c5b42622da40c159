"""The wallets app's name and place."""

from django.apps import AppConfig


class WalletsConfig(AppConfig):
    """Wallets."""

    name = "wallets"
    verbose_name = "Wallets"
    default_auto_field = "django.db.models.BigAutoField"
