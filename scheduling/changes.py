"""Change plans: computed by making the change and taking it back, applied by the same steps for good.

Locks: the plan's row, the turn to write slots, all slots concerned in one statement, then as `moves.move_bookings` says.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling import edits, live, replan
from scheduling.availability import SlotSpec
from scheduling.edits import Scope
from scheduling.errors import BookingError
from scheduling.inventory import Report, planned_on, regenerate, take_turns
from scheduling.locks import database_now, lock_slots
from scheduling.models import Booking, ChangePlan, ChangeProposal, Clinic, Slot
from scheduling.moves import Move, move_bookings
from scheduling.replan import Candidate, Need
from scheduling.rooms import change_rooms

Decision = ChangeProposal.Decision
Status = ChangePlan.Status
LIVE = [Booking.Status.BOOKED, Booking.Status.ARRIVED]
SHOWN_OPTIONS = 30


class PlanEnded(NamedError):
    sentence = _("This change was applied or discarded already.")


class PlanOutdated(NamedError):
    sentence = _(
        "Something changed in the meantime, so nothing was applied. Please look at the plan again: it is up to date now."
    )


@dataclass(frozen=True)
class Trial:
    """What the change does to the slots, and the bookings that have no hours any more."""

    scope: Scope
    report: Report
    hit: list[Booking]


# -- Computing -----------------------------------------------------------------------------------


def draft_plan(*, clinic: Clinic, kind: ChangePlan.Kind, payload: dict[str, Any], by: User) -> ChangePlan:
    """Compute what the edit would do; nothing of it is written. Raises EditRefused."""
    with transaction.atomic(durable=True):
        plan = ChangePlan.objects.create(clinic=clinic, kind=kind, payload=payload, created_by=by)
        _compute(plan)
    return plan


def compute_plan(*, plan_id: int) -> ChangePlan:
    """Again, as things are now: what was decided stays as far as it is still possible. Raises PlanEnded, EditRefused."""
    with transaction.atomic(durable=True):
        plan = _lock_draft(plan_id)
        _compute(plan)
    return plan


def _lock_draft(plan_id: int) -> ChangePlan:
    plan = (
        ChangePlan.objects.select_for_update(of=("self",), no_key=True)
        .select_related("clinic")
        .get(pk=plan_id)
    )
    if plan.status != Status.DRAFT:
        raise PlanEnded
    return plan


def _compute(plan: ChangePlan) -> None:
    """Under the plan's lock."""
    before = {p.booking_id: p for p in plan.proposals.all()}
    trial, needs = _try(plan, before)
    plan.proposals.all().delete()
    ChangeProposal.objects.bulk_create(_proposal(plan, need, before.get(need.booking.pk)) for need in needs)
    _note_figures(plan, trial.report)
    plan.computed_at = database_now()
    plan.save(update_fields=["added", "removed", "kept", "computed_at"])


def _try(plan: ChangePlan, before: dict[int, ChangeProposal]) -> tuple[Trial, list[Need]]:
    """Make the change, look, and take it back: the slots' locks are gone with it."""
    with transaction.atomic():
        trial = _make(plan)
        chosen = {pk: p.target for pk, p in before.items() if p.target}
        firm = {pk for pk, p in before.items() if p.is_chosen}
        needs = replan.find_times(trial.hit, scope=trial.scope, now=database_now(), wanted=chosen, firm=firm)
        transaction.set_rollback(True)
    return trial, needs


def _make(plan: ChangePlan, *, targets: Iterable[ChangeProposal] | None = None) -> Trial:
    """Write the edit and bring the slots to it. With `targets` all slots that may be needed are locked first."""
    take_turns()
    scope = edits.write(plan)
    if targets is not None:
        _lock_slots(scope, targets)
    change_rooms(Slot.objects.filter(_of(scope), booking__status__in=LIVE), _planned(scope))
    report, wanted = _regenerate(scope)
    return Trial(scope, report, _hit(scope, wanted))


