"""Setting up an authenticator app or a passkey: the same steps at the first login and in the account."""

import base64
from typing import Any

from allauth.mfa.adapter import get_adapter
from django.http import HttpRequest
from django.utils.translation import gettext as _

from clinic_booking.accounts import factors
from clinic_booking.accounts.forms import CodeForm
from clinic_booking.models import User

SECRET = "new_totp"  # noqa: S105


def made(request: HttpRequest, user: User) -> str | None:
    """The method that the form has just set up, if what was sent is right."""
    if credential := request.POST.get("credential"):
        name = request.POST.get("name", "").strip()[:60] or _("Passkey")
        return "passkey" if factors.add_passkey(user, credential=credential, name=name) else None
    secret = request.session.get(SECRET)
    digits = "".join(filter(str.isdigit, request.POST.get("code", "")[:20]))
    if not secret or not digits:
        return None
    if (counter := factors.counter_of(secret, digits)) is None:
        return None
    factors.set_totp(user, secret, counter=counter)
    del request.session[SECRET]
    return "totp"


def context(request: HttpRequest, user: User) -> dict[str, Any]:
    """The picture for the app, and the same as text for who cannot take a picture of it."""
    secret = request.session.setdefault(SECRET, factors.new_secret())
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        form.add_error("code", _("This code is not right. Please type the one that the app shows now."))
    adapter = get_adapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return {
        "form": form,
        "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        "picture": f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}",
    }
