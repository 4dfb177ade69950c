"""The confirmation page of `step_up`: by what the person has: passkey, authenticator app, or a code by e-mail."""

import smtplib

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking import audit
from clinic_booking.accounts import codes, factors, lockout, sessions, step_up
from clinic_booking.accounts.emails import address_of
from clinic_booking.accounts.forms import CodeForm
from clinic_booking.accounts.staff import is_staff
from clinic_booking.context import Request
from clinic_booking.models import User

SENT = "step_up_code"


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: Request) -> HttpResponse:
    back = step_up.safe_next(request, request.GET.get("next", "/"))
    user = _user(request)
    if request.method == "POST":
        method = _method(request, user)
        if method:
            return _done(request, user, method, back)
        audit.record(audit.Action.LOGIN_FAILED, f"user:{user.pk}", by=user, reason="step_up")
    return _page(request, user, wrong=request.method == "POST")


@login_required
@require_POST
def send(request: Request) -> HttpResponse:
    """A code to the e-mail address of the login; not for staff, who have a second factor."""
    back = step_up.safe_next(request, request.GET.get("next", "/"))
    user = _user(request)
    address = address_of(user)
    if address and not is_staff(user):
        purpose, subject = codes.Purpose.STEP_UP, f"user:{user.pk}"
        try:
            request.session[SENT] = codes.send_mail(request, purpose=purpose, to=address, subject=subject)
        except (OSError, smtplib.SMTPException) as error:
            raise codes.NotSent from error
    return redirect(step_up.address(back))


def _method(request: Request, user: User) -> str | None:
    if credential := request.POST.get("credential"):
        return "passkey" if factors.check_passkey(credential, user) else None
    typed = request.POST.get("code", "")[:20]
    if sent := request.session.get(SENT):
        to = address_of(user)
        if to and codes.is_right(sent, typed, purpose=codes.Purpose.STEP_UP, to=to):
            del request.session[SENT]
            return "email_code"
    if not (factors.kinds(user) or is_staff(user)):
        return None
    lockout.take(lockout.SECOND, f"user:{user.pk}", user=user)
    method = factors.check_code(user, typed)
    if method:
        lockout.succeeded(lockout.SECOND, f"user:{user.pk}")
    return method


def _done(request: Request, user: User, method: str, back: str) -> HttpResponse:
    sessions.prove(request, method)
    audit.record(audit.Action.LOGIN, f"user:{user.pk}", by=user, reason=f"step_up {method}")
    kept = step_up.kept_form(request, back)
    if kept is None:
        return redirect(back)
    fields = [(name, value) for name, values in kept.lists() for value in values]
    return render(request, "account/step_up_go_on.html", {"action": back, "fields": fields})


def _page(request: Request, user: User, *, wrong: bool) -> HttpResponse:
    kinds = factors.kinds(user)
    staff = is_staff(user)
    form = CodeForm(request.POST if wrong else None)
    if wrong and form.is_valid():
        form.add_error("code", _("This code is not right, or it is too old."))
    context = {
        "form": form,
        "wrong": wrong,
        "has_passkey": factors.PASSKEY in kinds,
        "has_app": factors.TOTP in kinds or (staff and not kinds),
        "by_mail": "" if staff else address_of(user),
        "sent": request.session.get(SENT),
        "next": request.GET.get("next", "/"),
    }
    return render(request, "account/step_up.html", context, status=422 if wrong else 200)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
