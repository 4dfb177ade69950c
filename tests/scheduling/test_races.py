"""Two or more at once, on real transactions: exactly one wins, the others are told, nothing is half done."""

import functools

import pytest
from django.db import transaction

from clinic_booking.errors import Busy
from scheduling import booking, holds
from scheduling.models import Hold, Slot
from tests.clock import run_out
from tests.invariants import broken
from tests.race import Rival, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}


def hold(slot, service, owner="browser", **more):
    return booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=owner, **more)


def test_new_choice_spares_a_slot_booked_meanwhile(slots, service, patient):
    held = hold(slots[0], service)
    with transaction.atomic():
        made = booking.confirm_hold(hold_id=held.pk, patient=patient)
        rival = Rival(lambda: hold(slots[3], service)).wait_until_blocked()
        assert rival.is_waiting
    assert isinstance(rival.outcome(), Hold)
    assert Slot.objects.get(pk=slots[0].pk).booking_id == made.pk


def test_new_choice_spares_a_slot_taken_over_meanwhile(slots, service):
    run_out(hold(slots[0], service))
    with transaction.atomic():
        new = holds._hold(slots[0].pk, service.pk, "other", None, False)
        rival = Rival(lambda: hold(slots[3], service)).wait_until_blocked()
        assert rival.is_waiting
    assert isinstance(rival.outcome(), Hold)
    assert Slot.objects.get(pk=slots[0].pk).hold_id == new.pk


def test_many_choices_of_one_owner_leave_one_hold(slots, service):
    outcomes = together(*(functools.partial(hold, slot, service) for slot in slots * 2))
    assert {type(outcome) for outcome in outcomes} <= {Hold, Busy}
    assert Hold.objects.filter(ended_at=None).count() == 1
