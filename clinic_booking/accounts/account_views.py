"""How I log in: my passkeys, authenticator app, recovery codes, password; log out everywhere."""

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import audit
from clinic_booking.accounts import emails, factors, lockout, passwords, sessions, setup, step_up
from clinic_booking.accounts.forms import PasskeyNameForm
from clinic_booking.accounts.staff import is_staff
from clinic_booking.context import Request
from clinic_booking.models import User


@never_cache
@login_required
@require_safe
def account(request: Request) -> HttpResponse:
    user = _user(request)
    mine = {each.type: each for each in Authenticator.objects.filter(user=user)}
    recovery = mine.get(factors.RECOVERY)
    context = {
        "nav": "account",
        "is_staff_login": is_staff(user),
        "email": emails.address_of(user),
        "has_password": user.has_usable_password(),
        "passkeys": Authenticator.objects.filter(user=user, type=factors.PASSKEY).order_by("pk"),
        "app": mine.get(factors.TOTP),
        "codes_left": len(recovery.wrap().get_unused_codes()) if recovery else 0,
        "name_form": PasskeyNameForm(),
    }
    return render(request, "account/account.html", context)


@login_required
@require_POST
@step_up.required
def add_passkey(request: Request) -> HttpResponse:
    user = _user(request)
    form = PasskeyNameForm(request.POST)
    name = form.cleaned_data["name"] if form.is_valid() else _("Passkey")
    if added := factors.add_passkey(user, credential=request.POST.get("credential", ""), name=name):
        audit.record(audit.Action.GRANT, f"passkey:{added.pk}", by=user)
        messages.success(request, _("The passkey is added. From now on you can log in with it."))
    else:
        messages.error(request, _("The passkey was not added. Please try again."))
    return redirect("account")


@login_required
@require_POST
@step_up.required
def remove(request: Request, pk: int) -> HttpResponse:
    """A staff member keeps one second factor: the last is replaced, not removed."""
    user = _user(request)
    ways = Authenticator.objects.filter(user=user, type__in=[factors.PASSKEY, factors.TOTP])
    found = get_object_or_404(ways, pk=pk)
    if is_staff(user) and ways.count() == 1:
        messages.error(request, _("This is your only second factor. Please add another one first."))
        return redirect("account")
    found.delete()
    audit.record(audit.Action.REVOKE, f"{found.type}:{pk}", by=user)
    messages.success(request, _("It is removed and opens nothing any more."))
    return redirect("account")


@never_cache
@login_required
@step_up.required
@require_http_methods(["GET", "HEAD", "POST"])
def app(request: Request) -> HttpResponse:
    user = _user(request)
    if request.method == "POST":
        if setup.made(request, user) == "totp":
            audit.record(audit.Action.GRANT, f"totp:{user.pk}", by=user)
            messages.success(request, _("The authenticator app is set up."))
            return redirect("account")
        return render(request, "account/app.html", setup.context(request, user), status=422)
    return render(request, "account/app.html", setup.context(request, user))


@never_cache
@login_required
@require_POST
@step_up.required
def recovery_codes(request: Request) -> HttpResponse:
    """New ones; those before are void."""
    user = _user(request)
    made = factors.new_recovery_codes(user)
    audit.record(audit.Action.GRANT, f"recovery_codes:{user.pk}", by=user)
    return render(request, "account/recovery_codes.html", {"codes": made, "next": "/account/"})


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: Request) -> HttpResponse:
    user = _user(request)
    if not user.has_usable_password():
        raise Http404
    if not step_up.is_fresh(request):
        # What was typed is not kept in the session meanwhile, as other forms are.
        return redirect(step_up.address(request.path))
    form, said, status = passwords.NewPasswordForm(user, request.POST or None), "", 200
    if request.method == "POST":
        try:
            if passwords.change(request, form):
                messages.success(
                    request, _("Your password is changed. You are logged out on all other devices.")
                )
                return redirect("account")
            status = 422
        except lockout.LockedOut as locked:
            form, said, status = passwords.NewPasswordForm(user), str(locked.sentence), locked.status
    context = {"nav": "account", "form": form, "said": said}
    return render(request, "account/password.html", context, status=status)


@login_required
@require_POST
def log_out_everywhere(request: Request) -> HttpResponse:
    user = _user(request)
    sessions.end_all(user)
    update_session_auth_hash(request, user)
    audit.record(audit.Action.LOGOUT, f"user:{user.pk}", by=user, reason="everywhere")
    messages.success(request, _("You are logged out on all other devices."))
    return redirect("account")


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
