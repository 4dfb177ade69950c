"""One page to log in: by e-mail and code, by passkey, with Singpass; staff by name and password, and then more."""

import smtplib
from urllib.parse import urlencode

from django.contrib import auth
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import select_template
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking import audit
from clinic_booking.accounts import codes, devices, emails, entry, factors, lockout, sign_up
from clinic_booking.accounts.forms import CodeForm, EmailForm, PasswordForm
from clinic_booking.accounts.staff import is_staff
from clinic_booking.accounts.step_up import safe_next
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can, may

SENT = "login_code"
HAS_A_DESK = (Can.SEE_DESK, Can.SEE_MONEY, Can.HANDLE_REQUESTS, Can.CONFIGURE)
BUTTONS = ["patients/_singpass_button.html", "account/_nothing.html"]


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: Request) -> HttpResponse:
    back = safe_next(request, request.POST.get("next") or request.GET.get("next", ""), "")
    if request.method == "POST":
        try:
            return _answer(request, back)
        except lockout.LockedOut as locked:
            return _page(request, back, said=str(locked.sentence), status=locked.status)
    if request.user.is_authenticated:
        return redirect(back or after_login(request.user))
    return _page(request, back)


def _answer(request: Request, back: str) -> HttpResponse:
    if "credential" in request.POST:
        return _by_passkey(request, back)
    if "email" in request.POST:
        return _ask_for_code(request, back)
    return _by_password(request, back)


def _by_password(request: Request, back: str) -> HttpResponse:
    form = PasswordForm(request, request.POST)
    if not form.is_valid():
        return _page(request, back, password=form)
    user = entry.by_password(request, **form.cleaned_data)
    if user is None:
        form.add_error(None, form.get_invalid_login_error())
        return _page(request, back, password=form)
    if entry.needs_second(user):
        entry.wait_for_second(request, user, back=back)
        return redirect("login_second")
    entry.enter(request, user, "password")
    return redirect(back or after_login(user))


def _by_passkey(request: Request, back: str) -> HttpResponse:
    lockout.take_place(lockout.PLACE, request)
    user = factors.check_passkey(request.POST["credential"])
    if user is None:
        entry.failed(None, reason="passkey")
        return _page(request, back, said=_("That passkey is not known here. Please choose another way."))
    lockout.give_back(lockout.PLACE, request)
    entry.enter(request, user, "passkey")
    return devices.remember(request, user, redirect(back or after_login(user)))


def _ask_for_code(request: Request, back: str) -> HttpResponse:
    """The same answer for every address: each gets a mail."""
    form = EmailForm(request.POST)
    if not form.is_valid():
        return _page(request, back, email=form, status=422)
    address = form.cleaned_data["email"].lower()
    owner = emails.owner(address)
    real = owner is None or (owner.is_active and not is_staff(owner))
    try:
        pk = codes.send_mail(request, purpose=codes.Purpose.LOGIN, to=address, real=real)
    except (OSError, smtplib.SMTPException):
        return _page(request, back, email=form, said=str(codes.NotSent.sentence), status=503)
    request.session[SENT] = {"id": pk, "email": address, "next": back, "real": real}
    return redirect("code_login")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: Request) -> HttpResponse:
    """The code that was sent by e-mail. Who types it has that mailbox, which makes an account where there is none."""
    sent = request.session.get(SENT)
    if sent is None or request.user.is_authenticated:
        return redirect("login")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            right = codes.is_right(
                sent["id"], form.cleaned_data["code"], purpose=codes.Purpose.LOGIN, to=sent["email"]
            )
        except lockout.LockedOut as locked:
            form.add_error("code", str(locked.sentence))
            return _code_page(request, form, sent, status=locked.status)
        user = sign_up.of_address(sent["email"]) if right and sent["real"] else None
        if user:
            del request.session[SENT]
            entry.enter(request, user, "email_code")
            return redirect(sent["next"] or after_login(user))
        entry.failed(None, reason="email_code")
        form.add_error("code", _("This code is not right, or it is too old. Each code works once."))
    return _code_page(request, form, sent, status=422 if form.errors else 200)


def _code_page(request: Request, form: CodeForm, sent: dict[str, str], status: int) -> HttpResponse:
    context = {"nav": "login", "form": form, "email": sent["email"], "next": sent["next"]}
    return render(request, "account/code.html", context | {"minutes": codes.MINUTES}, status=status)


@require_POST
def logout(request: Request) -> HttpResponse:
    """On a shared desk the next one does not find the name of who has left."""
    if isinstance(request.user, User):
        audit.record(audit.Action.LOGOUT, f"user:{request.user.pk}", by=request.user)
        devices.forget(request, request.user)
    auth.logout(request)
    return redirect("home")


def admin_login(request: Request) -> HttpResponse:
    """There is one door. Who is logged in and sent here may not see the admin."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect(login_address(safe_next(request, request.GET.get("next", ""), "/admin/")))


def after_login(user: User) -> str:
    if any(may(user, what) for what in HAS_A_DESK):
        return reverse("desk_home")
    return reverse("home") if is_staff(user) else reverse("me")


def login_address(back: str) -> str:
    return f"{reverse('login')}?{urlencode({'next': back})}"


def _page(
    request: Request,
    back: str,
    *,
    password: PasswordForm | None = None,
    email: EmailForm | None = None,
    said: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "nav": "login",
        "next": back,
        "form": password or PasswordForm(request),
        "email_form": email or EmailForm(),
        "said": said,
        "singpass_button": select_template(BUTTONS),
    }
    return render(request, "account/login.html", context, status=status)
