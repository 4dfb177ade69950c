"""Why a time is not offered, in sentences: the predicates of search.py one by one. Names nobody but practitioners."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from clinic_booking.templatetags.page import local_date, local_time, place
from patients.models import Patient
from scheduling import fit, search
from scheduling.inventory import hours_of, planned_on, public_holidays
from scheduling.models import (
    Booking,
    Clinic,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Service,
    SessionTicket,
    Slot,
)

Kind = ScheduleException.Kind


@dataclass(frozen=True)
class Explanation:
    """`reasons` is empty where the time is offered; `slot` None where there is no slot that begins then."""

    reasons: list[str]
    slot: Slot | None = None

    @property
    def is_offered(self) -> bool:
        return not self.reasons


class Flags(NamedTuple):
    """The predicates of a search for one start: it lists the start as bookable where all hold and nothing is lacking."""

    is_ahead: bool
    right_station: bool
    is_delivered: bool
    is_joined: bool
    long_enough: bool
    all_free: bool
    reaches: dt.datetime
    lacking: list[str]


FLAGS = f"""
WITH {search.SERVICE}, d AS (SELECT * FROM scheduling_slot WHERE id = %(slot)s), slots AS (
    SELECT s.*, {search.HELD} AS held, v.occupied FROM d, service v, scheduling_slot s
    WHERE (s.clinic_id, s.practitioner_id, s.station_id) = (d.clinic_id, d.practitioner_id, d.station_id)
      AND s.starts_at >= d.starts_at AND s.starts_at < d.starts_at + v.occupied
), reach AS (
    SELECT clinic_id, min(starts_at) AS starts_at, max(ends_at) AS reaches, sum(ends_at - starts_at) AS filled,
           min(occupied) AS occupied, bool_and({search.FREE}) AS all_free
    FROM slots GROUP BY clinic_id
)
SELECT (SELECT {search.AHEAD} FROM d s), (SELECT {search.RIGHT_STATION} FROM d, service v),
       (SELECT {search.DELIVERED} FROM d, service v), {search.JOINED}, {search.LONG_ENOUGH}, all_free, reaches,
       ARRAY({search.LACKING})
FROM reach
"""  # noqa: S608  (constants)

CHAIN = f"""
SELECT s.*, {search.HELD} AS held FROM scheduling_slot d JOIN scheduling_slot s
    ON (s.clinic_id, s.practitioner_id, s.station_id) = (d.clinic_id, d.practitioner_id, d.station_id)
