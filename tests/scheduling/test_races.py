"""Two or more at once, on real transactions: exactly one wins, the others are told, nothing is half done."""

import datetime as dt
import functools
import random
from collections import Counter

import pytest
from django.db import OperationalError, connection, transaction

from clinic_booking.errors import Busy, named
from clinic_booking.models import Event
from scheduling import booking, errors, holds, inventory, parts
from scheduling.models import Booking, Hold, ScheduleTemplate, Slot, VisitTicket
from tests import factories
from tests.clock import run_out
from tests.invariants import broken
from tests.race import Rival, after, before, in_transaction, relay, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}


@pytest.fixture
def double(practitioner):
    return factories.ServiceFactory(double=True, practitioners=[practitioner])


def hold(slot, service, owner="browser", **more):
    return booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=owner, **more)


def holding(slot, service, owner="browser", **more):
    return functools.partial(hold, slot, service, owner, **more)


def confirming(held, patient, **more):
    return in_transaction(booking.confirm_hold, hold_id=held.pk, patient=patient, **more)


def doing(verb, made, **more):
    return in_transaction(verb, booking_id=made.pk, **more)


def booked(slot, service, owner, patient=None):
    return confirming(hold(slot, service, owner), patient or factories.PatientFactory())()


def claims():
    """Of each slot in order: whose it is."""
    return [s.booking_id or s.hold_id for s in Slot.objects.order_by("pk")]


def kinds(outcomes):
    return Counter(type(outcome) for outcome in outcomes)


# -- Holds ---------------------------------------------------------------------------------------


def test_of_fifty_clients_one_gets_the_slot(slots, service):
    outcomes = together(*(holding(slots[0], service, f"client-{n}") for n in range(50)))
    assert kinds(outcomes) == {Hold: 1, errors.SlotTaken: 49}
    assert Hold.objects.count() == 1
    losers = [outcome for outcome in outcomes if isinstance(outcome, errors.SlotTaken)]
    assert all(slots[0].pk not in [free.slot_id for free in refusal.nearby] for refusal in losers)


def test_fifty_clicks_of_one_owner_are_one_hold(slots, service, patient):
    outcomes = together(*[holding(slots[0], service, patient=patient)] * 50)
    assert {outcome.pk for outcome in outcomes} == {Hold.objects.get().pk}


def test_many_choices_of_one_owner_leave_one_hold(slots, service):
    outcomes = together(*(holding(slot, service) for slot in slots * 2))
    assert kinds(outcomes).keys() <= {Hold, Busy}
    assert Hold.objects.filter(ended_at=None).count() == 1


def test_new_choice_spares_a_slot_booked_meanwhile(slots, service, patient):
    held = hold(slots[0], service)
    with transaction.atomic():
        made = booking.confirm_hold(hold_id=held.pk, patient=patient)
        rival = Rival(holding(slots[3], service)).wait_until_blocked()
        assert rival.is_waiting
    assert isinstance(rival.outcome(), Hold)
    assert Slot.objects.get(pk=slots[0].pk).booking_id == made.pk


def test_new_choice_spares_a_slot_taken_over_meanwhile(slots, service, monkeypatch):
    run_out(hold(slots[0], service))
    rivals = []
    after(monkeypatch, "scheduling.live.announce", lambda: rivals.append(blocked(holding(slots[3], service))))
    new = hold(slots[0], service, "other")
    assert isinstance(rivals[0].outcome(), Hold)
    assert Slot.objects.get(pk=slots[0].pk).hold_id == new.pk


def blocked(verb):
    """A rival that waits for a lock of this transaction."""
    rival = Rival(verb).wait_until_blocked()
    assert rival.is_waiting, rival.outcome()
    return rival


def test_crossing_choices_of_long_visits_never_lock_up(slots, service, double):
    """Each owner wants what another is about to give back: the old and the new slots lie in opposite order."""
    choices = [(slot, double) for slot in slots[:5]] + [(slot, service) for slot in slots]
    scripts = [[holding(*random.choice(choices), f"owner-{n}") for _ in range(200)] for n in range(3)]
    half_done = []
    outcomes = sum(relay(*scripts, check=lambda: half_done.append(broken())), [])
    assert kinds(outcomes).keys() <= {Hold, errors.SlotTaken}
    assert not any(half_done)
    assert kinds(outcomes)[Hold] >= 200


