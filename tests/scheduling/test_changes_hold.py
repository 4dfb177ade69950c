"""Random hours, exceptions and visits: whatever the change, applying its plan breaks no promise and drops no visit."""

import datetime as dt
import random

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from clinic_booking.errors import NamedError
from scheduling import changes, consistency
from scheduling.edits import EditRefused, exception_payload, hours_payload
from scheduling.inventory import generate
from scheduling.models import (
    Booking,
    BookingPattern,
    ChangeProposal,
    ScheduleException,
    ScheduleTemplate,
    Slot,
)
from tests import factories
from tests.invariants import broken
from tests.scheduling.replanning import Kind, no_holidays, tomorrow, visit

DAYS = 3


def hours(rnd):
    """From and until between eight and eight, an hour at least."""
    start = rnd.randint(32, 76)
    end = rnd.randint(start + 4, 80)
    return clock(start), clock(end)


def clock(quarter):
    return dt.time(quarter // 4, quarter % 4 * 15)


class World:
    """Two clinics in different zones, two doctors, one of them at both."""

    def __init__(self, rnd, by):
        self.by = by
        self.near = factories.ClinicFactory()
        self.far = factories.ClinicFactory(time_zone="Europe/Berlin", country="DE")
        self.services = [
            factories.ServiceFactory(duration_minutes=20),
            factories.ServiceFactory(duration_minutes=30, buffer_minutes=10, equipment_kinds=["laser"]),
        ]
        for clinic in (self.near, self.far):
            factories.EquipmentFactory(clinic=clinic, kind="laser", units=1)
        self.doctors = factories.PractitionerFactory.create_batch(2)
        for service in self.services:
            service.practitioners.add(*self.doctors)
        self.templates = [self.template(rnd, doctor, self.near) for doctor in self.doctors]
        self.templates.append(self.template(rnd, self.doctors[0], self.far))
        generate(days=DAYS, clinics=[self.near, self.far], first=tomorrow(self.near))

    def template(self, rnd, doctor, clinic):
        start, end = hours(rnd)
        return factories.ScheduleTemplateFactory(
            clinic=clinic,
            practitioner=doctor,
            starts_at=start,
            ends_at=end,
            slot_minutes=rnd.choice([15, 20, 30]),
            every_n_weeks=rnd.choice([1, 1, 1, 2]),
        )

    def book(self, rnd):
        slots = list(Slot.objects.order_by("starts_at", "practitioner"))
        for slot in rnd.sample(slots, min(len(slots), 16)):
            service = rnd.choice(self.services)
            template = ScheduleTemplate(practitioner_id=slot.practitioner_id, clinic=slot.clinic)
            at = slot.starts_at.astimezone(slot.clinic.zone)
            try:
                made = visit(
                    template, service, at.hour, at.minute, day=(at.date() - slot.clinic.today()).days
                )
            except NamedError:  # the time is too short, or taken
                continue
            if rnd.random() < 0.5:
                BookingPattern.objects.create(
                    request=made.session.request,
                    is_hard=True,
                    weekdays=rnd.sample(range(1, 8), rnd.randint(4, 7)),
                )


def absence(world, rnd):
    zone, day = world.near.zone, tomorrow(world.near) + dt.timedelta(rnd.randint(0, DAYS - 1))
    start, end = hours(rnd)
    exception = ScheduleException(
        kind=rnd.choice([Kind.LEAVE, Kind.CLOSURE, Kind.PUBLIC_HOLIDAY]),
        starts_at=dt.datetime.combine(day, start, zone),
        ends_at=dt.datetime.combine(day + dt.timedelta(rnd.choice([0, 0, 1])), end, zone),
    )
    if exception.kind == Kind.LEAVE:
        exception.practitioner = world.doctors[0]
        exception.clinic = rnd.choice([None, world.near])
    else:
        exception.clinic = world.near
    return exception.kind, exception_payload(exception)


def edit(world, rnd):
    template = rnd.choice(world.templates)
    start, end = hours(rnd)
    template.starts_at, template.ends_at = start, end
    template.slot_minutes, template.weekdays = (
        rnd.choice([15, 20, 30]),
        rnd.sample(range(1, 8), rnd.randint(3, 7)),
    )
    breaks = [(start, (dt.datetime.combine(dt.date.min, start) + dt.timedelta(minutes=20)).time())]
    return Kind.HOURS, hours_payload(template, breaks if rnd.random() < 0.5 else [])


def ending(world, rnd):
    template = rnd.choice(world.templates)
    last = world.near.today() + dt.timedelta(rnd.randint(0, DAYS))
    return Kind.END_HOURS, {"template": template.pk, "valid_until": last.isoformat()}


def removal(world, rnd):
    kept = rnd.choice([None, *ScheduleException.objects.order_by("pk")])
    return (Kind.REMOVE, {"exception": kept.pk}) if kept else absence(world, rnd)


CHANGES = [absence, absence, edit, ending, removal]


def places():
    return {b.pk: (b.starts_at, b.practitioner_id) for b in Booking.objects.all()}


def all_is_well():
    assert broken() == {}
    assert list(consistency.broken()) == []


class ChangesHold(TestCase):
    @pytest.fixture(autouse=True)
    def every_day_works(self, monkeypatch):
        no_holidays(monkeypatch)

    @settings(
        max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(seed=st.integers(0, 2**32))
    def test_applied_plans_keep_every_promise_and_visit(self, seed):
        rnd = random.Random(seed)
        world = World(rnd, factories.UserFactory())
        world.book(rnd)
        all_is_well()
        for make in rnd.choices(CHANGES, k=2):
            self.change(world, rnd, *make(world, rnd))

    def change(self, world, rnd, kind, payload):
        before, held = places(), list(Slot.objects.filter(booking=None).values_list("pk", flat=True))
        try:
            plan = changes.draft_plan(clinic=world.near, kind=kind, payload=payload, by=world.by)
        except EditRefused:  # hours or leave on top of each other
            event("refused")
            return
        assert places() == before
        assert set(held) == set(Slot.objects.filter(booking=None).values_list("pk", flat=True))
        proposals = list(plan.proposals.all())
        left = [p.pk for p in proposals if rnd.random() < 0.5] if len(proposals) > 1 else []
        changes.decide(plan_id=plan.pk, left_open=left, seen=plan.computed_at)
        changes.apply_plan(plan_id=plan.pk, by=world.by)
        self.check(plan, before)
        event(f"{kind}: {len(proposals)} hit, {len(left)} left open")

    def check(self, plan, before):
        """The accepted are where it was said, nobody else was moved, and the slots are what the plans want."""
        all_is_well()
        moved = plan.proposals.filter(decision=ChangeProposal.Decision.MOVE)
        assert places() == before | {p.booking_id: (p.starts_at, p.practitioner_id) for p in moved}
        left = set(plan.proposals.exclude(pk__in=moved).values_list("booking", flat=True))
        assert left <= set(ChangeProposal.objects.open_proposals().values_list("booking", flat=True))
        report = generate(days=DAYS, clinics=[plan.clinic], first=tomorrow(plan.clinic))
        assert (report.added, report.removed) == (0, 0)
