from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from clinic_booking import health, metrics
from clinic_booking.messages import reports

handler400 = "clinic_booking.errors.bad_request"
handler403 = "clinic_booking.errors.permission_denied"
handler404 = "clinic_booking.errors.not_found"
handler500 = "clinic_booking.errors.server_error"

urlpatterns = [
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.view, name="metrics"),
    path("messages/reports/<slug:channel>/", reports.report, name="message_report"),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("clinic_booking.accounts.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("patients.urls")),
    path("", include("scheduling.urls")),
    path("", include("billing.urls")),
]
