"""What of a day the desk wants to see: kept in the address, the same for the calendar and the list."""

import datetime as dt
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from scheduling.forms import IsoDateField
from scheduling.models import Booking, Clinic, Practitioner, Service

VIEWS = ["day", "stations", "week", "clinics"]
STATES = {
    "booked": (_("Booked"), Q(status="booked")),
    "arrived": (_("Waiting"), Q(status="arrived", called_at=None, started_at=None)),
    "called": (_("Called"), Q(status="arrived", called_at__isnull=False, started_at=None)),
    "started": (_("With the doctor"), Q(status="arrived", started_at__isnull=False)),
    "fulfilled": (_("Done"), Q(status="fulfilled")),
    "overbooked": (_("Overbooked"), Q(overbooking__isnull=False, overbooking__ended_at=None)),
}
NARROW = ["practitioner", "service", "status", "who"]


class DeskForm(forms.Form):
    """`?view=&date=&practitioner=&service=&status=&who=`, all of them optional. What is not on the lists is left out."""

    date = IsoDateField(required=False)
    view = forms.CharField(required=False, widget=forms.HiddenInput)
    practitioner = forms.TypedChoiceField(
        label=_("Practitioner"), coerce=int, empty_value=None, required=False
    )
    service = forms.TypedChoiceField(label=_("Reason"), coerce=int, empty_value=None, required=False)
    status = forms.ChoiceField(
        label=_("State"),
        choices=[("", _("Any state")), *((key, name) for key, (name, _q) in STATES.items())],
        required=False,
    )
    who = forms.CharField(
        label=_("Patient"),
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Patient"), "autocomplete": "off"}),
    )

    def __init__(self, data: Any, *, clinic: Clinic, day: dt.date | None = None) -> None:
        super().__init__(data)
        first, until = clinic.day_bounds(day or clinic.today(), 7)
        here = Practitioner.objects.filter(
            Q(pk__in=clinic.slots.filter(starts_at__gte=first, starts_at__lt=until).values("practitioner"))
        )
        self._choose("practitioner", _("All practitioners"), here)
        self._choose("service", _("Any reason"), Service.objects.all())
        for name in NARROW:
            look = "form-control" if name == "who" else "form-select"
            self.fields[name].widget.attrs["class"] = look

    def _choose(self, name: str, nobody: Any, rows: QuerySet[Any]) -> None:
        self.fields[name].choices = [("", nobody), *rows.values_list("pk", "name")]  # type: ignore[attr-defined]

    @property
    def is_narrow(self) -> bool:
        return any(self.data.get(name) for name in NARROW)

    def narrow(self, bookings: QuerySet[Booking]) -> QuerySet[Booking]:
        wanted = self.cleaned_data
        if wanted.get("practitioner"):
            bookings = bookings.filter(practitioner=wanted["practitioner"])
        if wanted.get("service"):
            bookings = bookings.filter(service=wanted["service"])
        if wanted.get("status"):
            bookings = bookings.filter(STATES[wanted["status"]][1])
        if wanted.get("who"):
            bookings = bookings.filter(patient__name__icontains=wanted["who"])
        return bookings
