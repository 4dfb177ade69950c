"""Closing and opening times on the calendar. Where visits are hit it becomes a change plan, to be looked at first."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError
from clinic_booking.models import User
from scheduling import changes, edits, inventory
from scheduling.edits import EditRefused
from scheduling.errors import SlotTaken
from scheduling.locks import database_now
from scheduling.models import Booking, ChangePlan, Clinic, ScheduleException, Slot

Kind = ScheduleException.Kind
LIVE = [Booking.Status.BOOKED, Booking.Status.ARRIVED]


class NothingThere(NamedError):
    status = 422
    sentence = _("There are no hours here. You can add extra times instead.")


class BlockedAlready(NamedError):
    sentence = _("This time is blocked already.")


class NothingBlocked(NamedError):
    status = 422
    sentence = _("Nothing is blocked here.")


class TimeOver(NamedError):
    status = 422
    sentence = _("This time is already over.")


class OneAtATime(NamedError):
    status = 422
    sentence = _("There are visits with several people here. Please block the time of one of them at a time.")


class BeingBooked(NamedError):
    sentence = _("Somebody is booking one of these times right now. Please try again in five minutes.")


class ClosedByPlan(NamedError):
    def __init__(self, exception: ScheduleException) -> None:
        super().__init__()
        said = {"what": exception.get_kind_display(), "until": exception.shown(exception.ends_at)}
        self.sentence = _("%(what)s until %(until)s covers this time. Please end it under Hours.") % said


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a column of the calendar."""

    clinic: Clinic
    practitioner_id: int | None
    station_id: int | None
    starts_at: dt.datetime
    ends_at: dt.datetime

    def slots(self) -> list[Slot]:
        """Those still ahead that lie in it, wholly or in part."""
        found = Slot.objects.filter(
            clinic=self.clinic,
            starts_at__lt=self.ends_at,
            ends_at__gt=self.starts_at,
            starts_at__gt=database_now(),
        )
        if self.practitioner_id:
            found = found.filter(practitioner=self.practitioner_id)
        if self.station_id:
            found = found.filter(station=self.station_id)
        return list(found.select_related("booking").order_by("starts_at", "pk"))


def block(*, span: Span, reason: str, by: User) -> list[Slot] | ChangePlan:
    """Block the free times at once; with visits among them draft the leave that moves these.

    Raises TimeOver, NothingThere, BlockedAlready, BeingBooked, OneAtATime, EditRefused.
    """
    _check_ahead(span)
    slots = span.slots()
    if not slots:
        raise NothingThere
    if any(slot.booking and slot.booking.status in LIVE for slot in slots):
        return _draft_leave(span, {slot.practitioner_id for slot in slots}, reason, by)
    free = [slot.pk for slot in slots if not slot.is_blocked and not slot.booking_id]
    if not free:
        raise BlockedAlready
    try:
        with transaction.atomic(durable=True):
            return inventory.block_slots(slot_ids=free, reason=reason, by=by)
    except SlotTaken as taken:
        raise BeingBooked from taken


def _draft_leave(span: Span, people: Collection[int], reason: str, by: User) -> ChangePlan:
    if len(people) > 1:
        raise OneAtATime
    leave = ScheduleException(
        kind=Kind.LEAVE,
        clinic=span.clinic,
        practitioner_id=next(iter(people)),
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        reason=reason,
    )
    return _draft(leave, by)


def add_times(
    *, span: Span, slot_minutes: int, reason: str, by: User
) -> tuple[ChangePlan, ScheduleException | None]:
    """Extra hours, applied at once unless visits are hit; then there is no exception yet.

    Raises TimeOver, EditRefused.
    """
    _check_ahead(span)
    extra = ScheduleException(
        kind=Kind.EXTRA_HOURS,
        clinic=span.clinic,
        practitioner_id=span.practitioner_id,
        station_id=span.station_id,
        slot_minutes=slot_minutes,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        reason=reason,
    )
    plan = _apply_unless_hit(_draft(extra, by), by)
    made = ScheduleException.objects.filter(
        kind=Kind.EXTRA_HOURS,
        practitioner=span.practitioner_id,
        station=span.station_id,
        starts_at=span.starts_at,
        withdrawn_at=None,
    )
    return plan, made.first() if plan.status == ChangePlan.Status.APPLIED else None


def remove_times(*, exception: ScheduleException, by: User) -> ChangePlan:
    """Take extra hours back; a draft where somebody has booked into them. Raises EditRefused."""
    assert exception.clinic
    span = edits.span_text(exception.clinic, exception.starts_at, exception.ends_at)
    payload = {
        "exception": exception.pk,
        "practitioner": exception.practitioner_id,
        "text": f"{exception.get_kind_display()}, {span}",
    }
    plan = changes.draft_plan(clinic=exception.clinic, kind=ChangePlan.Kind.REMOVE, payload=payload, by=by)
    return _apply_unless_hit(plan, by)


def open_again(*, slots: Sequence[Slot], by: User) -> list[Slot]:
    """Raises ClosedByPlan in leave and closures."""
    for slot in slots:
        if away := _absence(slot):
            raise ClosedByPlan(away)
    with transaction.atomic(durable=True):
        return inventory.unblock_slots(slot_ids=[slot.pk for slot in slots], by=by)


def open_span(*, span: Span, by: User) -> list[Slot]:
    """What is blocked in it. Raises NothingBlocked, ClosedByPlan."""
    blocked = [slot for slot in span.slots() if slot.is_blocked]
    if not blocked:
        raise NothingBlocked
    return open_again(slots=blocked, by=by)


def blocked_around(span: Span) -> list[Slot]:
    """The block that the calendar shows as one: neighbours, blocked for the same reason."""
    here = next((slot for slot in span.slots() if slot.is_blocked), None)
    if here is None:
        return []
    first, until = span.clinic.day_bounds(span.clinic.local_date(here.starts_at))
    same = Slot.objects.filter(
        clinic=span.clinic,
        practitioner=here.practitioner_id,
        starts_at__gte=first,
        starts_at__lt=until,
        is_blocked=True,
        block_reason=here.block_reason,
    ).order_by("starts_at")
    runs: list[list[Slot]] = []
    for slot in same:
        if runs and runs[-1][-1].ends_at == slot.starts_at:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return next(run for run in runs if here in run)


def _check_ahead(span: Span) -> None:
    if span.ends_at <= database_now():
        raise TimeOver


def _draft(exception: ScheduleException, by: User) -> ChangePlan:
    assert exception.clinic
    try:
        edits.check_exception(exception)
    except ValidationError as problem:
        raise EditRefused(problem) from problem
    payload = edits.exception_payload(exception)
    kind = ChangePlan.Kind(exception.kind)
    return changes.draft_plan(clinic=exception.clinic, kind=kind, payload=payload, by=by)


def _apply_unless_hit(plan: ChangePlan, by: User) -> ChangePlan:
    return plan if plan.proposals.exists() else changes.apply_plan(plan_id=plan.pk, by=by)


def _absence(slot: Slot) -> ScheduleException | None:
    away = ScheduleException.objects.filter(
        kind__in=[Kind.LEAVE, Kind.CLOSURE],
        starts_at__lt=slot.ends_at,
        ends_at__gt=slot.starts_at,
        withdrawn_at=None,
    )
    return next(
        (
            each
            for each in away.select_related("clinic")
            if each.clinic_id in (None, slot.clinic_id)
            and each.practitioner_id in (None, slot.practitioner_id)
        ),
        None,
    )