def _planned(scope: Scope) -> list[SlotSpec]:
    return [
        spec
        for clinic in scope.clinics
        for spec in planned_on(
            clinic=clinic, practitioners=scope.practitioners, first=scope.first, days=scope.days
        )
    ]


def _regenerate(scope: Scope) -> tuple[Report, list[SlotSpec]]:
    report, wanted = Report(), []
    for clinic in scope.clinics:
        made, specs = regenerate(
            clinic=clinic, practitioners=scope.practitioners, first=scope.first, days=scope.days
        )
        report.include(made)
        wanted += specs
    return report, wanted


def _of(scope: Scope) -> Q:
    """The slots of the scope's days, from now on."""
    days = Q(pk__in=[])
    for clinic in scope.clinics:
        first, until = clinic.day_bounds(scope.first, scope.days)
        days |= Q(clinic=clinic, starts_at__gte=first, starts_at__lt=until)
    who = Q() if scope.practitioners is None else Q(practitioner__in=scope.practitioners)
    return days & who & Q(starts_at__gt=database_now())


def _hit(scope: Scope, wanted: Iterable[SlotSpec]) -> list[Booking]:
    """Bookings with a time that the plans do not cover any more. What nobody planned is hit by an absence only."""
    covered = _merged(wanted)
    claimed = Slot.objects.filter(_of(scope), booking__status__in=LIVE)
    hit = {
        slot.booking_id
        for slot in claimed
        if slot.booking_id
        and not _is_covered(slot, covered)
        and (slot.template_id or slot.exception_id or _is_absent(slot, scope))
    }
    # An overbooked visit has no slots, but needs the hours all the same.
    added = Booking.objects.filter(_of(scope), status__in=LIVE, overbooking__ended_at=None)
    hit |= {b.pk for b in added.exclude(overbooking=None) if not _is_covered(b, covered)}
    ahead = Booking.objects.filter(pk__in=hit, starts_at__gt=database_now())
    related = ahead.select_related("service", "clinic", "session", "practitioner", "patient")
    return list(related.order_by("starts_at", "pk"))


Hours = dict[tuple[int, int], list[tuple[dt.datetime, dt.datetime]]]


def _merged(specs: Iterable[SlotSpec]) -> Hours:
    """Planned hours of each practitioner and station: slots that touch are one span."""
    hours: Hours = defaultdict(list)
    for spec in sorted(specs, key=lambda spec: spec.starts_at):
        spans = hours[spec.practitioner_id, spec.station_id]
        if spans and spec.starts_at <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], spec.ends_at))
        else:
            spans.append((spec.starts_at, spec.ends_at))
    return hours


def _is_covered(slot: Slot | Booking, hours: Hours) -> bool:
    spans = hours.get((slot.practitioner_id, slot.station_id), [])
    return any(start <= slot.starts_at and slot.ends_at <= end for start, end in spans)


def _is_absent(slot: Slot, scope: Scope) -> bool:
    absent = scope.absent
    return absent is not None and slot.starts_at < absent.ends_at and absent.starts_at < slot.ends_at


def _proposal(plan: ChangePlan, need: Need, before: ChangeProposal | None) -> ChangeProposal:
    booking, found = need.booking, need.chosen
    proposal = ChangeProposal(
        plan=plan,
        booking=booking,
        booking_version=booking.version,
        from_starts_at=booking.starts_at,
        from_practitioner_id=booking.practitioner_id,
        decision=Decision.MOVE if found else Decision.OPEN,
    )
    if found:
        proposal.starts_at, proposal.clinic = found.starts_at, found.clinic
        proposal.practitioner_id, proposal.station_id = found.practitioner_id, found.station_id
    if before and before.target:
        proposal.is_chosen = before.is_chosen and before.target == proposal.target
        if before.decision == Decision.OPEN:
            proposal.decision = Decision.OPEN
    return proposal