WHERE d.id = %(slot)s AND s.starts_at >= d.starts_at AND s.starts_at < d.starts_at + %(occupied)s::interval
ORDER BY s.starts_at
"""  # noqa: S608  (constants)


def why_not(
    *,
    service: Service,
    clinic: Clinic,
    practitioner: Practitioner,
    starts_at: dt.datetime,
    patient: Patient | None = None,
    session: SessionTicket | None = None,
) -> Explanation:
    """Every reason why the service is not offered at this start; a patient's and a session's own ones with them."""
    slot = (
        Slot.objects.filter(clinic=clinic, practitioner=practitioner, starts_at=starts_at)
        .select_related("clinic", "practitioner", "station")
        .first()
    )
    found = _of_slot(slot, service) if slot else _without_slot(clinic, practitioner, starts_at)
    time = fit.Time(
        starts_at, starts_at + dt.timedelta(minutes=service.duration_minutes), clinic, practitioner.pk
    )
    return Explanation([*found, *_of_patient(time, patient, session)], slot)


# -- The slot ------------------------------------------------------------------------------------


def _of_slot(slot: Slot, service: Service) -> Iterator[str]:
    flags, clinic = _flags(slot, service), slot.clinic
    if not clinic.is_active:
        yield _("%(clinic)s is not open for booking.") % {"clinic": place(clinic.name)}
    if not flags.is_ahead:
        yield _("This time is already over.")
    names = {"name": slot.practitioner.name, "service": service.name, "station": slot.station.name}
    if not flags.is_delivered:
        yield _("%(name)s does not offer %(service)s.") % names
    if not flags.right_station:
        kinds = {"has": slot.station.kind, "needs": service.station_kind}
        yield _("%(station)s is for “%(has)s”; the service needs “%(needs)s”.") % (names | kinds)
    if not flags.all_free:
        yield from _taken(slot, service)
    ends = {"time": local_time(flags.reaches, clinic), "minutes": int(service.occupied.total_seconds() // 60)}
    if not flags.is_joined:
        yield _("There is a gap in the hours: the service takes %(minutes)d minutes without a break.") % ends
    elif not flags.long_enough:
        yield (
            _("Too short: the service takes %(minutes)d minutes, and the hours end or pause at %(time)s.")
            % ends
        )
    until = local_time(slot.starts_at + service.occupied, clinic)
    for kind in flags.lacking:
        yield _("No “%(kind)s” is free from %(time)s to %(until)s.") % {
            "kind": kind,
            "time": local_time(slot.starts_at, clinic),
            "until": until,
        }


def _flags(slot: Slot, service: Service) -> Flags:
    with connection.cursor() as cursor:
        cursor.execute(FLAGS, {"slot": slot.pk, "service": service.pk})
        return Flags._make(cursor.fetchone())


def _taken(first: Slot, service: Service) -> Iterator[str]:
    """Each slot of the visit that has a claim."""
    chain: Any = Slot.objects.raw(CHAIN, {"slot": first.pk, "occupied": service.occupied})
    for slot in chain:
        at = {"time": local_time(slot.starts_at, first.clinic), "reason": slot.block_reason}
        if slot.booking_id:
            yield _("%(time)s is booked.") % at
        elif slot.is_blocked and slot.block_reason:
            yield _("%(time)s is blocked: %(reason)s.") % at
        elif slot.is_blocked:
            yield _("%(time)s is blocked.") % at
        elif slot.held:
            until = {"until": local_time(slot.held_until, first.clinic)}
            yield _("%(time)s is on hold until %(until)s.") % (at | until)


# -- The patient ---------------------------------------------------------------------------------


def _of_patient(time: fit.Time, patient: Patient | None, session: SessionTicket | None) -> Iterator[str]:
    if patient:
        visits = Booking.objects.live().filter(
            patient=patient, starts_at__lt=time.ends_at, ends_at__gt=time.starts_at
        )
        for visit in visits.select_related("clinic"):
            yield _("The patient has a visit from %(start)s to %(end)s at %(clinic)s.") % {
                "start": local_time(visit.starts_at, visit.clinic),
                "end": local_time(visit.ends_at, visit.clinic),
                "clinic": place(visit.clinic.name),
            }
    if session:
        rules = fit.read_rules([session.request_id])[session.request_id](session.pk)
        yield from (str(reason.sentence) for reason in rules.hard_violations(time))


# -- No slot begins then -------------------------------------------------------------------------


def _without_slot(clinic: Clinic, who: Practitioner, at: dt.datetime) -> list[str]:
    here = {"name": who.name, "clinic": place(clinic.name), "time": local_time(at, clinic)}
    here["date"] = local_date(at, clinic)
    around = (
        Slot.objects.filter(practitioner=who, starts_at__lt=at, ends_at__gt=at)
        .select_related("clinic")
        .first()
    )
    if around and around.clinic_id == clinic.pk:
        start = {"start": local_time(around.starts_at, clinic), "end": local_time(around.ends_at, clinic)}
        return [_("Times begin with a slot; this one runs from %(start)s to %(end)s.") % start]
    if around:
        return [_("%(name)s works at %(clinic)s then.") % (here | {"clinic": place(around.clinic.name)})]
    day = clinic.local_date(at)
    planned = {
        spec.starts_at for spec in planned_on(clinic=clinic, practitioners=[who.pk], first=day, days=1)
    }
    if at in planned:
        last = Slot.objects.filter(clinic=clinic, practitioner=who).order_by("starts_at").last()
        if last is None or last.starts_at < at:
            return [_("The hours of %(date)s are planned, but their slots are not made yet.") % here]
        return [
            _("The hours say a slot, but it was not made: another one was in its way, or they changed since.")
        ]
    if reasons := list(_unplanned(clinic, who, at, here)):
        return reasons
    return [_("No slot of %(name)s begins at %(time)s.") % here]


def _unplanned(clinic: Clinic, who: Practitioner, at: dt.datetime, here: dict[str, str]) -> Iterator[str]:
    if not who.is_active:
        yield _("%(name)s does not work here any more.") % here
    for exception in _absences(clinic, who, at):
        if exception.kind == Kind.LEAVE:
            yield _("%(name)s is on leave.") % here
        elif exception.kind == Kind.PUBLIC_HOLIDAY:
            yield _("It is a public holiday: %(reason)s.") % {"reason": exception.reason or here["date"]}
        else:
            yield _("%(clinic)s is closed then: %(reason)s.") % (here | {"reason": exception.reason or "–"})
    day = clinic.local_date(at)
    if day in public_holidays(clinic, day, 1):
        yield _("It is a public holiday.")
    hours = [t for t in _templates(clinic, who) if _is_on(t, day)]
    if not hours:
        yield _("%(name)s has no hours at %(clinic)s on %(date)s.") % here
        return
    yield from _outside(hours, at.astimezone(clinic.zone).time(), here)


def _absences(clinic: Clinic, who: Practitioner, at: dt.datetime) -> Any:
    concerned = (Q(clinic=clinic) | Q(clinic=None)) & (Q(practitioner=who) | Q(practitioner=None))
    exceptions = ScheduleException.objects.exclude(kind=Kind.EXTRA_HOURS).filter(concerned, withdrawn_at=None)
    return exceptions.filter(starts_at__lte=at, ends_at__gt=at).order_by("pk")


def _templates(clinic: Clinic, who: Practitioner) -> Any:
    return clinic.templates.filter(practitioner=who).prefetch_related("breaks").order_by("starts_at")


def _is_on(template: ScheduleTemplate, day: dt.date) -> bool:
    return hours_of(template).covers(day)


def _outside(hours: list[ScheduleTemplate], time: dt.time, here: dict[str, str]) -> Iterator[str]:
    inside = [t for t in hours if t.starts_at <= time < t.ends_at]
    if not inside:
        spans = ", ".join(f"{t.starts_at:%H:%M}–{t.ends_at:%H:%M}" for t in hours)
        yield _("%(time)s is outside the hours of %(name)s: %(spans)s.") % (here | {"spans": spans})
    for template in inside:
        for pause in template.breaks.all():
            if pause.starts_at <= time < pause.ends_at:
                span = {"span": f"{pause.starts_at:%H:%M}–{pause.ends_at:%H:%M}"}
                yield _("%(name)s has a break: %(span)s.") % (here | span)
