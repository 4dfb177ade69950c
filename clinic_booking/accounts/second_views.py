"""The second factor of a login, and its setup for who has none yet: before anything else."""

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking.accounts import devices, entry, factors, lockout, setup
from clinic_booking.accounts.forms import CodeForm
from clinic_booking.accounts.login_views import after_login
from clinic_booking.context import Request
from clinic_booking.models import User


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def second(request: Request) -> HttpResponse:
    user = entry.waiting(request)
    if user is None:
        return redirect("login")
    if not factors.has_second(user) and not settings.DEMO_SECOND_FACTOR_CODE:
        return redirect("login_setup")
    said, status = "", 200
    if request.method == "POST":
        try:
            if method := show(request, user):
                return go_on(request, user, "password", method)
            said, status = _("That is not right. Please try the code that the app shows now."), 422
        except lockout.LockedOut as locked:
            said, status = str(locked.sentence), locked.status
    return _page(request, user, said, status)


def show(request: Request, user: User) -> str | None:
    """The method by which the second factor was shown. Raises LockedOut."""
    if credential := request.POST.get("credential"):
        method = "passkey" if factors.check_passkey(credential, user) else None
    else:
        who = f"user:{user.pk}"
        lockout.take(lockout.SECOND, who, user=user)
        if method := factors.check_code(user, request.POST.get("code", "")[:20]):
            lockout.succeeded(lockout.SECOND, who)
    if method is None:
        entry.failed(user, reason="second_factor")
    return method


def go_on(request: Request, user: User, *methods: str) -> HttpResponse:
    back = entry.enter(request, user, *methods)
    return devices.remember(request, user, redirect(back or after_login(user)))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: Request) -> HttpResponse:
    """Only for who has no second factor: who knows a password must not add one."""
    user = _without(request)
    if user is None:
        return redirect("login_second")
    method = setup.made(request, user) if request.method == "POST" else None
    if method is None:
        wrong = request.method == "POST"
        return render(
            request, "account/set_up.html", setup.context(request, user), status=422 if wrong else 200
        )
    made = factors.new_recovery_codes(user)
    back = entry.enter(request, user, "password", method)
    context = {"codes": made, "next": back or after_login(user), "is_first": True}
    return devices.remember(request, user, render(request, "account/recovery_codes.html", context))


@never_cache
@require_POST
def new_passkey_options(request: Request) -> HttpResponse:
    user = request.user if isinstance(request.user, User) else _without(request)
    return JsonResponse(factors.begin_new_passkey(user)) if user else JsonResponse({}, status=403)


def _without(request: Request) -> User | None:
    user = entry.waiting(request)
    return user if user and not factors.has_second(user) else None


def _page(request: Request, user: User, said: str, status: int) -> HttpResponse:
    kinds = factors.kinds(user)
    context = {
        "nav": "login",
        "form": CodeForm(),
        "said": said,
        "has_passkey": factors.PASSKEY in kinds,
        "has_app": factors.TOTP in kinds,
        "by_code": bool({factors.TOTP, factors.RECOVERY} & kinds) or bool(settings.DEMO_SECOND_FACTOR_CODE),
        "has_none": not kinds,
    }
    return render(request, "account/second.html", context, status=status)
