"""What people fill in about their rights."""

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from patients.models import PrivacyRequest
from patients.phones import e164

Kind = PrivacyRequest.Kind


class OwnDetailsForm(forms.Form):
    phone = forms.CharField(
        label=_("Mobile phone"),
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "type": "tel", "inputmode": "tel"}),
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_("A new address counts when you have typed the code that we send there."),
    )

    def clean_phone(self) -> str:
        number = e164(self.cleaned_data["phone"])
        if number is None:
            raise ValidationError(_("Please enter a phone number such as 9123 4567."), code="invalid")
        return number


class TextForm(forms.Form):
    text = forms.CharField(
        label=_("What is it about?"), max_length=2000, widget=forms.Textarea(attrs={"rows": 5})
    )


class AskForm(TextForm):
    kind = forms.ChoiceField(
        label=_("What do you ask for?"),
        choices=[
            (Kind.CORRECTION, _("Correct something")),
            (Kind.ACCESS, _("Tell me what is held, and how it was used")),
            (Kind.ERASURE, _("A question about erasing my data")),
            (Kind.COMPLAINT, _("A complaint")),
        ],
    )
    field_order = ["kind", "text"]


class ComplaintForm(TextForm):
    name = forms.CharField(
        label=_("Your name"),
        max_length=120,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    contact = forms.CharField(
        label=_("E-mail or telephone"),
        max_length=254,
        help_text=_("Where we can answer. Please no identity number."),
        widget=forms.TextInput(attrs={"autocomplete": "email"}),
    )
    field_order = ["text", "name", "contact"]


# -- Staff ---------------------------------------------------------------------------------------


class LogForm(TextForm):
    """A request that came by telephone, letter or at the counter."""

    kind = forms.ChoiceField(label=_("What is asked for"), choices=Kind)
    channel = forms.ChoiceField(label=_("Came by"), choices=PrivacyRequest.Channel)
    received_on = forms.DateField(
        label=_("Received on"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    identity_proof = forms.ChoiceField(label=_("How is it known who asks?"), choices=PrivacyRequest.Proof)
    patient = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=1, max_value=2**63 - 1)
    name = forms.CharField(label=_("Name"), max_length=120, required=False)
    contact = forms.CharField(label=_("Where to answer"), max_length=254, required=False)
    field_order = ["kind", "channel", "received_on", "text", "identity_proof", "name", "contact"]

    def __init__(self, *args: Any, today: dt.date, **options: Any) -> None:
        super().__init__(*args, **options)
        self.today = today
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"

    def clean_received_on(self) -> dt.date:
        day: dt.date = self.cleaned_data["received_on"]
        if not self.today - dt.timedelta(days=60) <= day <= self.today:
            raise ValidationError(_("Please enter a day of the last two months, not of the future."))
        return day

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if not given.get("patient") and not given.get("contact"):
            self.add_error("contact", _("Please note where to answer."))
        return given


class IdentifyForm(forms.Form):
    proof = forms.ChoiceField(
        label=_("How is it known who asks?"),
        choices=[choice for choice in PrivacyRequest.Proof.choices if choice[0] != PrivacyRequest.Proof.NONE],
    )


class FarDayForm(forms.Form):
    """A typing error must not put a deadline off for ever."""

    MOST_YEARS = 1

    def clean_until(self) -> dt.date:
        day: dt.date = self.cleaned_data["until"]
        if day > timezone.localdate() + dt.timedelta(days=366 * self.MOST_YEARS):
            raise ValidationError(_("This day is too far away."), code="far")
        return day


class ExtendForm(FarDayForm):
    until = forms.DateField(
        label=_("Answer by"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    reason = forms.CharField(label=_("What the person was told"), max_length=300)


class FeeForm(forms.Form):
    fee = forms.DecimalField(label=_("Fee (S$)"), min_value=0, max_value=1000, decimal_places=2)


class NoteForm(forms.Form):
    text = forms.CharField(label=_("What was done"), max_length=1000)


class DecideForm(forms.Form):
    status = forms.ChoiceField(
        label=_("Decision"),
        choices=[
            choice for choice in PrivacyRequest.Status.choices if choice[0] != PrivacyRequest.Status.OPEN
        ],
    )
    reasons = forms.CharField(
        label=_("Reasons, as the person is told"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    annotation = forms.CharField(
        label=_("Note beside the record"),
        max_length=2000,
        required=False,
        help_text=_("When a correction is refused: what the person says is right."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class KeepForm(FarDayForm):
    MOST_YEARS = 10  # as long as a review or a court may take

    until = forms.DateField(
        label=_("Keep the copy until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
