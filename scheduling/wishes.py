"""What somebody asks of the wizard: the form, read from an address, and the `Wish` it means."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.dates import WEEKDAYS
from django.utils.timezone import localdate
from django.utils.translation import gettext_lazy as _

from scheduling.forms import IsoDateField
from scheduling.itineraries import Step, Wish
from scheduling.models import Clinic, Practitioner, Service

MAX_STEPS = 6
MAX_PARTS = 24
DAYS_AHEAD = 180
HOURS = [("", _("Any time"))] + [(f"{hour:02d}:00", f"{hour:02d}:00") for hour in range(8, 21)]
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Row:
    """A service of the form, with those who offer it."""

    number: int
    slug: str
    offered_by: list[tuple[Practitioner, bool]]  # and whether chosen

    @property
    def is_named(self) -> bool:
        return any(chosen for _who, chosen in self.offered_by)


class HourField(forms.TimeField):
    """Any time may stand in the address; the page offers full hours."""

    widget = forms.Select(choices=HOURS)
    default_error_messages = {"invalid": _("This is not a time such as 17:00.")}

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, input_formats=["%H:%M"], **options)


def _number(
    label: Any, choices: list[tuple[int, Any]], least: int, most: int, first: int
) -> forms.IntegerField:
    widget = forms.Select(choices=choices)
    return forms.IntegerField(
        label=label, min_value=least, max_value=most, required=False, initial=first, widget=widget
    )


class WishForm(forms.Form):
    """Empty fields mean what the page shows first. `service` is repeated, `with0` names those for the first service."""

    date = IsoDateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    days = _number(
        _("Within"), [(3, _("3 days")), (7, _("1 week")), (14, _("2 weeks")), (28, _("4 weeks"))], 1, 60, 14
    )
    after = HourField(label=_("Not before"))
    before = HourField(label=_("Over by"))
    weekday = forms.TypedMultipleChoiceField(
        label=_("Weekdays"),
        choices=[(number + 1, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": _("Weekdays are 1 (Monday) to 7 (Sunday).")},
    )
    clinic = forms.ModelMultipleChoiceField(
        Clinic.objects.filter(is_active=True),
        label=_("Clinics"),
        to_field_name="slug",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": _("There is no such clinic.")},
    )
    min_wait = _number(
        _("At least between"),
        [(0, _("no break")), (15, "15 min"), (30, "30 min"), (60, _("1 hour"))],
        0,
        720,
        0,
    )
    max_wait = _number(
        _("At most between"),
        [(15, "15 min"), (30, "30 min"), (60, _("1 hour")), (120, _("2 hours")), (1440, _("the whole day"))],
        0,
        1440,
        30,
    )
    same_day = forms.ChoiceField(
        label=_("On one day?"),
        choices=[(YES, _("Yes, all on one day")), (NO, _("Different days are fine"))],
        required=False,
    )
    same_clinic = forms.ChoiceField(
        label=_("At one clinic?"),
        choices=[(YES, _("Yes, all at one clinic")), (NO, _("A change of clinic is fine"))],
        required=False,
    )
    times = forms.IntegerField(
        label=_("How many times?"), min_value=1, max_value=MAX_PARTS, required=False, initial=1
    )
    every = _number(
        _("How often?"),
        [(1, _("every day")), (7, _("every week")), (14, _("every 2 weeks")), (28, _("every 4 weeks"))],
        1,
        60,
        7,
    )

    def __init__(self, data: QueryDict, *, services: QuerySet[Service]) -> None:
        filled = data.copy()
        for name, field in self.base_fields.items():
            if field.initial is not None and not filled.get(name):
                filled[name] = str(field.initial)
        if not filled.get("date"):
            filled["date"] = localdate().isoformat()
        super().__init__(filled)
        self.asked = data
        self.services = list(services)
        self.slugs = [slug for slug in data.getlist("service") if slug]
        self.is_asked = bool(self.slugs) or "find" in data
        self.is_growing = "add" in data
        by_slug = {service.slug: service for service in self.services}
        self.chosen = [by_slug[slug] for slug in self.slugs if slug in by_slug]
        self.named = [self._named(number) for number in range(len(self.slugs))]
        self.is_unknown = False

    def _named(self, number: int) -> set[int]:
        given = self.asked.getlist(f"with{number}")
        return {int(pk) for pk in given if pk.isascii() and pk.isdigit() and len(pk) < 19}

    @property
    def when_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("date", "days", "after", "before")]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("max_wait", "min_wait", "same_day", "same_clinic", "times", "every")]

    @property
    def choice_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("weekday", "clinic")]

    @property
    def has_more(self) -> bool:
        """Something beyond services and days is asked for, or wrong."""
        names = [field.name for field in (*self.more_fields, *self.choice_fields)]
        return (
            any(self.errors.get(name) or self._is_changed(name) for name in names) if self.is_asked else False
        )

    def _is_changed(self, name: str) -> bool:
        given, initial = self.data.get(name), self.fields[name].initial
        return bool(given) and given not in (YES, str(initial))

    def rows(self) -> Iterator[Row]:
        """The services chosen so far and an empty one: two at first."""
        offered: dict[int, list[Practitioner]] = {}
        for service in Service.objects.filter(pk__in=[s.pk for s in self.chosen]).prefetch_related(
            "practitioners"
        ):
            offered[service.pk] = [who for who in service.practitioners.all() if who.is_active]
        by_slug = {service.slug: service.pk for service in self.chosen}
        for number, slug in enumerate(self.slugs[:MAX_STEPS]):
            people = offered.get(by_slug.get(slug, 0), [])
            yield Row(number, slug, [(who, who.pk in self.named[number]) for who in people])
        empty = max(2 - len(self.slugs), int(self.is_growing))
        for number in range(len(self.slugs), min(len(self.slugs) + empty, MAX_STEPS)):
            yield Row(number, "", [])

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        self._check_services()
        date, today = found.get("date"), min((c.today() for c in self.clinics()), default=localdate())
        if date and date < today:
            self.add_error("date", _("This day is over. Please choose a later one."))
        elif date and date > today + dt.timedelta(DAYS_AHEAD):
            self.add_error("date", _("Times that far ahead cannot be booked yet."))
        found["date"] = date or today
        after, before = found.get("after"), found.get("before")
        if after and before and before <= after:
            self.add_error("before", _("It cannot be over before it may begin."))
        least, most = found.get("min_wait"), found.get("max_wait")
        if least is not None and most is not None and least > most:
            self.add_error("max_wait", _("The longest break is shorter than the shortest."))
        if len(self.chosen) * (found.get("times") or 1) > MAX_PARTS:
            self.add_error(
                "times",
                ValidationError(
                    _("At most %(most)s appointments can be booked at once."), params={"most": MAX_PARTS}
                ),
            )
        return found

    def _check_services(self) -> None:
        if not self.slugs:
            raise ValidationError(_("Please choose at least one service."), code="none")
        if len(self.slugs) > MAX_STEPS:
            raise ValidationError(_("Please choose at most %(most)s services."), params={"most": MAX_STEPS})
        if len(self.chosen) < len(self.slugs):
            self.is_unknown = True
            raise ValidationError(_("This cannot be booked here. Please choose another service."))

    def clinics(self) -> list[Clinic]:
        """Those chosen, or all."""
        return list(self.cleaned_data.get("clinic") or Clinic.objects.filter(is_active=True))

    def wish(self) -> Wish:
        found = self.cleaned_data
        return Wish(
            steps=tuple(self._step(number) for number in range(len(self.chosen))),
            first=found["date"],
            days=found["days"],
            same_day=found["same_day"] != NO,
            same_clinic=found["same_clinic"] != NO,
            times=found["times"],
            every=found["every"],
        )

    def _step(self, number: int) -> Step:
        found, service = self.cleaned_data, self.chosen[number]
        # Left from another service that was chosen before, a name asks for nothing.
        named = service.practitioners.filter(pk__in=self.named[number]).values_list("pk", flat=True)
        return Step(
            service=service,
            practitioners=frozenset(named if self.named[number] else ()),
            after=found["after"],
            before=found["before"],
            weekdays=frozenset(found["weekday"]),
            min_wait=dt.timedelta(minutes=found["min_wait"]),
            max_wait=dt.timedelta(minutes=found["max_wait"]),
        )