def test_of_many_heirs_one_takes_over(slots, service):
    old = hold(slots[0], service)
    run_out(old)
    outcomes = together(*(holding(slots[0], service, f"heir-{n}") for n in range(8)))
    assert kinds(outcomes) == {Hold: 1, errors.SlotTaken: 7}
    assert Event.objects.get(topic="hold.expired").subject == f"hold:{old.pk}"


def test_heirs_of_its_parts_each_take_one(slots, service, double):
    old = hold(slots[0], double)
    run_out(old)
    outcomes = together(
        holding(slots[0], service, "a"), holding(slots[1], service, "b"), booking.expire_holds
    )
    assert kinds(outcomes)[Hold] == 2
    assert Event.objects.get(topic="hold.expired").subject == f"hold:{old.pk}"


# -- A hold that runs out against its confirmation -----------------------------------------------


def test_sweeper_just_before_the_locks(slots, service, patient, monkeypatch):
    held = hold(slots[0], service)
    run_out(held)
    before(monkeypatch, "scheduling.booking.lock_slots", lambda: Rival(booking.expire_holds).outcome())
    with pytest.raises(errors.HoldExpired):
        confirming(held, patient)()
    assert Hold.objects.get().end_reason == "expired"
    assert claims()[0] is None


def test_sweeper_just_before_a_late_payment(slots, service, patient, monkeypatch):
    held = hold(slots[0], service)
    run_out(held)
    before(monkeypatch, "scheduling.booking.lock_slots", lambda: Rival(booking.expire_holds).outcome())
    made = confirming(held, patient, late=True)()
    assert claims()[0] == made.pk


def test_sweeper_waits_for_a_late_payment(slots, service, patient):
    held = hold(slots[0], service)
    run_out(held)
    with transaction.atomic():
        made = booking.confirm_hold(hold_id=held.pk, patient=patient, late=True)
        sweeper = blocked(booking.expire_holds)
    sweeper.outcome()
    assert claims()[0] == made.pk
    assert Hold.objects.get().end_reason == "confirmed"
    assert not Event.objects.filter(topic="hold.expired").exists()


def test_heir_just_before_a_late_payment(slots, service, patient, monkeypatch):
    held = hold(slots[0], service)
    run_out(held)
    heir = holding(slots[0], service, "heir")
    before(monkeypatch, "scheduling.booking.lock_slots", lambda: Rival(heir).outcome())
    with pytest.raises(errors.SlotTaken):
        confirming(held, patient, late=True)()
    assert claims()[0] == Hold.objects.get(owner="heir").pk


def test_heir_waits_for_a_late_payment(slots, service, patient):
    held = hold(slots[0], service)
    run_out(held)
    with transaction.atomic():
        made = booking.confirm_hold(hold_id=held.pk, patient=patient, late=True)
        heir = blocked(holding(slots[0], service, "heir"))
    assert isinstance(heir.outcome(), errors.SlotTaken)
    assert claims()[0] == made.pk


def test_two_confirmations_are_one_booking(slots, service, patient):
    held = hold(slots[0], service)
    outcomes = together(*[confirming(held, patient)] * 8)
    assert {outcome.pk for outcome in outcomes} == {Booking.objects.get().pk}
    assert Event.objects.filter(topic="appointment.booked").count() == 1


def test_release_against_confirmation(slots, service, patient):
    held = hold(slots[0], service)
    release = functools.partial(booking.release_hold, hold_id=held.pk, owner="browser")
    made, released = together(confirming(held, patient), release)
    assert released is None
    assert type(made) in {Booking, errors.HoldExpired}


