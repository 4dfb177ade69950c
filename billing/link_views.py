"""The page behind a link to pay: the bill, what is due, the payment fields. Whoever has the link may pay."""

import contextlib
import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from billing import checkout, paylinks, payments
from billing.gateway import Intent, PaymentProviderDown
from billing.models import Bill, Payment
from billing.paylinks import Opened
from billing.views import is_token, logged_in, wants_json
from clinic_booking import rows
from clinic_booking.context import Request
from scheduling.booking import database_now
from scheduling.errors import BookingError
from scheduling.views import see_other

Status = Payment.Status


class LinkExpired(BookingError):
    status = 410
    sentence = gettext_lazy("This link has run out. Please call the clinic for a new one.")


@never_cache
@require_safe
def page(request: Request, token: str) -> HttpResponse:
    found = _find(token)
    bill = found.bill
    if found.expires_at <= database_now():
        return render(request, "billing/pay_link_over.html", {"bill": bill}, status=LinkExpired.status)
    payment = paylinks.latest(bill)
    context: dict[str, Any] = {
        "bill": bill,
        "expires_at": found.expires_at,
        "payment": payment,
        "is_open": payment is not None and payment.status in (Status.SUBMITTING, Status.CAPTURING),
        "stripe_js_url": settings.STRIPE_JS_URL,
        "stripe_publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        "currency": settings.CURRENCY,
        "pay_url": reverse("pay_link_payment", args=[token]),
        "status_url": reverse("pay_link_status", args=[token]),
        "texts": json.dumps({name: str(text) for name, text in checkout.TEXTS.items()}),
    }
    response = render(request, "billing/pay_link.html", context)
    response._csp_update = checkout.stripe_hosts()  # type: ignore[attr-defined]
    return response


@never_cache
@require_POST
def pay(request: Request, token: str) -> HttpResponse:
    found, confirmation = _find(token), request.POST.get("confirmation_token", "")
    if found.expires_at <= database_now():
        return _answer(request, token, "failed", str(LinkExpired()))
    if not is_token(confirmation):
        return _answer(request, token, "failed", _("The payment fields need JavaScript. Please allow it."))
    intent = None
    try:
        return_url = request.build_absolute_uri(reverse("pay_link_status", args=[token]))
        with contextlib.suppress(PaymentProviderDown):
            intent = paylinks.pay(
                bill_id=found.bill.pk,
                confirmation_token=confirmation,
                return_url=return_url,
                by=logged_in(request),
            )
    except BookingError as refusal:
        return _answer(request, token, "failed", str(refusal))
    return _standing(request, token, found.bill, intent)


@never_cache
@require_safe
def status(request: Request, token: str) -> HttpResponse:
    """How the payment stands, asked at the provider while it is open, also when the link has run out."""
    found, intent = _find(token), None
    payment = paylinks.latest(found.bill)
    if payment and not payment.is_settled:
        with contextlib.suppress(PaymentProviderDown):
            intent = payments.resume(payment.pk)
    return _standing(request, token, found.bill, intent)


def _standing(request: Request, token: str, bill: Bill, intent: Intent | None) -> HttpResponse:
    payment = paylinks.latest(bill)
    if payment is None or payment.status == Status.CREATED:
        return _answer(request, token, "failed", str(checkout.TEXTS["again"]))
    if payment.status in (Status.CANCELING, Status.CANCELED):
        return _answer(request, token, "failed", paylinks.sentence_of(payment))
    if payment.status == Status.FAILED:
        return _answer(request, token, "failed", checkout.failure_sentence(payment.failure_code))
    if payment.status == Status.REQUIRES_ACTION and intent and intent.status == "requires_action":
        return _answer(request, token, "requires_action", client_secret=intent.client_secret)
    if payment.status in (Status.SUBMITTING, Status.CAPTURING, Status.REQUIRES_ACTION):
        return _answer(request, token, "processing", str(checkout.WAITING))
    return _answer(request, token, "paid", redirect=reverse("pay_link", args=[token]))


def _answer(request: Request, token: str, standing: str, message: str = "", **facts: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"status": standing, "message": message} | facts)
    if message:
        messages.warning(request, message)
    return see_other(reverse("pay_link", args=[token]))


def _find(token: str) -> Opened:
    if found := paylinks.opened(token):
        rows.reveal(found.bill.patient_id)
        return found
    raise Http404
