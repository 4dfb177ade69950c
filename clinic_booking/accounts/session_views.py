"""What session.js asks: how long is left. Only a POST, which somebody's hand is behind, makes it longer."""

from django.http import HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clinic_booking.accounts import sessions
from clinic_booking.context import Request


@never_cache
@require_http_methods(["GET", "POST"])
def left(request: Request) -> HttpResponse:
    door = request.session.get(sessions.DOOR) if request.user.is_authenticated else None
    return JsonResponse({"left": max(0, sessions.seconds_left(door)) if door else 0})
