"""A change plan against others, on real transactions: applied whole or not at all."""

import pytest

from clinic_booking.models import Event
from scheduling import changes, errors
from scheduling.changes import PlanEnded, PlanOutdated
from scheduling.inventory import generate
from scheduling.models import Booking, ChangePlan, ScheduleException, Slot
from tests import factories
from tests.invariants import broken
from tests.race import Rival, after, together
from tests.scheduling.replanning import at, no_holidays, practise, sick_day, tomorrow, visit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db, monkeypatch):
    no_holidays(monkeypatch)
    yield
    assert broken() == {}


@pytest.fixture
def consultation(transactional_db):
    return factories.ServiceFactory()


@pytest.fixture
def lim(clinic, consultation):
    return practise(clinic, consultation, days=3)


def applying(plan, by):
    return lambda: changes.apply_plan(plan_id=plan.pk, by=by)


def test_booking_made_between_computing_and_applying_stops_it(lim, consultation, receptionist, monkeypatch):
    """It comes just before the locks are taken, and is seen after them."""
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    rivals = []

    def rival():
        rivals.append(Rival(lambda: visit(lim, consultation, 10)).outcome())

    after(monkeypatch, "scheduling.edits.write", rival)
    with pytest.raises(PlanOutdated):
        changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert isinstance(rivals[0], Booking)
    assert not ScheduleException.objects.exists()
    assert plan.proposals.count() == 2
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    assert {b.starts_at for b in Booking.objects.all()} == {at(lim.clinic, h, day=2) for h in (9, 10)}


def test_booking_that_comes_after_the_locks_finds_no_time(lim, consultation, receptionist, monkeypatch):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    rivals = []

    def rival():
        rivals.append(Rival(lambda: visit(lim, consultation, 10)).wait_until_blocked())

    after(monkeypatch, "scheduling.changes._lock_slots", rival)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert isinstance(rivals[0].outcome(), errors.SlotGone)
    assert Booking.objects.count() == 1


def test_plan_is_applied_once(lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)

    outcomes = together(applying(plan, receptionist), applying(plan, receptionist))

    assert sorted(type(outcome) for outcome in outcomes if isinstance(outcome, Exception)) == [PlanEnded]
    assert ScheduleException.objects.count() == 1
    assert Event.objects.filter(topic="appointment.moved").count() == 1


def test_two_plans_for_the_same_free_time(clinic, consultation, receptionist):
    """Two doctors are sick, and there is one time for one visit."""
    lim = practise(clinic, consultation, days=1)
    tan = practise(clinic, consultation, name="Dr Tan", days=1)
    ong = practise(clinic, consultation, name="Dr Ong", days=1)
    for template in (lim, tan):
        visit(template, consultation, 9)
    Slot.objects.filter(practitioner=ong.practitioner, starts_at__gt=at(clinic, 9)).delete()
    Slot.objects.filter(practitioner__in=[lim.practitioner, tan.practitioner], booking=None).delete()
    plans = [sick_day(template, receptionist) for template in (lim, tan)]
    assert {p.proposals.get().practitioner_id for p in plans} == {ong.practitioner_id}

    outcomes = together(*(applying(plan, receptionist) for plan in plans))

    assert sum(isinstance(outcome, ChangePlan) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, PlanOutdated) for outcome in outcomes) == 1
    loser = ChangePlan.objects.get(status="draft")
    assert loser.proposals.get().decision == "open"
    assert ScheduleException.objects.count() == 1


def test_visits_are_booked_and_plans_applied_side_by_side(lim, consultation, receptionist):
    for minute in (0, 20, 40):
        visit(lim, consultation, 9, minute)
    plan = sick_day(lim, receptionist)
    booking_others = [lambda h=h: visit(lim, consultation, h, day=2) for h in (9, 10, 11)]

    outcomes = together(applying(plan, receptionist), *booking_others)

    done = outcomes[0]
    assert isinstance(done, ChangePlan | PlanOutdated), done
    assert isinstance(done, ChangePlan) == ScheduleException.objects.exists()
    assert all(isinstance(o, Booking | errors.BookingError) for o in outcomes[1:]), outcomes


def test_slots_are_generated_while_a_plan_is_applied(lim, consultation, receptionist, monkeypatch):
    """Both write slots: they take turns before they lock any."""
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    rivals = []

    def rival():
        work = Rival(lambda: generate(days=5, clinics=[lim.clinic], first=tomorrow(lim.clinic)))
        rivals.append(work.wait_until_blocked())

    after(monkeypatch, "scheduling.changes._lock_slots", rival)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    assert rivals[0].outcome().added == 2 * 9
    assert not Slot.objects.filter(starts_at__lt=at(lim.clinic, 0, day=2)).exists()
