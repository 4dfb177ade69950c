from django.urls import path

from clinic_booking.accounts import confirm_views, passkey_views

urlpatterns = [
    path("step-up/", confirm_views.confirm, name="step_up"),
    path("step-up/code/", confirm_views.send, name="step_up_send"),
    path("passkey/options/", passkey_views.options, name="passkey_options"),
]
