"""Two receptionists at once, on real transactions: each number once, one winner, and a sentence for the other."""

import functools
from collections import Counter

import pytest

from scheduling import booking, errors
from scheduling.models import Booking, SessionTicket, VisitTicket, WalkIn
from tests import factories
from tests.invariants import broken
from tests.race import in_transaction, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db, day_of_visit):
    yield
    assert broken() == {}


def booked(slot, service, patient=None):
    owner = f"owner-{slot.pk}"
    hold = booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=owner)
    return in_transaction(
        booking.confirm_hold, hold_id=hold.pk, patient=patient or factories.PatientFactory()
    )()


def doing(verb, made, by, **more):
    return in_transaction(verb, booking_id=made.pk, by=by, **more)


def kinds(outcomes):
    return Counter(type(outcome) for outcome in outcomes)


def test_everybody_gets_another_number(slots, service, receptionist):
    made = [booked(slot, service) for slot in slots]
    outcomes = together(*[doing(booking.check_in, each, receptionist) for each in made])
    assert kinds(outcomes) == {Booking: 6}
    assert sorted(VisitTicket.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6]


def test_one_patient_gets_one_number(slots, service, patient, receptionist):
    made = [booked(slots[n], service, patient) for n in (0, 2)]
    outcomes = together(*[doing(booking.check_in, each, receptionist, version=1) for each in (*made, *made)])
    assert kinds(outcomes) == {Booking: 2, errors.ChangedMeanwhile: 2}
    assert VisitTicket.objects.get().number == 1


def test_done_against_undo(slots, service, receptionist):
    made = booked(slots[0], service)
    doing(booking.start, made, receptionist)()
    version = Booking.objects.get().version
    outcomes = together(
        doing(booking.complete, made, receptionist, version=version),
        doing(booking.undo_status, made, receptionist, version=version),
    )
    assert kinds(outcomes) == {Booking: 1, errors.ChangedMeanwhile: 1}
    done = Booking.objects.get().status == "fulfilled"
    assert SessionTicket.objects.get().status == ("completed" if done else "scheduled")


def test_no_show_against_check_in(slots, service, receptionist):
    made = booked(slots[0], service)
    outcomes = together(
        doing(booking.no_show, made, receptionist), doing(booking.check_in, made, receptionist)
    )
    assert kinds(outcomes)[Booking] == 1
    assert {type(each) for each in outcomes} <= {Booking, errors.WrongState, errors.ChangedMeanwhile}


def test_walk_in_is_served_or_leaves(slots, clinic, service, patient, receptionist):
    later = factories.make_slots(slots[0].practitioner, slots[0].station, factories.tomorrow_at(13), slots=2)
    add = functools.partial(
        in_transaction, booking.add_walk_in, clinic=clinic, patient=patient, service=service, by=receptionist
    )
    first, again = together(add(), add())
    assert first == again, "a double click"
    outcomes = together(
        functools.partial(booking.start_walk_in, walk_in_id=first.pk, by=receptionist),
        functools.partial(booking.start_walk_in, walk_in_id=first.pk, by=receptionist),
        in_transaction(booking.leave_queue, walk_in_id=first.pk, by=receptionist),
    )
    assert kinds(outcomes)[errors.WrongState] == 2, outcomes
    stored = WalkIn.objects.get()
    assert bool(stored.booking_id) != bool(stored.left_at)
    assert Booking.objects.count() == bool(stored.booking_id)
    for slot in later:
        slot.refresh_from_db()
    assert sum(slot.booking_id is not None for slot in later) == bool(stored.booking_id)