def test_patient_is_booked_once_at_a_time(service, patient):
    held = []
    for _ in range(4):
        someone = factories.PractitionerFactory()
        service.practitioners.add(someone)
        slot = factories.make_slots(someone, factories.StationFactory(), factories.tomorrow_at(9), slots=1)[0]
        held.append(hold(slot, service, f"browser-{slot.pk}"))
    outcomes = together(*(confirming(each, patient) for each in held))
    # Two rows of an exclusion constraint may each wait for the other; PostgreSQL ends one, which may try again.
    assert Booking.objects.count() == 1
    assert {type(o) if o in Booking.objects.all() else type(named(o)) for o in outcomes} <= {
        Booking,
        errors.PatientBusy,
        Busy,
    }


def test_first_two_bookings_of_a_day_share_the_visit(slots, service, patient):
    held = [hold(slot, service, f"browser-{slot.pk}") for slot in slots[:4]]
    assert kinds(together(*(confirming(each, patient) for each in held))) == {Booking: 4}
    assert VisitTicket.objects.count() == 1


# -- Bookings that change ------------------------------------------------------------------------


def test_move_against_hold(slots, service):
    made = booked(slots[0], service, "a")
    move = doing(booking.move_booking, made, slot_id=slots[3].pk, by=None)
    outcomes = together(move, holding(slots[3], service, "b"))
    assert kinds(outcomes) in ({Booking: 1, errors.SlotTaken: 1}, {errors.SlotTaken: 1, Hold: 1})


def test_hold_waits_for_a_move(slots, service):
    made = booked(slots[0], service, "a")
    with transaction.atomic():
        booking.move_booking(booking_id=made.pk, slot_id=slots[3].pk, by=None)
        new, old = blocked(holding(slots[3], service, "b")), blocked(holding(slots[0], service, "c"))
    assert isinstance(new.outcome(), errors.SlotTaken)
    assert claims() == [old.outcome().pk, None, None, made.pk, None, None]


def test_of_two_moves_one_wins(slots, service):
    made = booked(slots[0], service, "a")
    moves = [
        doing(booking.move_booking, made, slot_id=slot.pk, by=None, version=made.version)
        for slot in slots[1:5]
    ]
    assert kinds(together(*moves)) == {Booking: 1, errors.ChangedMeanwhile: 3}


def test_two_bookings_moved_to_one_time(slots, service):
    first, second = booked(slots[0], service, "a"), booked(slots[1], service, "b")
    moves = [doing(booking.move_booking, each, slot_id=slots[3].pk, by=None) for each in (first, second)]
    assert kinds(together(*moves)) == {Booking: 1, errors.SlotTaken: 1}


def test_two_bookings_cannot_change_places(slots, double):
    first, second = booked(slots[0], double, "a"), booked(slots[2], double, "b")
    there = [doing(booking.move_booking, first, slot_id=slots[2].pk, by=None)] * 30
    back = [doing(booking.move_booking, second, slot_id=slots[0].pk, by=None)] * 30
    assert kinds(sum(relay(there, back), [])) == {errors.SlotTaken: 60}


def test_crossing_moves_and_holds_never_lock_up(slots, service, double):
    made = booked(slots[0], double, "a"), booked(slots[3], service, "b")
    moves = [
        [doing(booking.move_booking, each, slot_id=random.choice(slots[:5]).pk, by=None) for _ in range(60)]
        for each in made
    ]
    chosen = [holding(random.choice(slots), service, f"owner-{n % 3}") for n in range(60)]
    outcomes = sum(relay(*moves, chosen), [])
    assert kinds(outcomes).keys() <= {Booking, Hold, errors.SlotTaken}


@pytest.mark.parametrize("first", ["cancel", "move"])
def test_cancellation_against_move(slots, service, receptionist, first):
    made = booked(slots[0], service, "a")
    verbs = {
        "cancel": doing(booking.cancel_booking, made, by=receptionist, reason="desk"),
        "move": doing(booking.move_booking, made, slot_id=slots[3].pk, by=receptionist),
    }
    second = verbs.pop("move" if first == "cancel" else "cancel")
    with transaction.atomic():
        verbs[first]()
        rival = blocked(second)
    assert type(rival.outcome()) in {errors.ChangedMeanwhile, errors.WrongState}
    assert claims()[0] is None


