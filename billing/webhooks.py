"""What the provider tells us. Only that something happened is believed; how things stand is then asked for."""

import logging

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from procrastinate.contrib.django import app

from billing import disputes, gateway, payments, refunds
from billing.gateway import WEBHOOK_TOPICS, BadSignature
from billing.locks import is_live_mode
from billing.models import Payment, ProviderEvent

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    try:
        signature = request.headers.get("stripe-signature", "")
        event = gateway.construct_event(request.body, signature, settings.STRIPE_WEBHOOK_SECRETS)
    except RequestDataTooBig:
        return HttpResponse(status=413)
    except BadSignature as refusal:
        logger.warning("webhook refused: %s", refusal.code)
        return HttpResponse(status=400)
    if event.livemode != is_live_mode():
        logger.warning("webhook refused: wrong mode")
        return HttpResponse(status=400)
    try:
        keep(event)
    except OperationalError:
        # Too busy for now: the provider sends it again.
        return HttpResponse(status=503, headers={"Retry-After": "5"})
    return HttpResponse(status=200)


def keep(event: gateway.ProviderEvent) -> bool:
    """Note the event and its job, once. False for what is known or means nothing to us."""
    if event.type not in WEBHOOK_TOPICS:
        return False
    with transaction.atomic(durable=True):
        if is_new := note(event):
            app.configure_task("settle_event").defer(event_id=event.id)
    return is_new


def note(event: gateway.ProviderEvent) -> bool:
    """False when it was noted before. The caller settles it."""
    _row, is_new = ProviderEvent.objects.get_or_create(
        event_id=event.id,
        defaults={
            "type": event.type,
            "object_ref": event.object_ref,
            "intent_ref": event.intent_ref,
            "created_at": event.created_at,
        },
    )
    return is_new


def settle(event_id: str) -> None:
    """Look where the event points. Safe to repeat, in any order. Raises PaymentProviderDown."""
    event = ProviderEvent.objects.get(pk=event_id)
    if event.processed_at:
        return
    payment_id = Payment.objects.filter(provider_ref=event.intent_ref).values_list("pk", flat=True).first()
    if payment_id is None:
        # The reference is committed before anything is confirmed, so this is not a payment of ours.
        logger.warning("event about an unknown payment", extra={"event": event_id})
    elif event.type.startswith("payment_intent."):
        payments.finalize(payment_id)
    elif event.type.startswith("refund."):
        refunds.adopt(payment_id)
    else:
        disputes.look(payment_id, event.object_ref)
    ProviderEvent.objects.filter(pk=event_id).update(processed_at=Now())
