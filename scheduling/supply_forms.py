"""What staff enter about hours, leave and closures. Each form becomes the payload of a change plan."""

import datetime as dt
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import User
from clinic_booking.roles import Can
from scheduling import edits
from scheduling.desk import clinics_of
from scheduling.forms import IsoDateField
from scheduling.models import (
    ChangePlan,
    Clinic,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Station,
    TemplateBreak,
)

Kind = ChangePlan.Kind
BREAK = re.compile(r"(\d{1,2}:\d{2})\s*(?:-|–|to)\s*(\d{1,2}:\d{2})")
MAX_BREAKS = 6
SEEN = "%Y-%m-%dT%H:%M:%S.%f%z"
TIME = re.compile(r"(\d{1,18})/(\d{4}-\d\d-\d\dT\d\d:\d\d[+-]\d\d:\d\d)")


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class ClockField(forms.TimeField):
    default_error_messages = {"invalid": _("This is not a time such as 09:30.")}

    def __init__(self, **options: Any) -> None:
        widget = forms.TimeInput(format="%H:%M", attrs={"type": "time"})
        super().__init__(input_formats=["%H:%M", "%H:%M:%S"], widget=widget, **options)


class EditForm(forms.Form):
    """Any edit of a clinic's supply. `payload` and `kind` are those of the plan."""

    kind: Kind

    def __init__(self, *args: Any, clinic: Clinic, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.clinic, self.user = clinic, user
        if "station" in self.fields:
            self.fields["station"].queryset = clinic.stations.all()  # type: ignore[attr-defined]

    def payload(self) -> dict[str, Any]:
        raise NotImplementedError


class DaysForm(EditForm):
    """From a day to a day, whole or with times."""

    first = IsoDateField(label=_("First day"), widget=DayInput())
    last = IsoDateField(label=_("Last day"), widget=DayInput(), required=False)
    from_time = ClockField(label=_("From"), required=False, help_text=_("Empty: from the start of the day."))
    until_time = ClockField(label=_("Until"), required=False, help_text=_("Empty: to the end of the day."))
    reason = forms.CharField(
        label=_("Reason"),
        max_length=120,
        required=False,
        help_text=_("For the staff. Patients do not see it."),
    )

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        first, last = given.get("first"), given.get("last") or given.get("first")
        if self.errors or not first or not last:
            return given
        start = dt.datetime.combine(first, given.get("from_time") or dt.time(), self.clinic.zone)
        if until := given.get("until_time"):
            end = dt.datetime.combine(last, until, self.clinic.zone)
        else:
            end = dt.datetime.combine(last + dt.timedelta(1), dt.time(), self.clinic.zone)
        field = "until_time" if given.get("until_time") and first == last else "last"
        if end <= start:
            raise ValidationError({field: _("The end must be after the start.")})
        self.check(ScheduleException(starts_at=start, ends_at=end, reason=given.get("reason") or ""))
        return given

    def check(self, exception: ScheduleException) -> None:
        self.complete(exception)
        try:
            edits.check_exception(exception)
        except ValidationError as problem:
            raise ValidationError(problem.messages) from problem
        self.exception = exception

    def complete(self, exception: ScheduleException) -> None:
        raise NotImplementedError

    def payload(self) -> dict[str, Any]:
        return edits.exception_payload(self.exception)


class LeaveForm(DaysForm):
    kind = Kind.LEAVE
    practitioner = forms.ModelChoiceField(Practitioner.objects.filter(is_active=True), label=_("Who"))
    everywhere = forms.BooleanField(
        label=_("At all clinics"), initial=True, required=False, widget=forms.CheckboxInput()
    )
    field_order = ["practitioner", "first", "last", "from_time", "until_time", "everywhere", "reason"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        ahead = self.clinic.slots.filter(starts_at__gt=timezone.now()).order_by().values("practitioner")
        here = Q(pk__in=self.clinic.templates.values("practitioner")) | Q(pk__in=ahead)
        works_here = Practitioner.objects.filter(here, is_active=True)
        self.fields["practitioner"].queryset = works_here  # type: ignore[attr-defined]

    def complete(self, exception: ScheduleException) -> None:
        exception.kind = ScheduleException.Kind.LEAVE
        exception.practitioner = self.cleaned_data["practitioner"]
        if not self.cleaned_data.get("everywhere"):
            exception.clinic = self.clinic
            return
        mine = set(clinics_of(self.user, Can.MANAGE_SUPPLY))
        if foreign := [c for c in edits.clinics_with(exception.practitioner_id) if c not in mine]:
            names = ", ".join(str(clinic) for clinic in foreign)
            sentence = _(
                "You are not on the staff of %(names)s. Untick this to enter the leave for here only."
            )
            raise ValidationError({"everywhere": ValidationError(sentence, params={"names": names})})


class ClosureForm(DaysForm):
    type = forms.ChoiceField(
        label=_("What"),
        choices=[(Kind.CLOSURE, _("Clinic closed")), (Kind.PUBLIC_HOLIDAY, _("Public holiday"))],
        help_text=_("Extra hours may lie on a public holiday, not in a closure."),
    )
    field_order = ["type", "first", "last", "from_time", "until_time", "reason"]

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        return Kind(self.cleaned_data["type"])

    def complete(self, exception: ScheduleException) -> None:
        exception.kind, exception.clinic = self.cleaned_data["type"], self.clinic


class ExtraHoursForm(DaysForm):
    kind = Kind.EXTRA_HOURS
    last = None  # type: ignore[assignment]
    practitioner = forms.ModelChoiceField(Practitioner.objects.filter(is_active=True), label=_("Who"))
    station = forms.ModelChoiceField(Station.objects.none(), label=_("Station"))
    slot_minutes = forms.IntegerField(
        label=_("Slot length (minutes)"), min_value=5, max_value=240, initial=20
    )
    first = IsoDateField(label=_("Day"), widget=DayInput())
    from_time = ClockField(label=_("From"))
    until_time = ClockField(label=_("Until"))
    field_order = ["practitioner", "station", "first", "from_time", "until_time", "slot_minutes", "reason"]

    def complete(self, exception: ScheduleException) -> None:
        given = self.cleaned_data
        exception.kind, exception.clinic = ScheduleException.Kind.EXTRA_HOURS, self.clinic
        exception.practitioner, exception.station = given["practitioner"], given["station"]
        exception.slot_minutes = given["slot_minutes"]


class HoursForm(EditForm):
    """New hours, or those of `template` changed."""

    kind = Kind.HOURS
    practitioner = forms.ModelChoiceField(Practitioner.objects.filter(is_active=True), label=_("Who"))
    station = forms.ModelChoiceField(Station.objects.none(), label=_("Station"))
    weekdays = forms.TypedMultipleChoiceField(
        label=_("Weekdays"),
        choices=[(number + 1, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
    )
    starts_at = ClockField(label=_("From"))
    ends_at = ClockField(label=_("Until"))
    breaks = forms.CharField(
        label=_("Breaks"), required=False, max_length=120, help_text=_("For example 12:00–13:00, 15:00–15:20")
    )
    slot_minutes = forms.IntegerField(
        label=_("Slot length (minutes)"), min_value=5, max_value=240, initial=20
    )
    valid_from = IsoDateField(label=_("Valid from"), widget=DayInput())
    valid_until = IsoDateField(
        label=_("Valid until"), widget=DayInput(), required=False, help_text=_("The last day.")
    )
    every_n_weeks = forms.IntegerField(
        label=_("Every n-th week"),
        min_value=1,
        max_value=52,
        initial=1,
        help_text=_("Counted from “valid from”."),
    )
    overbook_limit = forms.IntegerField(
        label=_("Overbookings a day"),
        min_value=0,
        max_value=20,
        initial=2,
        required=False,
        help_text=_("How many visits staff may add to a day of these hours on purpose. 0: none."),
    )

    def __init__(self, *args: Any, template: ScheduleTemplate | None = None, **options: Any) -> None:
        self.template = template
        if template:
            options["initial"] = {
                name: getattr(template, name)
                for name in self.base_fields
                if name not in ("breaks", "practitioner", "station")
            } | {
                "practitioner": template.practitioner_id,
                "station": template.station_id,
                "breaks": ", ".join(str(pause) for pause in template.breaks.order_by("starts_at")),
            }
        super().__init__(*args, **options)

    def clean_overbook_limit(self) -> int:
        given: int | None = self.cleaned_data["overbook_limit"]
        return (
            int(self.get_initial_for_field(self.fields["overbook_limit"], "overbook_limit"))
            if given is None
            else given
        )

    def clean_breaks(self) -> list[tuple[dt.time, dt.time]]:
        text = self.cleaned_data["breaks"]
        found = BREAK.findall(text)
        if BREAK.sub("", text).strip(" ,;") or len(found) > MAX_BREAKS:
            raise ValidationError(_("Please write breaks like 12:00–13:00, 15:00–15:20."))
        try:
            return [(dt.time.fromisoformat(f"{a:0>5}"), dt.time.fromisoformat(f"{b:0>5}")) for a, b in found]
        except ValueError as error:
            raise ValidationError(_("Please write breaks like 12:00–13:00, 15:00–15:20.")) from error

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if self.errors:
            return given
        made = ScheduleTemplate(pk=self.template.pk if self.template else None, clinic=self.clinic)
        for name in self.fields:
            if name != "breaks":
                setattr(made, name, given[name])
        try:
            made.full_clean(validate_unique=False)
        except ValidationError as problem:
            raise ValidationError(problem.messages) from problem
        breaks = [TemplateBreak(template=made, starts_at=a, ends_at=b) for a, b in given["breaks"]]
        try:
            edits.check_breaks(breaks)
        except ValidationError as problem:
            raise ValidationError({"breaks": problem.messages}) from problem
        edits.check_length(made, breaks)
        made.check_overlap(breaks)
        self.made = made
        return given

    def payload(self) -> dict[str, Any]:
        return edits.hours_payload(self.made, self.cleaned_data["breaks"])


class EndHoursForm(EditForm):
    kind = Kind.END_HOURS
    last = IsoDateField(label=_("Last day"), widget=DayInput())

    def __init__(self, *args: Any, template: ScheduleTemplate, **options: Any) -> None:
        self.template = template
        super().__init__(*args, **options)

    def clean_last(self) -> dt.date:
        last: dt.date = self.cleaned_data["last"]
        if last < self.template.valid_from:
            raise ValidationError(
                _("These hours begin later than this. Choose their first day or a later one.")
            )
        if last < self.clinic.today() - dt.timedelta(1):
            raise ValidationError(
                _("This day is over: what was then stays. Choose yesterday or a later day.")
            )
        return last

    def payload(self) -> dict[str, Any]:
        return {
            "template": self.template.pk,
            "practitioner": self.template.practitioner_id,
            "valid_until": self.cleaned_data["last"].isoformat(),
        }


class PlanForm(forms.Form):
    """The decision on a plan as it was shown: which bookings move, the others are left open."""

    seen = forms.DateTimeField(widget=forms.HiddenInput, input_formats=[SEEN])
    move = forms.TypedMultipleChoiceField(coerce=int, required=False)
    ask_open = forms.BooleanField(required=False)

    def __init__(self, *args: Any, proposals: list[int], **options: Any) -> None:
        super().__init__(*args, **options)
        self.proposals = proposals
        self.fields["move"].choices = [(pk, pk) for pk in proposals]  # type: ignore[attr-defined]

    @property
    def left_open(self) -> list[int]:
        return sorted(set(self.proposals) - set(self.cleaned_data["move"]))


class TimeForm(forms.Form):
    """A time for a booking, as "practitioner/start": the slot may not exist yet."""

    time = forms.RegexField(TIME)

    def clean_time(self) -> tuple[int, dt.datetime]:
        said = TIME.fullmatch(self.cleaned_data["time"])
        try:
            return int(said[1]), dt.datetime.fromisoformat(said[2])  # type: ignore[index]
        except (TypeError, ValueError) as error:
            raise ValidationError(_("This is not a time.")) from error
