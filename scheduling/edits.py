"""What a change plan writes: the payload as rows, checked, and how far the change reaches. Takes no locks."""

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking.errors import NamedError
from scheduling.inventory import BATCH_DAYS, hours_of, planned_on
from scheduling.models import (
    ChangePlan,
    Clinic,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Slot,
    Station,
    TemplateBreak,
)

Kind = ChangePlan.Kind
TOO_SHORT = gettext_lazy("Not one slot of this length fits into these hours.")
EXCEPTIONS = {Kind.LEAVE, Kind.CLOSURE, Kind.PUBLIC_HOLIDAY, Kind.EXTRA_HOURS}


class EditRefused(NamedError):
    """The edit was right when it was entered and is not any more."""

    status = 409

    def __init__(self, problem: ValidationError) -> None:
        super().__init__()
        self.sentence = " ".join(problem.messages)


class Absent(NamedTuple):
    """When nobody of the scope is there, whatever slots there are."""

    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose slots may change where and when: local days of each clinic, as far as slots are made."""

    clinics: list[Clinic]
    practitioners: Collection[int] | None  # None: everybody
    first: dt.date
    last: dt.date
    absent: Absent | None = None

    @property
    def days(self) -> int:
        return max(0, (self.last - self.first).days + 1)

    @property
    def dates(self) -> list[dt.date]:
        return [self.first + dt.timedelta(n) for n in range(self.days)]

    def concerns(self, practitioner_id: int, clinic_id: int) -> bool:
        return (self.practitioners is None or practitioner_id in self.practitioners) and clinic_id in {
            clinic.pk for clinic in self.clinics
        }


# -- Payloads ------------------------------------------------------------------------------------


def hours_payload(template: ScheduleTemplate, breaks: Collection[tuple[dt.time, dt.time]]) -> dict[str, Any]:
    return {
        "template": template.pk,
        "practitioner": template.practitioner_id,
        "station": template.station_id,
        "weekdays": sorted(template.weekdays),
        "slot_minutes": template.slot_minutes,
        "every_n_weeks": template.every_n_weeks,
        "starts_at": template.starts_at.isoformat(),
        "ends_at": template.ends_at.isoformat(),
        "valid_from": template.valid_from.isoformat(),
        "valid_until": template.valid_until.isoformat() if template.valid_until else None,
        "overbook_limit": template.overbook_limit,
        "breaks": [[start.isoformat(), end.isoformat()] for start, end in sorted(breaks)],
    }


def exception_payload(exception: ScheduleException) -> dict[str, Any]:
    return {
        "practitioner": exception.practitioner_id,
        "clinic": exception.clinic_id,
        "station": exception.station_id,
        "slot_minutes": exception.slot_minutes,
        "starts_at": exception.starts_at.isoformat(),
        "ends_at": exception.ends_at.isoformat(),
        "reason": exception.reason,
    }


def exception_of(plan: ChangePlan) -> ScheduleException:
    said = plan.payload
    return ScheduleException(
        kind=plan.kind,
        practitioner_id=said["practitioner"],
        clinic_id=said["clinic"],
        station_id=said["station"],
        slot_minutes=said["slot_minutes"],
        starts_at=dt.datetime.fromisoformat(said["starts_at"]),
        ends_at=dt.datetime.fromisoformat(said["ends_at"]),
        reason=said["reason"],
    )


def template_of(plan: ChangePlan) -> ScheduleTemplate:
    said = plan.payload
    stored = ScheduleTemplate.objects.filter(pk=said["template"]).first() if said["template"] else None
    if said["template"] and stored is None:
        raise ValidationError(_("These working hours do not exist any more."))
    template = stored or ScheduleTemplate(clinic=plan.clinic)
    if plan.kind == Kind.END_HOURS:
        template.valid_until = dt.date.fromisoformat(said["valid_until"])
        return template
    template.practitioner_id, template.station_id = said["practitioner"], said["station"]
    template.weekdays, template.every_n_weeks = said["weekdays"], said["every_n_weeks"]
    template.slot_minutes = said["slot_minutes"]
    # A draft that was made before there was such a limit says nothing of it.
    template.overbook_limit = said.get("overbook_limit", template.overbook_limit)
    template.starts_at, template.ends_at = (dt.time.fromisoformat(said[n]) for n in ("starts_at", "ends_at"))
    template.valid_from = dt.date.fromisoformat(said["valid_from"])
    template.valid_until = dt.date.fromisoformat(said["valid_until"]) if said["valid_until"] else None
    return template


def breaks_of(plan: ChangePlan, template: ScheduleTemplate) -> list[TemplateBreak]:
    return [
        TemplateBreak(
            template=template, starts_at=dt.time.fromisoformat(start), ends_at=dt.time.fromisoformat(end)
        )
        for start, end in plan.payload.get("breaks", [])
    ]


# -- Writing -------------------------------------------------------------------------------------


def write(plan: ChangePlan) -> Scope:
    """Write the edit into the caller's transaction; says how far it reaches. Raises EditRefused."""
    try:
        return WRITERS.get(Kind(plan.kind), _write_exception)(plan)
    except ValidationError as problem:
        raise EditRefused(problem) from problem


