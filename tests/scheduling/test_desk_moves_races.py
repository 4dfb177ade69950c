"""Acts of the desk at the same moment: one wins, the other gets one clear sentence, nothing is half done."""

import functools
import uuid

import pytest

from clinic_booking.models import Event
from scheduling import booking, desk_block, desk_moves, errors
from scheduling.models import Booking, Slot
from tests import factories
from tests.invariants import broken
from tests.race import Rival, before, in_transaction, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}


@pytest.fixture
def made(slots, service, patient):
    held = booking.hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="browser")
    return in_transaction(booking.confirm_hold, hold_id=held.pk, patient=patient)()


@pytest.fixture
def colleague(clinic):
    return factories.MembershipFactory(clinic=clinic, user__first_name="Mei", user__last_name="Lin").user


def dropping(made, slot, by, key=None):
    seen = Booking.objects.select_related(*desk_moves.RELATED).get(pk=made.pk)
    target = Slot.objects.select_related("clinic", "practitioner", "station").get(pk=slot.pk)
    drop = desk_moves.Drop(str(key or uuid.uuid4()), seen, seen.version, target, by)
    return functools.partial(desk_moves.commit, drop)


def moved():
    return Event.objects.filter(topic="appointment.moved").count()


def test_two_receptionists_one_winner(made, slots, receptionist, colleague):
    outcomes = together(dropping(made, slots[2], receptionist), dropping(made, slots[4], colleague))
    [lost] = [o for o in outcomes if isinstance(o, Exception)]
    assert type(lost) is errors.ChangedMeanwhile
    fresh = Booking.objects.select_related(*desk_moves.RELATED).get(pk=made.pk)
    assert "changed this visit just now. It is: " in desk_moves.told_loser(lost, fresh)
    assert moved() == 1


def test_without_the_version_both_would_move(made, slots, receptionist, colleague, monkeypatch):
    """The control: that the version is looked at is what makes the second one lose."""
    monkeypatch.setattr("scheduling.moves._check", lambda *args, **more: None)
    first, second = dropping(made, slots[2], receptionist), dropping(made, slots[4], colleague)
    first()
    second()
    assert moved() == 2


def test_the_same_act_sent_often_moves_once(made, slots, receptionist):
    key = uuid.uuid4()
    outcomes = together(*[dropping(made, slots[3], receptionist, key)] * 6)
    assert {o[0].pk for o in outcomes} == {made.pk}
    assert {o[0].version for o in outcomes} == {2}
    assert moved() == 1


def test_same_act_committed_just_before_the_locks(made, slots, receptionist, monkeypatch):
    key = uuid.uuid4()
    rival = dropping(made, slots[3], receptionist, key)
    before(monkeypatch, "scheduling.moves.lock_slots", lambda: Rival(rival).outcome())
    assert dropping(made, slots[3], receptionist, key)()[0].version == 2
    assert moved() == 1


def test_move_against_a_patient_who_books_the_target(made, slots, service, receptionist):
    patient = functools.partial(
        booking.hold_slots, slot_id=slots[3].pk, service_id=service.pk, owner="someone"
    )
    drop, hold = together(dropping(made, slots[3], receptionist), patient)
    refused = [o for o in (drop, hold) if isinstance(o, Exception)]
    assert [type(o) for o in refused] == [errors.SlotTaken]
    slot = Slot.objects.get(pk=slots[3].pk)
    assert (slot.booking_id == made.pk) == (drop is not refused[0])


def test_move_against_cancelling(made, slots, receptionist, colleague):
    cancel = in_transaction(booking.cancel_booking, booking_id=made.pk, by=colleague, reason="clinic")
    drop, cancelled = together(dropping(made, slots[3], receptionist), cancel)
    assert isinstance(drop, list) or type(drop) in {errors.ChangedMeanwhile, errors.WrongState}
    if isinstance(cancelled, Exception):  # it had found the slots before the move
        assert type(cancelled) is errors.ChangedMeanwhile
    else:
        assert not Slot.objects.filter(booking=made.pk).exists()


def test_undo_sent_often_moves_back_once(made, slots, receptionist):
    key = str(uuid.uuid4())
    dropping(made, slots[3], receptionist, key)()
    undo = functools.partial(desk_moves.undo, booking=made, key=key, by=receptionist)
    outcomes = together(*[undo] * 5)
    assert {o[0].version for o in outcomes} == {3}
    assert list(Slot.objects.filter(booking=made).values_list("pk", flat=True)) == [slots[0].pk]


def test_undo_against_a_second_move(made, slots, receptionist, colleague):
    key = str(uuid.uuid4())
    dropping(made, slots[3], receptionist, key)()
    undo = functools.partial(desk_moves.undo, booking=made, key=key, by=receptionist)
    outcomes = together(undo, dropping(made, slots[5], colleague))
    assert [type(o) for o in outcomes if isinstance(o, Exception)] == [errors.ChangedMeanwhile]


def test_blocking_against_a_move_into_it(made, slots, receptionist, colleague):
    span = desk_block.Span(
        clinic=made.clinic,
        practitioner_id=slots[3].practitioner_id,
        station_id=None,
        starts_at=slots[3].starts_at,
        ends_at=slots[3].ends_at,
    )
    block = functools.partial(desk_block.block, span=span, reason="Lunch", by=colleague)
    drop, blocked = together(dropping(made, slots[3], receptionist), block)
    slot = Slot.objects.get(pk=slots[3].pk)
    if isinstance(drop, Exception):
        assert (type(drop), slot.is_blocked) == (errors.SlotBlocked, True)
    else:
        assert slot.booking_id == made.pk
        assert not isinstance(blocked, list)
