"""What providers report about messages that they took: delivered, or not. The next channel is tried then.

POST /messages/reports/<channel>/ with {"id": …, "status": "delivered" | "failed", "error": code} and the header
X-Signature: sha256=<HMAC of the body with one of MESSAGE_REPORT_SECRETS, in hex>. Safe to repeat, in any order.
"""

import hashlib
import hmac
import json
import re

from django import forms
from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from clinic_booking.errors import BadInput, NotAllowed
from clinic_booking.events import redeliver
from clinic_booking.messages.kinds import Channel
from clinic_booking.models import Notification
from clinic_booking.undelivered import sends_messages

Status = Notification.Status
# Codes, not sentences: those may hold the number or the address.
CODE = re.compile(r"[A-Za-z][A-Za-z_.-]{0,40}|\d{1,6}")


class ReportForm(forms.Form):
    id = forms.CharField(max_length=120)
    status = forms.ChoiceField(choices=[("delivered", ""), ("failed", "")])
    error = forms.CharField(max_length=200, required=False)


def record(*, channel: str, provider_ref: str, is_delivered: bool, error: str = "") -> bool:
    """False where nobody knows the message (yet): the provider asks again. What is delivered stays so."""
    same = Notification.objects.filter(channel=channel, provider_ref=provider_ref)
    if is_delivered:
        same.filter(status__in=[Status.SENT, Status.FAILED], sent_at__isnull=False).update(
            status=Status.DELIVERED, delivered_at=timezone.now(), error=""
        )
        return same.exists()
    with transaction.atomic():
        code = error if CODE.fullmatch(error) else "reported"
        if same.filter(status=Status.SENT).update(status=Status.FAILED, error=code):
            for note in same.select_related("event"):
                redeliver(note.event, to=sends_messages)
    return same.exists()


@csrf_exempt  # signed
@require_POST
def report(request: HttpRequest, channel: str) -> HttpResponse:
    if channel not in Channel or not settings.MESSAGE_REPORT_SECRETS:
        raise Http404
    if not is_signed(request.body, request.headers.get("X-Signature", "")):
        raise NotAllowed
    form = ReportForm(_json(request.body))
    if not form.is_valid():
        raise BadInput
    said = form.cleaned_data
    known = record(
        channel=channel,
        provider_ref=said["id"],
        is_delivered=said["status"] == "delivered",
        error=said["error"],
    )
    # One that was sent a moment ago may not be written yet: 404 makes the provider ask again.
    return HttpResponse(status=204 if known else 404)


def is_signed(body: bytes, signature: str) -> bool:
    return any(
        hmac.compare_digest(sign(body, secret).encode(), signature.encode())
        for secret in settings.MESSAGE_REPORT_SECRETS
    )


def sign(body: bytes, secret: str) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _json(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except ValueError as error:
        raise BadInput from error
    if not isinstance(said, dict):
        raise BadInput
    return said
