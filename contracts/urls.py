"""Addresses of the registry's endpoints."""

from django.urls import path

from contracts import api

urlpatterns = [
    path("api/tokens", api.TokensView.as_view()),
    path("api/tokens/<int:pk>/deny", api.TokenDenyView.as_view()),
    path("api/tokens/<int:pk>/allow", api.TokenAllowView.as_view()),
    path("api/pairs", api.PairsView.as_view()),
    path("api/pairs/<int:pk>/deny", api.PairDenyView.as_view()),
    path("api/pairs/<int:pk>/allow", api.PairAllowView.as_view()),
]
