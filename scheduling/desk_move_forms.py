"""What a drop on the calendar says. Times are those of the wall of the clinic it is dropped at."""

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import User
from scheduling.desk import acts_at
from scheduling.desk_moves import Drop, slot_at
from scheduling.forms import MAX_ID, IsoDateField
from scheduling.models import Booking, Clinic, Practitioner

MAX_VERSION = 2**31 - 1


class WallField(forms.Field):
    """2026-10-05T09:20, without a zone: browsers may be anywhere."""

    def to_python(self, value: Any) -> dt.datetime | None:
        if not value:
            return None
        try:
            instant = dt.datetime.strptime(str(value), "%Y-%m-%dT%H:%M")  # noqa: DTZ007
        except ValueError as error:
            raise ValidationError(_("This is not a time such as 2026-10-05T09:20.")) from error
        if not 2000 <= instant.year <= 2200:
            raise ValidationError(_("This is not a time such as 2026-10-05T09:20."))
        return instant


class WhereForm(forms.Form):
    """A place and time on the calendar. The clinic is one where the user may act."""

    clinic = forms.ModelChoiceField(
        Clinic.objects.none(),
        to_field_name="slug",
        error_messages={"invalid_choice": _("You may not act for this clinic.")},
    )
    practitioner = forms.IntegerField(min_value=1, max_value=MAX_ID, required=False)
    station = forms.IntegerField(min_value=1, max_value=MAX_ID, required=False)
    start = WallField()

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["clinic"].queryset = acts_at(user)  # type: ignore[attr-defined]

    def instant(self, name: str = "start") -> dt.datetime:
        wall: dt.datetime = self.cleaned_data[name]
        return wall.replace(tzinfo=self.cleaned_data["clinic"].zone)


class DropForm(WhereForm):
    """Without scripts a button says all of the place in one value, `to`: practitioner, station and start."""

    key = forms.UUIDField()
    version = forms.IntegerField(min_value=1, max_value=MAX_VERSION)
    whole = forms.BooleanField(required=False)
    sure = forms.BooleanField(required=False)
    dry = forms.BooleanField(required=False)

    def __init__(self, data: Any, **options: Any) -> None:
        place = str(data.get("to", "")).split(" ")
        if len(place) == 3:
            data = data.copy()
            data["practitioner"], data["station"], data["start"] = place
        super().__init__(data, **options)

    def drop(self, booking: Booking, by: User) -> Drop:
        """Raises NoTimeThere."""
        given = self.cleaned_data
        slot = slot_at(
            clinic=given["clinic"],
            starts_at=self.instant(),
            practitioner_id=given["practitioner"],
            station_id=given["station"],
        )
        return Drop(str(given["key"]), booking, given["version"], slot, by, whole=given["whole"])


class UndoForm(forms.Form):
    key = forms.UUIDField()


class TargetsForm(forms.Form):
    to = IsoDateField()

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["from"] = IsoDateField()  # a word of the language, so no class attribute
        self.fields["clinic"] = forms.ModelMultipleChoiceField(acts_at(user), to_field_name="slug")


class ChoiceForm(forms.Form):
    """What the dialog shows times of."""

    day = IsoDateField(required=False)
    practitioner = forms.ModelChoiceField(Practitioner.objects.none(), required=False)
    clinic = forms.ModelChoiceField(Clinic.objects.none(), to_field_name="slug", required=False)

    def __init__(self, *args: Any, user: User, booking: Booking, **options: Any) -> None:
        super().__init__(*args, **options)
        people = booking.service.practitioners.filter(is_active=True)
        self.fields["practitioner"].queryset = people  # type: ignore[attr-defined]
        self.fields["clinic"].queryset = acts_at(user)  # type: ignore[attr-defined]


class CancelForm(forms.Form):
    reasons = [("patient", _("The patient asked for it")), ("clinic", _("The clinic cannot keep it"))]

    version = forms.IntegerField(min_value=1, max_value=MAX_VERSION)
    reason = forms.ChoiceField(label=_("Why"), choices=reasons)
