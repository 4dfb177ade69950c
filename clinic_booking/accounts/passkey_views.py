"""What a device is asked, for passkey.js. The challenge stays in the session."""

from django.http import HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from clinic_booking.accounts import entry, factors, lockout
from clinic_booking.context import Request
from clinic_booking.models import User


@never_cache
@require_POST
def options(request: Request) -> HttpResponse:
    """For the person logged in, for whom a second factor is awaited, or for anybody who has a passkey here."""
    if isinstance(request.user, User):
        return JsonResponse(factors.begin_passkey(request.user))
    waits = entry.waiting(request) or entry.switching(request)
    if waits is None:
        lockout.take_place(lockout.SEND_PLACE, request)
    return JsonResponse(factors.begin_passkey(waits))