def test_cancellation_against_check_in(slots, service, receptionist, day_of_visit):
    made = booked(slots[0], service, "a")
    cancelled, arrived = together(
        doing(booking.cancel_booking, made, by=receptionist, reason="desk"),
        doing(booking.check_in, made, by=receptionist),
    )
    assert isinstance(cancelled, Booking)
    assert type(arrived) in {Booking, errors.WrongState, errors.ChangedMeanwhile}
    assert Booking.objects.get().status == "cancelled"
    assert claims()[0] is None


def test_check_in_happens_once(slots, service, receptionist, day_of_visit):
    made = booked(slots[0], service, "a")
    outcomes = together(*[doing(booking.check_in, made, by=receptionist)] * 4)
    assert kinds(outcomes) == {Booking: 1, errors.WrongState: 3}


# -- Supply that changes -------------------------------------------------------------------------


@pytest.fixture
def outdated(slots, clinic, practitioner, station):
    """The slots belong to a template that wants them no more."""
    over = factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, valid_until=dt.date(2024, 1, 31)
    )
    Slot.objects.update(template=over)
    return slots


def in_two_steps(monkeypatch):
    """Without the short cut, so that a rival can be placed between the lock and the claim."""
    monkeypatch.setattr(holds, "_hold_at_once", lambda *asked: None)


def test_regeneration_waits_for_a_hold_and_keeps_its_slot(outdated, service, monkeypatch):
    in_two_steps(monkeypatch)
    rivals = []
    regenerate = functools.partial(inventory.generate, days=3)
    after(monkeypatch, "scheduling.live.announce", lambda: rivals.append(blocked(regenerate)))
    mine = hold(outdated[2], service)
    report = rivals[0].outcome()
    assert (report.removed, report.kept) == (5, 1)
    assert claims() == [mine.pk]


def test_hold_waits_for_regeneration_and_is_told(outdated, service, monkeypatch):
    rivals = []
    first = holding(outdated[2], service)
    after(monkeypatch, "scheduling.inventory._conflicts", lambda: rivals.append(blocked(first)))
    assert inventory.generate(days=3).removed == 6
    assert isinstance(rivals[0].outcome(), errors.SlotGone)


@pytest.mark.parametrize("is_at_once", [True, False])
def test_hold_never_begins_later_than_chosen(clinic, monkeypatch, is_at_once):
    """The first slot is deleted while the hold waits; the next one alone would be long enough."""
    if not is_at_once:
        in_two_steps(monkeypatch)
    someone = factories.PractitionerFactory()
    room = factories.StationFactory(clinic=clinic)
    double = factories.ServiceFactory(double=True, practitioners=[someone])
    (first,) = factories.make_slots(someone, room, factories.tomorrow_at(9), slots=1)
    factories.make_slots(someone, room, first.ends_at, slots=1, minutes=40)
    with transaction.atomic():
        Slot.objects.filter(pk=first.pk).delete()
        rival = blocked(holding(first, double))
    assert isinstance(rival.outcome(), errors.SlotGone)


def test_regeneration_against_holds(outdated, service, double):
    def change_plans():
        wanted = random.choice([None, dt.date(2024, 1, 31)])
        ScheduleTemplate.objects.update(valid_until=wanted)
        return inventory.generate(days=3)

    def browse(owner):
        if ids := list(Slot.objects.values_list("pk", flat=True)):
            kind = random.choice([service, double])
            return booking.hold_slots(slot_id=random.choice(ids), service_id=kind.pk, owner=owner)
        return None

    scripts = [[functools.partial(browse, f"owner-{n}")] * 20 for n in range(2)]
    half_done = []
    outcomes = relay(*scripts, [change_plans] * 20, check=lambda: half_done.append(broken()))
    refusals = {errors.SlotTaken, errors.SlotGone, errors.NotOffered, errors.SlotPast}
    assert kinds(sum(outcomes, [])).keys() <= {Hold, inventory.Report, type(None), *refusals}
    assert not any(half_done)


