"""Every address of the product: pages, API, admin, sign-in."""

from importlib.util import find_spec

from allauth.account.decorators import secure_admin_login
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from arbsite.console import api

admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = "arbsite"

# The browsable docs bring one inline style with them; this address alone allows it.
docs = csp_update({"style-src": ["'unsafe-inline'"]})(
    SpectacularSwaggerSplitView.as_view(url_name="schema")
)
handler400 = "arbsite.console.views.bad_request"
handler403 = "arbsite.console.views.forbidden"
handler404 = "arbsite.console.views.not_found"
handler500 = "arbsite.console.views.server_error"

urlpatterns = [
    path("api/health", api.HealthView.as_view()),
    path("api/status", api.StatusView.as_view()),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", docs, name="docs"),
]
for module in (
    "contracts.urls",
    "prices.urls",
    "execution.urls",
    "wallets.urls",
    "arbsite.console.urls",
):
    if find_spec(module):
        urlpatterns.append(path("", include(module)))