def _write_hours(plan: ChangePlan) -> Scope:
    template = template_of(plan)
    before = template.practitioner_id
    if template.pk:
        before = ScheduleTemplate.objects.values_list("practitioner", flat=True).get(pk=template.pk)
    template.full_clean()
    template.save()
    if plan.kind == Kind.HOURS:
        breaks = breaks_of(plan, template)
        check_breaks(breaks)
        check_length(template, breaks)
        template.check_overlap(breaks)
        template.breaks.all().delete()
        TemplateBreak.objects.bulk_create(breaks)
    return reach(clinics=[plan.clinic], practitioners={before, template.practitioner_id})


def _write_exception(plan: ChangePlan) -> Scope:
    exception = exception_of(plan)
    check_exception(exception)
    exception.save()
    return scope_of(exception)


def _remove(plan: ChangePlan) -> Scope:
    """Extra hours stay as withdrawn: the times that somebody has keep their origin until they are free."""
    exception = (
        ScheduleException.objects.filter(pk=plan.payload["exception"], withdrawn_at=None)
        .select_related("clinic")
        .first()
    )
    if exception is None:
        raise ValidationError(_("This entry does not exist any more."))
    scope = scope_of(exception)
    if exception.kind == ScheduleException.Kind.EXTRA_HOURS:
        exception.withdrawn_at = timezone.now()
        exception.save(update_fields=["withdrawn_at"])
    else:
        exception.delete()
    return Scope(**vars(scope) | {"absent": None})


def _saved(plan: ChangePlan) -> Scope:
    """The admin has written it already."""
    said = plan.payload
    clinics = Clinic.objects.filter(pk__in=said["clinics"]).order_by("pk")
    first, last = (dt.date.fromisoformat(said[name]) if said[name] else None for name in ("first", "last"))
    return reach(clinics=list(clinics), practitioners=said["practitioners"], first=first, last=last)


WRITERS: dict[Kind, Callable[[ChangePlan], Scope]] = {
    Kind.HOURS: _write_hours,
    Kind.END_HOURS: _write_hours,
    Kind.REMOVE: _remove,
    Kind.SAVED: _saved,
}


# -- Checks shared with the forms ----------------------------------------------------------------


def check_breaks(breaks: Collection[TemplateBreak]) -> None:
    last = None
    for pause in sorted(breaks, key=lambda pause: pause.starts_at):
        if pause.ends_at <= pause.starts_at:
            raise ValidationError(_("A break must end after it starts."))
        pause.clean()
        if last and pause.starts_at < last.ends_at:
            raise ValidationError(
                _("The breaks %(one)s and %(other)s overlap."), params={"one": last, "other": pause}
            )
        last = pause


def check_exception(exception: ScheduleException) -> None:
    """Raises ValidationError. Besides what the model says: extra hours do not lie on other hours or on leave."""
    exception.full_clean()
    if exception.kind == ScheduleException.Kind.EXTRA_HOURS:
        if exception.ends_at - exception.starts_at < dt.timedelta(minutes=exception.slot_minutes):
            raise ValidationError(TOO_SHORT)
        check_extra_hours(exception)


def check_length(template: ScheduleTemplate, breaks: Collection[TemplateBreak]) -> None:
    """Raises ValidationError for hours of which the breaks leave no slot."""
    if not hours_of(template, breaks).grid():
        raise ValidationError(TOO_SHORT)


def check_extra_hours(extra: ScheduleException) -> None:
    assert extra.clinic
    span = Q(starts_at__lt=extra.ends_at, ends_at__gt=extra.starts_at, withdrawn_at=None)
    others = ScheduleException.objects.filter(span).exclude(pk=extra.pk)
    away = others.filter(kind=ScheduleException.Kind.LEAVE, practitioner=extra.practitioner_id)
    if away.filter(Q(clinic=extra.clinic) | Q(clinic=None)).exists():
        raise ValidationError(_("%(who)s is on leave at this time."), params={"who": extra.practitioner})
    if others.filter(kind=ScheduleException.Kind.CLOSURE, clinic=extra.clinic).exists():
        raise ValidationError(_("The clinic is closed at this time."))
    same = Q(practitioner=extra.practitioner_id) | Q(station=extra.station_id)
    for other in others.filter(same, kind=ScheduleException.Kind.EXTRA_HOURS).select_related("clinic")[:1]:
        raise ValidationError(
            _("There are extra hours from %(start)s to %(end)s already."),
            params={"start": other.shown(other.starts_at), "end": other.shown(other.ends_at)},
        )
    _check_against_hours(extra)


