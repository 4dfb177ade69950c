"""The own password, of staff and of whoever else has one. A forgotten one is set by an administrator."""

import datetime as dt

from django import forms
from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking import audit
from clinic_booking.accounts import emails, lockout, sessions
from clinic_booking.models import User


class NewPasswordForm(PasswordChangeForm):
    """Twelve characters or more; no other rules on what is in it (settings.AUTH_PASSWORD_VALIDATORS)."""

    old_password = forms.CharField(
        label=gettext_lazy("Your password now"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new_password1 = forms.CharField(
        label=gettext_lazy("New password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("At least 12 characters. Three or four words that nobody expects are good."),
    )
    new_password2 = forms.CharField(
        label=gettext_lazy("New password, once more"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    field_order = ["old_password", "new_password1", "new_password2"]

    def clean_new_password1(self) -> str:
        new: str = self.cleaned_data["new_password1"]
        if new == self.data.get("old_password"):
            raise forms.ValidationError(_("This is the password that you have now."), code="same")
        return new


def change(request: HttpRequest, form: NewPasswordForm) -> bool:
    """Whether it was. Other sessions of the login end with it, and a letter goes out. Raises LockedOut: whoever finds
    an open session must not try out passwords in it."""
    user = form.user
    lockout.take(lockout.ACCOUNT, user.username, user=user)
    if form.is_valid():
        lockout.succeeded(lockout.ACCOUNT, user.username)
        _keep(user, form)
        update_session_auth_hash(request, user)
        return True
    if "old_password" in form.errors:
        audit.record(audit.Action.LOGIN_FAILED, f"user:{user.pk}", by=user, reason="password_change")
    else:
        lockout.succeeded(lockout.ACCOUNT, user.username)
    return False


def _keep(user: User, form: NewPasswordForm) -> None:
    from clinic_booking.jobs import tell_of_new_password

    with transaction.atomic():
        form.save()
        sessions.end_all(user)
        audit.record(audit.Action.CHANGE, f"user:{user.pk}", by=user, fields=["password"])
        if emails.address_of(user):
            tell_of_new_password.defer(user_id=user.pk, at=timezone.now().isoformat())


def tell(user: User, at: dt.datetime) -> None:
    """A letter to the login's address, so that nobody's password is changed unnoticed. Raises what the mailer raises."""
    facts = {"at": at, "brand": settings.BRAND, "link": settings.SITE_URL, "dpo_email": settings.DPO_EMAIL}
    title = _("Your password was changed")
    send_mail(title, render_to_string("email/password_changed.txt", facts), None, [emails.address_of(user)])
