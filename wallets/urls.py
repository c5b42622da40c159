"""Addresses of the wallets' and contracts' endpoints."""

from django.urls import path

from wallets import api, api_contracts, api_gas

urlpatterns = [
    path("api/wallets", api.WalletsView.as_view()),
    path("api/wallets/summary", api.SummaryView.as_view()),
    path("api/wallets/balances", api.BalancesView.as_view()),
    path("api/wallets/low-balance", api.LowBalanceView.as_view()),
    path("api/wallets/requests", api.RequestsView.as_view()),
    path("api/wallets/requests/<int:pk>", api.RequestView.as_view()),
    path("api/wallets/generate", api.GenerateView.as_view()),
    path("api/wallets/refresh", api.RefreshView.as_view()),
    path("api/wallets/auto-fund", api_gas.AutoFundView.as_view()),
    path("api/wallets/monitoring/start", api_gas.MonitoringStartView.as_view()),
    path("api/wallets/monitoring/stop", api_gas.MonitoringStopView.as_view()),
    path("api/wallets/monitoring/status", api_gas.MonitoringStatusView.as_view()),
    path("api/wallets/<int:pk>/fund", api_gas.FundView.as_view()),
    path("api/wallets/<int:pk>/balances", api_gas.BalanceHistoryView.as_view()),
    path("api/wallets/<int:pk>", api.WalletView.as_view()),
    path("api/wallets/<int:pk>/authorize", api.AuthorizeView.as_view()),
    path("api/wallets/<int:pk>/revoke", api.RevokeView.as_view()),
    path("api/wallets/<int:pk>/retire", api.RetireView.as_view()),
    path("api/wallets/<int:pk>/expose", api.ExposeView.as_view()),
    path("api/wallets/<int:pk>/move-away", api.MoveAwayView.as_view()),
    path("api/contracts", api_contracts.ContractsView.as_view()),
    path("api/contracts/deploy", api_contracts.DeployView.as_view()),
    path("api/contracts/refresh", api_contracts.ReadView.as_view()),
    path("api/contracts/<int:pk>", api_contracts.ContractView.as_view()),
    path("api/contracts/<int:pk>/pause", api_contracts.PauseView.as_view()),
    path("api/contracts/<int:pk>/unpause", api_contracts.UnpauseView.as_view()),
    path("api/contracts/<int:pk>/sweep", api_contracts.SweepView.as_view()),
    path("api/contracts/<int:pk>/limits", api_contracts.LimitsView.as_view()),
    path("api/contracts/<int:pk>/mend", api_contracts.MendView.as_view()),
    path("api/contracts/<int:pk>/replace", api_contracts.ReplaceView.as_view()),
]