def _note_figures(plan: ChangePlan, report: Report) -> None:
    plan.added, plan.removed, plan.kept = report.added, report.removed, report.unchanged + report.kept


# -- Deciding ------------------------------------------------------------------------------------


def decide(*, plan_id: int, left_open: Collection[int], seen: dt.datetime) -> None:
    """Which proposals (ids) are left open; the others are accepted. `seen` is `computed_at` of the plan as it was shown.

    Raises PlanEnded, PlanOutdated.
    """
    with transaction.atomic(durable=True):
        plan = _lock_draft(plan_id)
        if plan.computed_at != seen:
            raise PlanOutdated
        plan.proposals.filter(pk__in=left_open).update(decision=Decision.OPEN)
        plan.proposals.filter(starts_at__isnull=False).exclude(pk__in=left_open).update(
            decision=Decision.MOVE
        )


def options(*, plan_id: int, booking_id: int) -> list[Candidate]:
    """What else the booking could get, best first; the other proposals stay. Raises PlanEnded, EditRefused."""
    with transaction.atomic(durable=True):
        plan = _lock_draft(plan_id)
        _trial, needs = _try(plan, {p.booking_id: p for p in plan.proposals.all()})
        return list(replan.alternatives(needs, booking_id, limit=SHOWN_OPTIONS))


def choose(*, plan_id: int, booking_id: int, practitioner_id: int, starts_at: dt.datetime) -> ChangeProposal:
    """Propose this time for the booking. Raises PlanEnded, PlanOutdated where it is not to be had."""
    with transaction.atomic(durable=True):
        plan = _lock_draft(plan_id)
        mine = plan.proposals.filter(booking=booking_id)
        mine.update(practitioner=practitioner_id, starts_at=starts_at, is_chosen=True, decision=Decision.OPEN)
        _compute(plan)
        proposal = mine.get()
        if proposal.target != (practitioner_id, starts_at):
            raise PlanOutdated
        proposal.decision = Decision.MOVE
        proposal.save(update_fields=["decision"])
    return proposal


def discard_plan(*, plan_id: int, by: User) -> ChangePlan:
    """Raises PlanEnded."""
    with transaction.atomic(durable=True):
        plan = _lock_draft(plan_id)
        _end(plan, Status.DISCARDED, by)
    return plan


# -- Applying ------------------------------------------------------------------------------------


def apply_plan(*, plan_id: int, by: User, ask_open: bool = False) -> ChangePlan:
    """Write the edit, bring the slots to it and move the accepted bookings: all of it or nothing.

    A booking that is left open keeps its slots; with `ask_open` its patient is asked by e-mail to choose a new time.
    Raises PlanEnded, EditRefused; PlanOutdated where something changed since: the plan is computed again then.
    """
    try:
        with transaction.atomic(durable=True):
            return _apply(plan_id, by, ask_open=ask_open)
    except (PlanOutdated, BookingError) as problem:
        compute_plan(plan_id=plan_id)
        raise PlanOutdated from problem


def _apply(plan_id: int, by: User, *, ask_open: bool) -> ChangePlan:
    plan = _lock_draft(plan_id)
    proposals = list(plan.proposals.select_related("booking").order_by("from_starts_at", "pk"))
    accepted = [p for p in proposals if p.decision == Decision.MOVE]
    trial = _make(plan, targets=accepted)
    # Under the locks of all slots concerned no booking can appear in the hours or leave them.
    if {(b.pk, b.version) for b in trial.hit} != {(p.booking_id, p.booking_version) for p in proposals}:
        raise PlanOutdated
    for proposal, booking in zip(accepted, move_bookings(moves=_moves(accepted), by=by), strict=True):
        proposal.moved_version = booking.version
    ChangeProposal.objects.bulk_update(accepted, ["moved_version"])
    if accepted:
        after, _wanted = _regenerate(trial.scope)
        trial.report.removed += after.removed
        trial.report.added += after.added
        trial.report.kept = after.kept
    _note_figures(plan, trial.report)
    _end(plan, Status.APPLIED, by)
    _tell(plan, proposals, ask_open=ask_open)
    for clinic in trial.scope.clinics:
        for date in trial.scope.dates:
            live.nudge(clinic.pk, date)
    return plan


