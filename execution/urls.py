"""Addresses of the execution, Fast Mode and kill endpoints."""

from django.urls import path

from execution import api, api_fast_mode

urlpatterns = [
    path("api/execute/status", api.ExecuteStatusView.as_view()),
    path("api/execute/test", api.ExecuteTestView.as_view()),
    path("api/execute", api.ExecuteView.as_view()),
    path("api/executions", api.ExecutionsView.as_view()),
    path("api/executions/<int:pk>", api.ExecutionView.as_view()),
    path("api/opportunities/<int:pk>/simulate", api.SimulateView.as_view()),
    path("api/fast-mode/status", api_fast_mode.StatusView.as_view()),
    path("api/fast-mode/enable", api_fast_mode.EnableView.as_view()),
    path("api/fast-mode/disable", api_fast_mode.DisableView.as_view()),
    path("api/fast-mode/pause", api_fast_mode.PauseView.as_view()),
    path("api/fast-mode/resume", api_fast_mode.ResumeView.as_view()),
    path("api/fast-mode/config", api_fast_mode.ConfigView.as_view()),
    path("api/fast-mode/config/versions", api_fast_mode.VersionsView.as_view()),
    path("api/fast-mode/config/rollback", api_fast_mode.RollbackView.as_view()),
    path("api/fast-mode/latency", api_fast_mode.LatencyView.as_view()),
    path("api/kill", api.KillView.as_view()),
    path("api/kill/drill", api_fast_mode.DrillView.as_view()),
    path("api/kill/status", api.KillStatusView.as_view()),
    path("api/kill/release", api.KillReleaseView.as_view()),
]