def _check_against_hours(extra: ScheduleException) -> None:
    """Hours on a public holiday do not count, nor do breaks: what matters is the time really planned."""
    assert extra.clinic
    busy = ScheduleTemplate.objects.filter(
        Q(practitioner=extra.practitioner_id) | Q(station=extra.station_id)
    ).select_related("clinic")
    for clinic in {template.clinic for template in busy}:
        who = {template.practitioner_id for template in busy if template.clinic == clinic}
        first, last = (clinic.local_date(at) for at in (extra.starts_at, extra.ends_at))
        specs = planned_on(clinic=clinic, practitioners=who, first=first, days=(last - first).days + 1)
        for spec in specs:
            meets = spec.starts_at < extra.ends_at and extra.starts_at < spec.ends_at
            mine = spec.exception_id is not None and spec.exception_id == extra.pk
            if meets and not mine and extra.practitioner_id == spec.practitioner_id:
                raise ValidationError(_("These hours overlap the regular hours of this practitioner."))
            if meets and not mine and extra.station_id == spec.station_id:
                raise ValidationError(_("The station is in use by somebody else's hours then."))


# -- How far a change reaches --------------------------------------------------------------------


def scope_of(exception: ScheduleException) -> Scope:
    who = [exception.practitioner_id] if exception.practitioner_id else None
    clinics = [exception.clinic] if exception.clinic else clinics_with(exception.practitioner_id)
    end = exception.ends_at - dt.timedelta(microseconds=1)
    # It may be another day where the next clinic is.
    first = min((clinic.local_date(exception.starts_at) for clinic in clinics), default=None)
    last = max((clinic.local_date(end) for clinic in clinics), default=None)
    absent = None
    if exception.kind != ScheduleException.Kind.EXTRA_HOURS:
        absent = Absent(exception.starts_at, exception.ends_at)
    return reach(clinics=clinics, practitioners=who, first=first, last=last, absent=absent)


def clinics_with(practitioner_id: int | None) -> list[Clinic]:
    """Where the practitioner works or has times ahead."""
    ahead = Slot.objects.filter(practitioner=practitioner_id, starts_at__gt=timezone.now())
    hours = ScheduleTemplate.objects.filter(practitioner=practitioner_id)
    works = Q(pk__in=ahead.values("clinic")) | Q(pk__in=hours.values("clinic"))
    return list(Clinic.objects.filter(works).order_by("pk"))


def reach(
    *,
    clinics: list[Clinic],
    practitioners: Collection[int] | None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    absent: Absent | None = None,
) -> Scope:
    """From today to the last day for which slots are made: `generate_slots` goes on from there."""
    today = min((clinic.today() for clinic in clinics), default=timezone.localdate())
    made = Slot.objects.filter(clinic__in=clinics, starts_at__gt=timezone.now()).aggregate(Max("starts_at"))
    days = [clinic.local_date(made["starts_at__max"]) for clinic in clinics if made["starts_at__max"]]
    horizon = max([*days, today + dt.timedelta(BATCH_DAYS - 1)])
    return Scope(
        clinics=clinics,
        practitioners=practitioners,
        first=max(first or today, today),
        last=min(last or horizon, horizon),
        absent=absent,
    )


# -- In words ------------------------------------------------------------------------------------


def describe(plan: ChangePlan) -> str:
    """ "Leave · Dr Lim · Mon 23 Nov 2026" for headings and lists."""
    said = plan.payload
    parts = [str(plan.get_kind_display())]
    if who := said.get("practitioner"):
        parts.append(str(Practitioner.objects.get(pk=who)))
    if plan.kind == Kind.HOURS:
        parts.append(", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in said["weekdays"]))
        parts.append(f"{said['starts_at'][:5]}–{said['ends_at'][:5]}")
        parts.append(str(Station.objects.get(pk=said["station"]).name))
    elif plan.kind == Kind.END_HOURS:
        parts.append(_("last day %(day)s") % {"day": date_format(dt.date.fromisoformat(said["valid_until"]))})
    elif "starts_at" in said:
        parts.append(
            span_text(plan.clinic, *(dt.datetime.fromisoformat(said[n]) for n in ("starts_at", "ends_at")))
        )
    if text := said.get("text") or said.get("reason"):
        parts.append(text)
    return " · ".join(parts)


def span_text(clinic: Clinic, starts_at: dt.datetime, ends_at: dt.datetime) -> str:
    """Whole days as days, parts of a day with their times, by the clinic's clock."""
    start, end = starts_at.astimezone(clinic.zone), ends_at.astimezone(clinic.zone)
    if start.time() == end.time() == dt.time():
        last = end.date() - dt.timedelta(1)
        days = [date_format(day, "D j M Y") for day in (start.date(), last)]
        return days[0] if start.date() == last else f"{days[0]} – {days[1]}"
    if start.date() == end.date():
        return f"{date_format(start, 'D j M Y')}, {start:%H:%M}–{end:%H:%M}"
    return f"{date_format(start, 'D j M Y')}, {start:%H:%M} – {date_format(end, 'D j M Y')}, {end:%H:%M}"