# The times of the scope, and those from the beginning of each new time to its end.
CONCERNED = """
SELECT s.id FROM scheduling_slot s WHERE s.id = ANY(%(ids)s)
UNION
SELECT w.id FROM unnest(%(bookings)s::bigint[], %(practitioners)s::bigint[], %(starts)s::timestamptz[])
        AS m(booking_id, practitioner_id, starts_at)
    JOIN scheduling_booking b ON b.id = m.booking_id JOIN scheduling_service v ON v.id = b.service_id
    JOIN scheduling_slot w ON w.practitioner_id = m.practitioner_id AND w.starts_at >= m.starts_at
        AND w.starts_at < m.starts_at + (b.ends_at - b.starts_at + make_interval(mins => v.buffer_minutes))
"""


def _lock_slots(scope: Scope, targets: Iterable[ChangeProposal]) -> None:
    """One statement, by pk: what follows asks for locks that are held already, in whatever order."""
    moving = list(targets)
    asked = {
        "ids": list(Slot.objects.filter(_of(scope)).values_list("pk", flat=True)),
        "bookings": [p.booking_id for p in moving],
        "practitioners": [p.practitioner_id for p in moving],
        "starts": [p.starts_at for p in moving],
    }
    lock_slots(CONCERNED, asked)


def _moves(accepted: list[ChangeProposal]) -> list[Move]:
    """The slots may be new, so they are found by who and when."""
    found = {
        (slot.practitioner_id, slot.starts_at): slot
        for slot in Slot.objects.filter(
            practitioner__in={p.practitioner_id for p in accepted},
            starts_at__in={p.starts_at for p in accepted},
        )
    }
    moves = []
    for proposal in accepted:
        slot = found.get(proposal.target) if proposal.target else None
        if slot is None or (slot.clinic_id, slot.station_id) != (proposal.clinic_id, proposal.station_id):
            raise PlanOutdated
        moves.append(Move(proposal.booking_id, slot.pk, proposal.booking_version))
    return moves


def _end(plan: ChangePlan, status: Status, by: User) -> None:
    plan.status, plan.ended_by, plan.ended_at = status, by, database_now()
    plan.save(update_fields=["status", "ended_by", "ended_at", "added", "removed", "kept"])


def _tell(plan: ChangePlan, proposals: list[ChangeProposal], *, ask_open: bool) -> None:
    left = [p for p in proposals if p.decision == Decision.OPEN]
    data = {"plan": plan.pk, "moved": len(proposals) - len(left), "open": len(left), "by": plan.ended_by_id}
    publish("supply.changed", f"plan:{plan.pk}", data, clinic_id=plan.clinic_id)
    if not ask_open:
        return
    now = database_now()
    for proposal in left:
        proposal.asked_at = now
        data = {"booking": proposal.booking_id, "proposal": proposal.pk}
        publish("change.open", f"booking:{proposal.booking_id}", data, clinic_id=plan.clinic_id)
    ChangeProposal.objects.bulk_update(left, ["asked_at"])


# -- Afterwards ----------------------------------------------------------------------------------


def accept_move(*, proposal_id: int) -> bool:
    """The patient agrees with the new time. False where it had been accepted before."""
    mine = ChangeProposal.objects.filter(pk=proposal_id, accepted_at=None)
    return bool(mine.update(accepted_at=database_now()))


def latest_proposal(booking: Booking) -> ChangeProposal | None:
    """What the last change made of the booking, as long as nobody has changed it since."""
    told = booking.change_proposals.filter(plan__status=Status.APPLIED).filter(
        Q(moved_version=booking.version) | Q(pk__in=ChangeProposal.objects.open_proposals())
    )
    return told.select_related("plan__clinic").order_by("-plan__ended_at").first()
