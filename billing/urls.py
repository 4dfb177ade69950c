from django.urls import path

from billing import views, webhooks

urlpatterns = [
    path("checkout/<uuid:hold_id>/", views.checkout, name="checkout"),
    path("checkout/<uuid:hold_id>/payment/", views.pay, name="checkout_payment"),
    path("checkout/<uuid:hold_id>/status/", views.status, name="checkout_status"),
    path("stripe/webhook/", webhooks.receive, name="stripe_webhook"),
]
