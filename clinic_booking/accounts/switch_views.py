"""Fast user switch: the screen is locked, a colleague comes with the second factor, on the same page."""

import time

from django.conf import settings
from django.contrib import auth
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking import audit
from clinic_booking.accounts import devices, entry, factors, lockout, sessions
from clinic_booking.accounts.forms import CodeForm
from clinic_booking.accounts.login_views import after_login
from clinic_booking.accounts.models import DeviceLogin
from clinic_booking.accounts.second_views import show
from clinic_booking.accounts.step_up import safe_next
from clinic_booking.context import Request
from clinic_booking.models import User


@require_POST
def lock(request: Request) -> HttpResponse:
    """Ends the session of who leaves; they can come back as others can."""
    back = safe_next(request, request.POST.get("next", ""), "")
    if isinstance(request.user, User):
        audit.record(audit.Action.LOGOUT, f"user:{request.user.pk}", by=request.user, reason="switch")
    auth.logout(request)
    request.session["switch_next"] = back
    return redirect("login_switch")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def switch(request: Request) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_back(request) or after_login(request.user))
    known = devices.colleagues(request)
    if not known:
        return redirect("login")
    chosen = _chosen(request, known)
    said, status = "", 200
    if request.method == "POST" and chosen and {"code", "credential"} & set(request.POST):
        try:
            if method := show(request, chosen.user):
                return _enter(request, chosen, method)
            said, status = _("That is not right. Please try the code that the app shows now."), 422
        except lockout.LockedOut as locked:
            said, status = str(locked.sentence), locked.status
    return _page(request, known, chosen, said, status)


def _chosen(request: Request, known: list[DeviceLogin]) -> DeviceLogin | None:
    """Only colleagues of this device can be chosen. Whose passkey is asked for is remembered."""
    given = request.POST.get("user") or request.GET.get("user", "")
    chosen = next((each for each in known if str(each.user_id) == given), None)
    if chosen:
        request.session[entry.SWITCHING] = {"user": chosen.user_id, "at": time.time()}
    return chosen


def _enter(request: Request, chosen: DeviceLogin, method: str) -> HttpResponse:
    back = _back(request)
    entry.enter(request, chosen.user, "switch", method)
    # Twelve hours after the full login it is over, however often somebody switched meanwhile.
    door = request.session[sessions.DOOR]
    request.session[sessions.DOOR] = door | {"since": chosen.logged_in_at.timestamp()}
    request.session.pop("switch_next", None)
    return redirect(back or after_login(chosen.user))


def _back(request: Request) -> str:
    return str(request.session.get("switch_next", ""))


def _page(
    request: Request, known: list[DeviceLogin], chosen: DeviceLogin | None, said: str, status: int
) -> HttpResponse:
    kinds = factors.kinds(chosen.user) if chosen else set()
    context = {
        "known": known,
        "chosen": chosen,
        "form": CodeForm(),
        "said": said,
        "has_passkey": factors.PASSKEY in kinds,
        "by_code": factors.TOTP in kinds or bool(settings.DEMO_SECOND_FACTOR_CODE),
    }
    return render(request, "account/switch.html", context, status=status)
