from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from clinic_booking.accounts import sessions
from clinic_booking.roles import roles_of


class Request(HttpRequest):
    """As views get it, with what the middleware adds."""

    htmx: HtmxDetails


def site(request: HttpRequest) -> dict[str, Any]:
    """What every page shows. `is_staff_somewhere` asks the database only when a template asks for it."""

    def is_staff_somewhere() -> bool:
        user = request.user
        return user.is_authenticated and bool(roles_of(user))

    def session_left() -> int:
        return sessions.seconds_left(request.session[sessions.DOOR])

    return {
        "session_left": session_left,
        "brand": "Harbour Clinics",
        "dpo_email": settings.DPO_EMAIL,
        "demo_code": settings.DEMO_SECOND_FACTOR_CODE,
        "is_staff_somewhere": is_staff_somewhere,
    }
