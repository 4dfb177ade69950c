import datetime as dt
from collections.abc import Collection
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError
from clinic_booking.models import User
from patients import consents
from patients.forms import PATIENT_AGREES
from patients.models import Patient
from patients.phones import e164
from scheduling.models import Clinic, Service

MAX_ID = 2**63 - 1
MAX_DATASET_DAYS = 31
REPORT_WEEKS = 12
MAX_REPORT_DAYS = 371


class BadField(NamedError):
    """What a field of a form or of an address says, where there is no form to show it at."""

    status = 422

    def __init__(self, form: forms.Form, *, missing: Collection[str] = ()) -> None:
        """404 where one of the `missing` fields names something that does not exist."""
        super().__init__()
        field, errors = next(iter(form.errors.items()))
        self.sentence = str(errors[0])
        if field in missing:
            self.status = 404


class IsoDateField(forms.DateField):
    """2026-10-05 and nothing else: for addresses, which people do not type."""

    default_error_messages = {"invalid": _("This is not a date such as 2026-10-05.")}

    def __init__(self, **options: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], **options)

    def to_python(self, value: Any) -> dt.date | None:
        day = super().to_python(value)
        # Far dates overflow when an instant is made of them.
        if day and not 2000 <= day.year <= 2200:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return day


class ClinicForm(forms.Form):
    """Empty means any clinic."""

    clinic = forms.ModelChoiceField(
        Clinic.objects.filter(is_active=True),
        to_field_name="slug",
        required=False,
        error_messages={"invalid_choice": _("There is no such clinic.")},
    )


class SearchForm(ClinicForm):
    service = forms.ModelChoiceField(
        Service.objects.filter(is_online=True),
        to_field_name="slug",
        error_messages={"invalid_choice": _("This cannot be booked online. Please choose another reason.")},
    )
    date = IsoDateField(required=False)
    session = forms.IntegerField(min_value=1, max_value=MAX_ID, required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What a course sells, or the desk has booked, need not be for everybody to book.
        if self.data.get("session") or self.data.get("move"):
            self.fields["service"].queryset = Service.objects.all()  # type: ignore[attr-defined]


class HoldForm(forms.Form):
    slot = forms.IntegerField(min_value=1, max_value=MAX_ID)
    service = forms.IntegerField(min_value=1, max_value=MAX_ID)
    session = forms.IntegerField(min_value=1, max_value=MAX_ID, required=False)


class MoveForm(forms.Form):
    slot = forms.IntegerField(min_value=1, max_value=MAX_ID)
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1)


class DayForm(forms.Form):
    date = IsoDateField(required=False)


class SpanForm(forms.Form):
    """`from` and `to`, both included, at most a month; of one practitioner where `practitioner` says so."""

    to = IsoDateField()
    practitioner = forms.IntegerField(min_value=1, max_value=MAX_ID, required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["from"] = IsoDateField()  # a word of the language, so no class attribute

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("from"), self.cleaned_data.get("to")
        if first and last and not 0 <= (last - first).days < MAX_DATASET_DAYS:
            raise ValidationError(
                _("Ask for 1 to %(days)s days, in order."), params={"days": MAX_DATASET_DAYS}
            )
        return self.cleaned_data


class PeriodForm(forms.Form):
    """`from` and `to`, both included; without them the last twelve weeks, from a Monday."""

    to = IsoDateField(required=False)

    def __init__(self, *args: Any, today: dt.date, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["from"] = IsoDateField(required=False)
        self.today = today

    def clean(self) -> dict[str, Any]:
        if self.errors:
            return self.cleaned_data
        last = self.cleaned_data["to"] or self.today
        first = self.cleaned_data["from"] or last - dt.timedelta(last.weekday() + 7 * (REPORT_WEEKS - 1))
        if not 0 <= (last - first).days < MAX_REPORT_DAYS:
            raise ValidationError(
                _("Ask for 1 to %(days)s days, in order."), params={"days": MAX_REPORT_DAYS}
            )
        return {"from": first, "to": last}


class VisitorForm(forms.Form):
    """Who comes, asked at the desk: nothing more of a patient who is known."""

    name = forms.CharField(label=_("Full name"), max_length=120)
    phone = forms.CharField(
        label=_("Mobile phone"), max_length=30, widget=forms.TextInput(attrs={"type": "tel"})
    )
    email = forms.EmailField(label=_("E-mail"), max_length=254, required=False)
    consent = forms.BooleanField(
        label=PATIENT_AGREES,
        error_messages={"required": _("The patient must agree first.")},
    )
    note = forms.CharField(
        label=_("Note for the clinic"),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, data: Any = None, *, known: Patient | None = None) -> None:
        super().__init__(data)
        if known:
            for name in ("name", "phone", "email", "consent"):
                del self.fields[name]

    def clean_phone(self) -> str:
        number = e164(self.cleaned_data["phone"])
        if number is None:
            raise ValidationError(_("Please enter a phone number such as 9123 4567."), code="invalid")
        return number

    def new_patient(self, *, by: User) -> Patient:
        contacts = {name: self.cleaned_data[name] for name in ("name", "phone", "email")}
        patient = Patient.objects.create(**contacts)
        consents.agree(patient=patient, by=by, how=consents.Asked("desk", "register", str(PATIENT_AGREES)))
        return patient
