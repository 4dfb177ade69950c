"""Freed times and waiting people, on real transactions: each time goes to one, each is offered one at a time."""

import functools

import pytest
from django.db import transaction

from patients.models import PatientClinic
from scheduling import booking, errors, waitlist, waitlist_offers
from scheduling.models import Booking, Hold, Slot, WaitlistEntry, WaitlistOffer
from scheduling.queue import Freed
from tests import factories
from tests.clock import run_out
from tests.factories import wait
from tests.invariants import broken
from tests.race import Rival, after, before, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}
    for entry in WaitlistEntry.objects.prefetch_related("offers__hold"):
        is_open = [offer for offer in entry.offers.all() if offer.outcome == "open"]
        assert len(is_open) <= 1
        assert all(offer.hold.kind == "offer" for offer in entry.offers.all())


def offering(*slots):
    first, last = slots[0], slots[-1]
    freed = Freed(first.clinic_id, first.starts_at, last.ends_at, first.practitioner_id)
    return functools.partial(waitlist_offers.offer_freed, freed)


def only(slots, keep):
    Slot.objects.filter(pk__in=[s.pk for s in slots if s not in keep]).update(is_blocked=True)


def test_two_workers_offer_one_time_once(slots, service):
    only(slots, slots[:1])
    for _ in range(3):
        wait(service)
    made = together(*[offering(slots[0])] * 4)
    assert sum(map(len, made)) == 1
    assert WaitlistOffer.objects.count() == 1


def test_two_times_and_two_entries(slots, service):
    """Both workers want the first entry first: one gets it, the other goes on to the second."""
    only(slots, slots[:2])
    wait(service), wait(service)
    made = together(offering(slots[0]), offering(slots[1]))
    assert [len(each) for each in made] == [1, 1]
    assert len({offer.entry_id for each in made for offer in each}) == 2
    assert len({offer.hold.starts_at for each in made for offer in each}) == 2


def test_second_worker_goes_on_when_the_entry_is_gone(slots, service, monkeypatch):
    """Placed exactly: while the first holds the slot's lock, the other has the entry."""
    only(slots, slots[:2])
    first, second = wait(service, boost=1), wait(service)
    # Who is new at a clinic is entered there with the first hold, for which another one waits.
    PatientClinic.objects.create(patient=first.session.request.patient, clinic_id=slots[0].clinic_id)
    before(monkeypatch, "scheduling.waitlist_offers.lock_entry", lambda: Rival(offering(slots[1])).outcome())
    (offer,) = offering(slots[0])()
    assert offer.entry == second
    assert WaitlistOffer.objects.get(entry=first).hold.starts_at == slots[1].starts_at


def test_entry_leaves_while_it_is_offered_a_time(slots, service, monkeypatch):
    only(slots, slots[:1])
    entry = wait(service)
    before(
        monkeypatch,
        "scheduling.waitlist_offers.lock_entry",
        lambda: Rival(functools.partial(waitlist.leave, entry_id=entry.pk, by=None)).outcome(),
    )
    assert offering(slots[0])() == []
    assert not Hold.objects.exists()
    entry.refresh_from_db()
    assert entry.status == "left"


@pytest.fixture
def offer(slots, service):
    only(slots, slots[:1])
    wait(service)
    (offer,) = offering(slots[0])()
    return offer


def accepting(offer, owner="browser"):
    return functools.partial(waitlist_offers.accept, offer_id=offer.pk, owner=owner)


def test_accepted_while_it_runs_out(offer, monkeypatch):
    """The sweeper comes just before the locks: the patient is told, and keeps the place."""
    run_out(offer.hold)
    before(monkeypatch, "scheduling.holds.lock_parts", lambda: Rival(booking.expire_holds).outcome())
    with pytest.raises(errors.OfferOver):
        accepting(offer)()
    waitlist.sweep()
    offer.refresh_from_db()
    assert (offer.outcome, WaitlistEntry.objects.get().status) == ("lapsed", "waiting")
    assert Slot.objects.get(starts_at=offer.hold.starts_at).hold_id is None


def test_accepted_and_swept_at_once(offer):
    taken, *_ = together(accepting(offer), booking.expire_holds, waitlist.sweep)
    assert isinstance(taken, Hold)
    waitlist.sweep()
    offer.refresh_from_db()
    assert (offer.outcome, WaitlistEntry.objects.get().status) == ("accepted", "offered")


def test_swept_between_the_two_steps_of_accepting(offer, monkeypatch):
    after(monkeypatch, "scheduling.holds.take_offer", lambda: Rival(waitlist.sweep).outcome())
    hold = accepting(offer)()
    offer.refresh_from_db()
    assert (offer.outcome, hold.ended_at) == ("accepted", None)
    assert WaitlistEntry.objects.get().status == "offered"


def test_declined_between_the_two_steps_of_accepting(offer, monkeypatch):
    declining = functools.partial(waitlist_offers.decline, offer_id=offer.pk, by=None)
    rivals = []
    after(monkeypatch, "scheduling.holds.take_offer", lambda: rivals.append(Rival(declining).outcome()))
    hold = accepting(offer)()
    assert isinstance(rivals[0], errors.OfferAccepted)
    hold.refresh_from_db()
    offer.refresh_from_db()
    assert (offer.outcome, hold.ended_at) == ("accepted", None)


def test_accepted_and_declined_at_once(offer):
    declining = functools.partial(waitlist_offers.decline, offer_id=offer.pk, by=None)
    outcomes = together(accepting(offer), declining)
    offer.refresh_from_db()
    refused = [each for each in outcomes if isinstance(each, errors.BookingError)]
    assert len(refused) == 1
    assert offer.outcome == ("accepted" if isinstance(outcomes[0], Hold) else "declined")


def test_accepted_twice_at_once(offer):
    outcomes = together(*[accepting(offer)] * 3)
    assert {outcome.pk for outcome in outcomes} == {Hold.objects.get(kind="checkout").pk}


def test_two_browsers_accept_at_once(offer):
    outcomes = together(accepting(offer, "one"), accepting(offer, "other"))
    assert sum(isinstance(outcome, Hold) for outcome in outcomes) == 1
    assert Hold.objects.filter(kind="checkout", ended_at=None).count() == 1


def test_left_while_the_visit_is_booked(offer):
    hold = accepting(offer)()

    def confirm():
        with transaction.atomic():
            return booking.confirm_hold(hold_id=hold.pk, patient=hold.patient)

    booked, left = together(confirm, functools.partial(waitlist.leave, entry_id=offer.entry_id, by=None))
    waitlist.sweep()
    entry = WaitlistEntry.objects.get()
    if isinstance(booked, Booking):
        assert entry.session.status == "scheduled"
    else:
        assert (entry.status, entry.session.status) == ("left", "cancelled")
    assert left is not None


def test_double_click_joins_once(service, patient, clinic, practitioner, station):
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    wishes = waitlist.Wishes(weekdays=(1,))
    join = functools.partial(waitlist.join, patient=patient, service=service, wishes=wishes, by=None)
    outcomes = together(*[join] * 3)
    assert sum(isinstance(outcome, WaitlistEntry) for outcome in outcomes) == 1
    assert WaitlistEntry.objects.count() == 1