def test_block_against_hold(slots, service, receptionist):
    block = in_transaction(inventory.block_slots, slot_ids=[slots[0].pk], reason="repair", by=receptionist)
    outcomes = together(block, holding(slots[0], service))
    assert kinds(outcomes) in ({list: 1, errors.SlotBlocked: 1}, {errors.SlotTaken: 1, Hold: 1})


# -- Everybody at once ---------------------------------------------------------------------------


def test_sweeper_disturbs_nobody(slots, service, double):
    """Holds run out all the time, while they are renewed, released, taken over and paid late."""

    def browse(owner):
        held = hold(random.choice(slots[:5]), random.choice([service, double]), owner)
        if random.random() < 0.6:
            run_out(held)
        act = random.choice([booking.renew_hold, booking.release_hold, None])
        if act:
            return act(hold_id=held.pk, owner=owner)
        made = confirming(held, factories.PatientFactory(), late=True)()
        return doing(booking.cancel_booking, made, by=None, reason="patient")()

    scripts = [[functools.partial(browse, f"owner-{n}")] * 40 for n in range(3)]
    half_done = []
    outcomes = relay(*scripts, [booking.expire_holds] * 40, check=lambda: half_done.append(broken()))
    refusals = {errors.SlotTaken, errors.HoldExpired, errors.NoMoreRenewals}
    assert kinds(sum(outcomes, [])).keys() <= {Hold, Booking, int, type(None), *refusals}
    assert not any(half_done)


# -- Without the lock, and with it held ----------------------------------------------------------


def two_at_one_slot(slot, service, monkeypatch):
    """The second starts when the first has written and not yet committed."""
    in_two_steps(monkeypatch)
    rivals = []
    second = holding(slot, service, "second")
    after(monkeypatch, "scheduling.live.announce", lambda: rivals.append(Rival(second).wait_until_blocked()))
    return [hold(slot, service, "first"), rivals[0].outcome()]


def test_without_the_lock_both_win(slots, service, monkeypatch):
    """The control: the same two end with two holds on one slot when nobody locks."""
    unlocked = parts.LOCK_PARTS.replace("FOR NO KEY UPDATE OF s", "")
    monkeypatch.setattr(parts, "LOCK_PARTS", unlocked)
    assert kinds(two_at_one_slot(slots[0], service, monkeypatch)) == {Hold: 2}
    assert "a live hold has exactly its slots, without a gap" in broken()
    Hold.objects.filter(owner="first").delete()


def test_with_the_lock_one_wins(slots, service, monkeypatch):
    assert kinds(two_at_one_slot(slots[0], service, monkeypatch)) == {Hold: 1, errors.SlotTaken: 1}


def two_at_once(slot, service):
    """Both statements have begun when the slot's lock becomes free."""
    with transaction.atomic():
        Slot.objects.select_for_update(no_key=True).get(pk=slot.pk)
        rivals = [Rival(holding(slot, service, owner)).wait_until_blocked() for owner in ("first", "second")]
    return [rival.outcome() for rival in rivals]


def test_without_the_lock_both_win_at_once(slots, service, monkeypatch):
    unlocked = holds.HOLD_AT_ONCE.replace("FOR NO KEY UPDATE OF s", "")
    monkeypatch.setattr(holds, "HOLD_AT_ONCE", unlocked)
    assert kinds(two_at_once(slots[0], service)) == {Hold: 2}
    assert "a live hold has exactly its slots, without a gap" in broken()
    Hold.objects.filter(slots=None).delete()


def test_with_the_lock_one_wins_at_once(slots, service):
    assert kinds(two_at_once(slots[0], service)) == {Hold: 1, errors.SlotTaken: 1}


def test_nobody_waits_long_for_a_lock(slots, service):
    def impatient():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        return hold(slots[0], service, "second")

    with transaction.atomic():
        Slot.objects.select_for_update(no_key=True).get(pk=slots[0].pk)
        refusal = Rival(impatient).outcome()
    assert isinstance(refusal, OperationalError)
    assert isinstance(named(refusal), Busy)
