from django.contrib import admin
from django.urls import include, path

from clinic_booking import health, metrics
from clinic_booking.accounts import login_views
from clinic_booking.audit import limit_views
from clinic_booking.messages import reports

handler400 = "clinic_booking.errors.bad_request"
handler403 = "clinic_booking.errors.permission_denied"
handler404 = "clinic_booking.errors.not_found"
handler500 = "clinic_booking.errors.server_error"

urlpatterns = [
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.view, name="metrics"),
    path("looks/reason/", limit_views.many_records, name="many_records"),
    path("messages/reports/<slug:channel>/", reports.report, name="message_report"),
    path("admin/login/", login_views.admin_login),  # before the admin's own, which asks for less
    path("admin/", admin.site.urls),
    path("", include("clinic_booking.accounts.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("patients.urls")),
    path("", include("scheduling.urls")),
    path("", include("billing.urls")),
]
