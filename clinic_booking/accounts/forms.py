"""What the doors ask for. Never an identity number or a date of birth (PDPC, 2 February 2026)."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class PasswordForm(AuthenticationForm):
    """Only its fields and words: who asks the database is `entry.by_password`, which counts tries first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Patients are most: a phone would scroll past their part of the page.
        self.fields["username"].widget.attrs.pop("autofocus", None)

    def clean(self) -> dict[str, object]:
        return self.cleaned_data


class EmailForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )


class CodeForm(forms.Form):
    """Of a mail, an authenticator app or a recovery code; spaces do not matter."""

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "class": "code-field"}
        ),
    )


class PasskeyNameForm(forms.Form):
    name = forms.CharField(
        label=_("Name of this device"),
        max_length=60,
        help_text=_("So that you know it again, such as “My phone”."),
    )
