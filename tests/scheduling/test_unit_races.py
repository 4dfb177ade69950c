"""Rivals for several times at once and for shared equipment, on real transactions."""

import functools
from collections import Counter

import pytest
from django.db import IntegrityError

from scheduling import booking, errors
from scheduling.booking import Move, Part, Place
from scheduling.models import Booking, EquipmentReservation, Hold, SessionTicket, Slot
from tests import factories
from tests.invariants import broken
from tests.race import Rival, after, in_transaction, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}


@pytest.fixture
def rooms(clinic):
    """Six practitioners with two slots each, at the same times."""
    nine = factories.tomorrow_at(9)
    people = factories.PractitionerFactory.create_batch(6)
    return [
        factories.make_slots(who, factories.StationFactory(clinic=clinic), nine, slots=2) for who in people
    ]


@pytest.fixture
def laser(clinic, rooms):
    factories.EquipmentFactory(clinic=clinic, kind="laser-head", units=2)
    people = [room[0].practitioner for room in rooms]
    return factories.ServiceFactory(equipment_kinds=["laser-head"], practitioners=people)


@pytest.fixture
def consultation(rooms):
    return factories.ServiceFactory(practitioners=[room[0].practitioner for room in rooms])


def kinds(outcomes):
    return Counter(type(outcome) for outcome in outcomes)


def holding(parts, owner):
    return functools.partial(booking.hold_together, parts=parts, owner=owner)


def test_two_units_serve_two_of_six(rooms, laser):
    outcomes = together(
        *(holding([Part(room[0].pk, laser.pk)], f"owner-{n}") for n, room in enumerate(rooms))
    )
    assert kinds(outcomes) == {list: 2, errors.EquipmentTaken: 4}
    assert sorted(EquipmentReservation.objects.values_list("unit", flat=True)) == [1, 2]
    assert Slot.objects.exclude(hold=None).count() == 2


def test_without_the_lock_the_database_still_refuses(rooms, laser, clinic, monkeypatch):
    """The control: the constraint holds what the lock makes friendly."""
    clinic.equipment.update(units=1)
    unlocked = {(clinic.pk, "laser-head"): clinic.equipment.get().pk}
    monkeypatch.setattr("scheduling.holds.lock_equipment", lambda wants: unlocked)
    rivals = []
    second = holding([Part(rooms[1][0].pk, laser.pk)], "second")
    after(monkeypatch, "scheduling.holds.reserve", lambda: rivals.append(Rival(second).wait_until_blocked()))
    assert isinstance(holding([Part(rooms[0][0].pk, laser.pk)], "first")()[0], Hold)
    assert isinstance(rivals[0].outcome(), IntegrityError)


def test_proposals_crossing_each_other(rooms, consultation, laser):
    """Each wants what the other wants, in the other order: nobody waits for ever, and nobody gets half."""
    one = [Part(rooms[0][0].pk, consultation.pk), Part(rooms[1][1].pk, laser.pk)]
    other = [Part(rooms[1][1].pk, consultation.pk), Part(rooms[0][0].pk, laser.pk)]
    outcomes = together(*(holding(parts, f"owner-{n}") for n, parts in enumerate([one, other] * 8)))
    won = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert len(won) == 1
    assert kinds(outcomes) == {list: 1, errors.SlotTaken: 15}
    assert Hold.objects.filter(ended_at=None).count() == 2


def test_swaps_at_once(rooms, consultation):
    made = [book(room[0], consultation) for room in rooms[:2]]
    swap = [Move(made[0].pk, rooms[1][0].pk, 1), Move(made[1].pk, rooms[0][0].pk, 1)]
    moving = in_transaction(booking.move_bookings, moves=swap, by=None)
    assert kinds(together(*[moving] * 6)) == {list: 1, errors.ChangedMeanwhile: 5}


def test_placing_beside_online_bookings(rooms, consultation):
    request = factories.BookingRequestFactory(service=consultation, source="contract", quantity=12)
    sessions = [factories.SessionTicketFactory(request=request, number=n) for n in range(12)]
    slots = [slot for room in rooms for slot in room]
    places = [Place(session.pk, slot.pk) for session, slot in zip(sessions, slots, strict=True)]
    placing = in_transaction(booking.place_sessions, places=places, by=None)
    online = [holding([Part(slot.pk, consultation.pk)], f"owner-{slot.pk}") for slot in slots]
    outcomes = together(placing, placing, *online)
    assert not [outcome for outcome in outcomes if isinstance(outcome, IntegrityError)]
    scheduled = SessionTicket.objects.filter(status="scheduled").count()
    assert scheduled == Booking.objects.count() <= 2  # the patient can be in two rooms one after the other
    held = Slot.objects.exclude(hold=None).count()
    assert held + scheduled <= 12
    told = sum(len(each.booked) + len(each.lost) for each in outcomes[:2])
    assert told == 24


def book(slot, service):
    (held,) = holding([Part(slot.pk, service.pk)], f"owner-{slot.pk}")()
    return in_transaction(booking.confirm_hold, hold_id=held.pk, patient=factories.PatientFactory())()
