"""Addresses of the pages; each is told which chain it shows."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_GET

from arbsite.console import views
from arbsite.console.context import chain_of
from execution import shadow_views
from execution import views as execution_views
from execution import views_fast_mode as fast_mode_views
from prices import views as price_views
from wallets import views as wallet_views


def of_chain(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view with the request's chain."""

    @require_GET
    def shown(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return view(request, chain=chain_of(request), **kwargs)

    return shown


urlpatterns = [
    path("", of_chain(views.overview), name="overview"),
    path("overview/live/", of_chain(views.overview_live), name="overview_live"),
    path("prices/", of_chain(price_views.prices_page), name="prices"),
    path("prices/living/", of_chain(price_views.living_json), name="prices_living"),
    path("prices/<path:pair>/", of_chain(price_views.pair_page), name="pair"),
    path("opportunities/", of_chain(price_views.opportunities_page), name="opportunities"),
    path("opportunities/shadow/", of_chain(shadow_views.shadow_page), name="shadow"),
    path("opportunities/<int:pk>/", require_GET(price_views.opportunity_page), name="opportunity"),
    path("executions/", of_chain(execution_views.executions_page), name="executions"),
    path("executions/<int:pk>/", require_GET(execution_views.execution_page), name="execution"),
    path("fast-mode/", of_chain(fast_mode_views.fast_mode_page), name="fast_mode"),
    path("fast-mode/live/", of_chain(fast_mode_views.fast_mode_live), name="fast_mode_live"),
    path("wallets/", of_chain(wallet_views.wallets_page), name="wallets"),
    path("wallets/live/", of_chain(wallet_views.wallets_live), name="wallets_live"),
    path("wallets/<int:pk>/", of_chain(wallet_views.wallet_page), name="wallet"),
    path("contracts/", of_chain(wallet_views.contracts_page), name="contracts"),
    path("contracts/live/", of_chain(wallet_views.contracts_live), name="contracts_live"),
    path("alerts/", require_GET(views.alerts), name="alerts"),
    path("favicon.ico", require_GET(views.favicon), name="favicon"),
]
