"""What somebody who joins the waitlist is asked."""

import datetime as dt
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from scheduling.forms import MAX_ID, IsoDateField
from scheduling.models import Clinic, Practitioner, Service, Urgency
from scheduling.waitlist import Wishes

NOTICES = [
    (120, _("2 hours before")),
    (360, _("6 hours before")),
    (1440, _("a day before")),
    (2880, _("two days before")),
]
STRICT = [("yes", _("Only offer me times like these")), ("no", _("I prefer these, others are fine too"))]
DATE = {"type": "date"}
TIME = {"type": "time", "step": 300}
CHECK = {"class": "form-check-input"}


class WishesForm(forms.Form):
    """`services` are those that may be waited for: online ones for patients, all for the desk."""

    service = forms.ModelChoiceField(
        Service.objects.none(),
        to_field_name="slug",
        label=_("Reason"),
        error_messages={
            "invalid_choice": _("One cannot wait for this online. Please choose another reason.")
        },
    )
    clinics = forms.ModelMultipleChoiceField(
        Clinic.objects.filter(is_active=True),
        to_field_name="slug",
        label=_("Where?"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs=CHECK),
        help_text=_("None chosen means any clinic."),
    )
    practitioner = forms.ModelChoiceField(
        Practitioner.objects.filter(is_active=True), label=_("With"), required=False, empty_label=_("Anyone")
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=_("On which days?"),
        choices=[(number + 1, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs=CHECK),
        help_text=_("None chosen means any day."),
    )
    from_time = forms.TimeField(label=_("Not before"), required=False, widget=forms.TimeInput(attrs=TIME))
    until_time = forms.TimeField(label=_("Over by"), required=False, widget=forms.TimeInput(attrs=TIME))
    earliest = IsoDateField(
        label=_("From date"), required=False, widget=forms.DateInput(attrs=DATE, format="%Y-%m-%d")
    )
    latest = IsoDateField(
        label=_("Until date"), required=False, widget=forms.DateInput(attrs=DATE, format="%Y-%m-%d")
    )
    strict = forms.ChoiceField(
        label=_("How strict are the days, hours and the person?"),
        choices=STRICT,
        initial="yes",
        widget=forms.RadioSelect(attrs=CHECK),
    )
    notice_minutes = forms.TypedChoiceField(
        label=_("How long before the visit must you know?"), choices=NOTICES, coerce=int, initial=120
    )

    def __init__(self, *args: Any, services: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["service"].queryset = services  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        earliest, latest = given.get("earliest"), given.get("latest")
        if latest and latest < timezone.localdate():
            self.add_error("latest", _("This day is over."))
        elif earliest and latest and latest < earliest:
            self.add_error("latest", _("The last day is before the first."))
        service, start, end = given.get("service"), given.get("from_time"), given.get("until_time")
        if start and end and end <= start:
            self.add_error("until_time", _("The end must be after the start."))
        elif start and end and service and _minutes(end) - _minutes(start) < service.duration_minutes:
            self.add_error("until_time", _("The visit takes longer than the time between these hours."))
        who = given.get("practitioner")
        if who and service and not service.practitioners.filter(pk=who.pk).exists():
            self.add_error("practitioner", _("%(name)s does not offer this.") % {"name": who.name})
        days = given.get("weekdays")
        if days and earliest and latest and not self.errors and not _has_weekday(earliest, latest, days):
            self.add_error("weekdays", _("There is no such day between these dates."))
        return given

    @property
    def wishes(self) -> Wishes:
        given = self.cleaned_data
        return Wishes(
            clinics=tuple(given["clinics"]),
            earliest=given["earliest"],
            latest=given["latest"],
            weekdays=tuple(given["weekdays"]),
            from_time=given["from_time"],
            until_time=given["until_time"],
            practitioner=given["practitioner"],
            is_strict=given["strict"] == "yes",
        )


class DeskForm(forms.Form):
    """What the staff say besides."""

    urgency = forms.TypedChoiceField(label=_("Urgency"), choices=Urgency, coerce=int, initial=Urgency.ROUTINE)
    note = forms.CharField(label=_("Note of the staff"), max_length=200, required=False)


class SteerForm(forms.Form):
    """One change of an entry by its page."""

    move = forms.TypedChoiceField(choices=[("up", "up"), ("down", "down")], required=False)
    paused = forms.TypedChoiceField(choices=[("yes", "yes"), ("no", "no")], required=False)
    urgency = forms.TypedChoiceField(choices=Urgency, coerce=int, required=False, empty_value=None)
    note = forms.CharField(max_length=200, required=False)

    @property
    def changes(self) -> dict[str, Any]:
        given, changes = self.cleaned_data, {}
        if given["move"]:
            changes["move"] = 1 if given["move"] == "up" else -1
        if given["paused"]:
            changes["is_paused"] = given["paused"] == "yes"
        if given["urgency"] is not None:
            changes["urgency"] = given["urgency"]
        if "note" in self.data:
            changes["note"] = given["note"]
        return changes


class OfferForm(forms.Form):
    slot = forms.IntegerField(min_value=1, max_value=MAX_ID)


def _minutes(time: dt.time) -> int:
    return time.hour * 60 + time.minute


def _has_weekday(first: dt.date, last: dt.date, weekdays: list[int]) -> bool:
    days = min((last - first).days, 6)
    return any((first + dt.timedelta(n)).isoweekday() in weekdays for n in range(days + 1))
