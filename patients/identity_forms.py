"""What a record of a patient must have (GR 37(2)): identity number, date of birth, gender."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from patients import vault
from patients.identity import BadNumber, Identity, Kind, parse
from patients.models import Identifier, Patient

OLDEST = 130  # years
SHOWN_SECONDS = 30  # of a whole number


class NotRepeated(forms.TextInput):
    """What was typed never comes back in a page."""

    def format_value(self, value: Any) -> str | None:
        return None


class ReasonForm(forms.Form):
    """Why a number is shown whole."""

    reason = forms.ChoiceField(label=_("Why do you need it?"), choices=vault.Reason.choices)


class IdentityForm(forms.Form):
    kind = forms.ChoiceField(
        label=_("Document"),
        choices=[
            (Kind.NRIC, _("NRIC or FIN")),
            (Kind.PASSPORT, Kind.PASSPORT.label),
            (Kind.OTHER, Kind.OTHER.label),
        ],
    )
    number = forms.CharField(
        label=_("Number"),
        max_length=30,
        required=False,
        widget=NotRepeated(
            attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "characters"}
        ),
    )
    country = forms.CharField(
        label=_("Country of the document"),
        max_length=2,
        required=False,
        help_text=_("Of a passport or another document: two letters, such as MY."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
    )
    birth_date = forms.DateField(
        label=_("Date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "bday"}, format="%Y-%m-%d"),
    )
    gender = forms.ChoiceField(
        label=_("Gender"), choices=[("", "–"), *Patient.Gender.choices], required=False
    )

    identity: Identity | None = None

    def clean_birth_date(self) -> Any:
        given, today = self.cleaned_data["birth_date"], timezone.localdate()
        if given and not today.year - OLDEST <= given.year <= today.year or given and given > today:
            raise ValidationError(_("Please check the date of birth."))
        return given

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("number") and given.get("kind"):
            try:
                self.identity = parse(given["kind"], given["number"], given.get("country", ""))
            except BadNumber as wrong:
                self.add_error("number", str(wrong.sentence))
        return given


class DeskIdentityForm(IdentityForm):
    seen = forms.BooleanField(
        label=_("I have the document in front of me and it is this patient's."), required=False
    )

    def __init__(self, *args: Any, known: list[Identifier], **options: Any) -> None:
        super().__init__(*args, **options)
        self.known = known
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("number") and not given.get("seen"):
            self.add_error("seen", str(_("Please look at the document first.")))
        return given


def initial(patient: Patient) -> dict[str, Any]:
    return {"kind": Kind.NRIC, "birth_date": patient.birth_date, "gender": patient.gender}
