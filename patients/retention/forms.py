import datetime as dt
from typing import Any

from django import forms
from django.apps import apps
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import User
from clinic_booking.retention.models import Incident, RetentionRule, Vendor
from patients.retention.models import LegalHold

FIRST_YEAR, LAST_YEAR = 2000, 2100  # what clocks and rules can count with
MOST = {"months": 1200, "days": 3660}
TIMES = ("suspected_at", "discovered_at", "from_at", "until_at")
AHEAD = dt.timedelta(days=1)
REVIEW_WITHIN = dt.timedelta(days=3 * 366)


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self, **options: Any) -> None:
        super().__init__(format="%Y-%m-%d", **options)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = RetentionRule
        fields = ["trigger", "months", "days", "action", "basis"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        for name, most in MOST.items():
            if (given.get(name) or 0) > most:
                self.add_error(name, _("At most %d, please.") % most)
        return given


class HoldForm(forms.Form):
    scope = forms.ChoiceField(label=_("Scope"), choices=LegalHold.Scope.choices)
    patient = forms.IntegerField(
        label=_("Number of the patient"),
        required=False,
        min_value=1,
        help_text=_("Or the reference of a booking."),
    )
    reference = forms.CharField(label=_("Reference of the booking"), required=False, max_length=12)
    period_from = forms.DateField(label=_("First day"), required=False, widget=DayInput())
    period_until = forms.DateField(label=_("Last day"), required=False, widget=DayInput())
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Without names of patients."))

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        first, last = given.get("period_from"), given.get("period_until")
        if given.get("scope") == LegalHold.Scope.PERIOD and not (first and last and first <= last):
            self.add_error("period_from", _("Of a period give the first and the last day."))
        for name in ("period_from", "period_until"):
            if (day := given.get(name)) and not FIRST_YEAR <= day.year <= LAST_YEAR:
                self.add_error(name, _("Please give a day of this century."))
        return given


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=200)


def clinics() -> list[tuple[int | str, Any]]:
    """By name. Their model is further right, so it is not imported."""
    known = apps.get_model("scheduling", "Clinic")._default_manager.order_by("name")
    return [("", _("Any clinic")), *known.values_list("pk", "name")]


class IncidentForm(forms.ModelForm):  # type: ignore[type-arg]
    data_classes = forms.MultipleChoiceField(
        label=_("Data"),
        choices=Incident.Data.choices,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
        required=False,
    )
    actor_id = forms.CharField(
        label=_("Whose login"), required=False, max_length=150, help_text=_("As in the audit trail.")
    )
    clinic_id = forms.TypedChoiceField(
        label=_("Clinic"), required=False, choices=clinics, coerce=int, empty_value=None
    )

    class Meta:
        model = Incident
        fields = ["title", "facts", "suspected_at", "discovered_at", "data_classes", "people", "is_internal"]
        fields += ["is_protected", "actor_id", "clinic_id", "subject_kind", "from_at", "until_at", "letter"]
        widgets = {
            name: forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
            for name in ("suspected_at", "discovered_at", "from_at", "until_at")
        } | {"facts": forms.Textarea(attrs={"rows": 4}), "letter": forms.Textarea(attrs={"rows": 8})}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        latest = timezone.now() + AHEAD
        for name in TIMES:
            moment = given.get(name)
            if moment and (moment.year < FIRST_YEAR or moment > latest):
                self.add_error(name, _("Please give a time of this century that is not in the future."))
        return given

    def clean_actor_id(self) -> int | None:
        """By name or number."""
        if not (text := self.cleaned_data["actor_id"].strip()):
            return None
        is_number = text.isdecimal() and len(text) < 19
        wanted = Q(username__iexact=text) | Q(pk=int(text)) if is_number else Q(username__iexact=text)
        found = User.objects.filter(wanted).first()
        if found is None:
            raise forms.ValidationError(_("Nobody logs in with this name."))
        return found.pk


class DecideForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=[c for c in Incident.Decision.choices if c[0] != Incident.Decision.OPEN]
    )
    reasons = forms.CharField(label=_("Reasons"), widget=forms.Textarea(attrs={"rows": 3}), max_length=2000)


class VendorForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Vendor
        fields = [
            "name",
            "service",
            "data",
            "country",
            "ground",
            "contract",
            "certificate",
            "review_on",
            "ended_on",
        ]
        widgets = {"review_on": DayInput(), "ended_on": DayInput()}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        today = timezone.localdate()
        for name, latest, sentence in (
            ("review_on", today + REVIEW_WITHIN, _("Please look at each vendor at least every three years.")),
            ("ended_on", today + dt.timedelta(days=366), _("Please give a day at most a year ahead.")),
        ):
            day = given.get(name)
            if day and day > latest:
                self.add_error(name, sentence)
            elif day and day.year < FIRST_YEAR:
                self.add_error(name, _("Please give a day of this century."))
        return given
