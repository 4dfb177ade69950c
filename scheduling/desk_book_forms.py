"""What the dialog "New booking" asks: when and what, who, and how it is paid."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import User
from patients import consents
from patients.forms import PATIENT_AGREES
from patients.models import Patient
from patients.phones import e164
from patients.search import duplicates
from scheduling.forms import MAX_ID
from scheduling.models import Service


class PatientForm(forms.Form):
    """Somebody who is known, else who is to be registered. Those who may be the same person are shown first."""

    q = forms.CharField(label=_("Patient"), max_length=80, required=False)
    patient = forms.IntegerField(min_value=1, max_value=MAX_ID, required=False, widget=forms.HiddenInput)
    name = forms.CharField(label=_("Full name"), max_length=120, required=False)
    phone = forms.CharField(
        label=_("Mobile phone"), max_length=30, required=False, widget=forms.TextInput(attrs={"type": "tel"})
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        required=False,
        help_text=_("Without one, nothing can be sent: no confirmation, no reminder, no link to pay."),
    )
    birth_date = forms.DateField(
        label=_("Date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    masked_id = forms.RegexField(
        r"^\d{3}[A-Za-z]$",
        label=_("End of the identity number"),
        required=False,
        max_length=4,
        help_text=_("The last three digits and the letter, such as 567A. Only to find the patient again."),
        error_messages={"invalid": _("Three digits and a letter, such as 567A.")},
    )
    consent = forms.BooleanField(label=PATIENT_AGREES, required=False)
    is_other = forms.BooleanField(label=_("It is another person"), required=False)

    def __init__(self, *args: Any, by: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.by = by
        self.known: Patient | None = None
        self.alike: list[Patient] = []
        self.is_known_elsewhere = False
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"

    @property
    def is_registering(self) -> bool:
        return not self.known and bool(self.data.get("name") or self.data.get("phone"))

    def clean_masked_id(self) -> str:
        return str(self.cleaned_data["masked_id"]).upper()

    def clean_phone(self) -> str:
        given = self.cleaned_data["phone"]
        number = e164(given) if given else ""
        if number is None:
            raise ValidationError(_("Please enter a phone number such as 9123 4567."), code="invalid")
        return number

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if pk := given.get("patient"):
            self.known = Patient.objects.visible_to(self.by).filter(pk=pk).first()
            if self.known is None:
                raise ValidationError(_("There is no such patient. Please choose again."))
            return given
        if not (given.get("name") or self.data.get("phone")):
            raise ValidationError(_("Please choose a patient, or register a new one."))
        needed = {
            "name": _("Please enter the name of the patient."),
            "phone": _("Please enter a phone number."),
            "consent": _("The patient must agree first."),
        }
        for field, sentence in needed.items():
            if not given.get(field) and field not in self.errors:
                self.add_error(field, str(sentence))
        if not self.errors and not given["is_other"]:
            same = {name: given[name] for name in ("name", "phone", "birth_date")}
            self.alike = duplicates(**same, by=self.by)
            self.is_known_elsewhere = not self.alike and bool(duplicates(**same, by=None))
            if self.is_known_elsewhere:
                raise ValidationError(
                    _(
                        "This may be somebody who is known at another clinic of ours. Please ask for their record."
                    ),
                    code="elsewhere",
                )
            if self.alike:
                raise ValidationError(
                    _("This may be somebody who is known. Please look before you register them twice."),
                    code="alike",
                )
        return given

    def person(self, *, by: User) -> Patient:
        """Who was chosen, or a new patient with the consent that was given at the desk."""
        if self.known:
            return self.known
        details = ("name", "phone", "email", "birth_date", "masked_id")
        patient = Patient.objects.create(**{name: self.cleaned_data[name] for name in details})
        consents.agree(patient=patient, by=by, how=consents.Asked("desk", "register", str(PATIENT_AGREES)))
        return patient


class DeskBookForm(PatientForm):
    service = forms.ModelChoiceField(
        Service.objects.none(), label=_("Service"), to_field_name="slug", empty_label=None
    )
    slot = forms.IntegerField(
        min_value=1, max_value=MAX_ID, error_messages={"required": _("Please choose a time.")}
    )
    pay = forms.CharField(max_length=40, required=False)
    note = forms.CharField(label=_("Note for the clinic"), max_length=300, required=False)

    field_order = ["service", "slot", "q", "patient"]

    def __init__(self, *args: Any, services: list[Service], **options: Any) -> None:
        super().__init__(*args, **options)
        offered = self.fields["service"]
        assert isinstance(offered, forms.ModelChoiceField)
        offered.queryset = Service.objects.filter(pk__in=[s.pk for s in services]).order_by("name")


class WalkInForm(DeskBookForm):
    """Into the queue: no time is chosen."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["slot"].required = False
