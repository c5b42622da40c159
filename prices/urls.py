"""Addresses of the prices and opportunities endpoints."""

from django.urls import path

from prices import api

urlpatterns = [
    path("api/prices/status", api.PricesStatusView.as_view()),
    path("api/prices/live", api.PricesLiveView.as_view()),
    path("api/prices/spreads", api.SpreadsView.as_view()),
    path("api/prices/pair/<path:pair>", api.PairView.as_view()),
    path("api/prices/start", api.StartView.as_view()),
    path("api/prices/stop", api.StopView.as_view()),
    path("api/opportunities", api.OpportunitiesView.as_view()),
    path("api/opportunities/<int:pk>", api.OpportunityView.as_view()),
]
