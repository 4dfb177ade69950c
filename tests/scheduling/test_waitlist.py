"""Waiting for a time: who is offered what, and what becomes of it."""

import datetime as dt

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from clinic_booking import events
from clinic_booking.models import Event
from scheduling import booking, errors, inventory, waitlist, waitlist_offers
from scheduling.models import Booking, BookingRequest, Hold, SessionTicket, Slot, WaitlistEntry, WaitlistOffer
from scheduling.queue import Freed
from scheduling.waitlist import Wishes
from tests import factories
from tests.clock import on_the_day, run_out
from tests.factories import wait
from tests.invariants import broken

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def all_promises_kept(db):
    yield
    assert broken() == {}


@pytest.fixture
def slots(practitioner, station, service):
    """Six free slots of 20 minutes in five days from nine."""
    return factories.make_slots(practitioner, station, factories.tomorrow_at(9) + dt.timedelta(4))


@pytest.fixture
def booked(slots, service):
    """Of another patient: the first slot."""
    hold = booking.hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="somebody")
    with transaction.atomic():
        return booking.confirm_hold(hold_id=hold.pk, patient=factories.PatientFactory())


@pytest.fixture
def plan(clinic, practitioner, station):
    """Every day from 7 to 22: what is asked for can be met."""
    return factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, starts_at=dt.time(0), ends_at=dt.time(22)
    )


def deliver(*topics):
    """What the worker does with the events so far, once each. What they publish is delivered too."""
    done = set()
    while new := [e for e in Event.objects.order_by("pk") if e.pk not in done]:
        for event in new:
            done.add(event.pk)
            for name in events._subscribers.get(event.topic, {}):
                if name.startswith("scheduling.waitlist"):
                    events.handler(event.topic, name)(event)


def cancel(booked):
    with transaction.atomic():
        booking.cancel_booking(booking_id=booked.pk, by=None, reason="patient")
    deliver()


def only(slots, keep):
    """The others are blocked, so that one time is free."""
    Slot.objects.filter(pk__in=[s.pk for s in slots if s not in keep]).update(is_blocked=True)


def freed(slot):
    return Freed(slot.clinic_id, slot.starts_at, slot.ends_at, slot.practitioner_id)


def offers():
    return list(WaitlistOffer.objects.order_by("pk"))


def status(entry):
    entry.refresh_from_db()
    return entry.status


def accepted(offer, owner="browser"):
    return waitlist_offers.accept(offer_id=offer.pk, owner=owner)


# -- Joining -------------------------------------------------------------------------------------


def test_joining_makes_the_demand_explicit(plan, patient, service, clinic, practitioner):
    wishes = Wishes(clinics=(clinic,), weekdays=(1, 3), from_time=dt.time(9), practitioner=practitioner)
    entry = waitlist.join(patient=patient, service=service, wishes=wishes, by=patient.user)
    request = entry.session.request
    assert (request.source, request.quantity, request.patient) == ("waitlist", 1, patient)
    where, when = request.patterns.order_by("pk")
    assert where.is_hard
    assert list(where.clinics.all()) == [clinic]
    assert (when.is_hard, when.weekdays, when.from_time) == (True, [1, 3], dt.time(9))
    assert list(when.practitioners.all()) == [practitioner]


def test_soft_wishes_count_one_by_one(plan, patient, service, practitioner):
    wishes = Wishes(weekdays=(1,), from_time=dt.time(9), practitioner=practitioner, is_strict=False)
    entry = waitlist.join(patient=patient, service=service, wishes=wishes, by=None)
    assert list(entry.session.request.patterns.values_list("is_hard", flat=True)) == [False] * 3


def test_same_wishes_wait_once(plan, patient, service, clinic):
    wishes = Wishes(clinics=(clinic,), weekdays=(1,))
    waitlist.join(patient=patient, service=service, wishes=wishes, by=None)
    with pytest.raises(errors.AlreadyWaiting):
        waitlist.join(patient=patient, service=service, wishes=wishes, by=None)
    assert BookingRequest.objects.filter(patient=patient).count() == 1
    waitlist.join(patient=patient, service=service, wishes=Wishes(clinics=(clinic,)), by=None)


def test_nobody_waits_for_everything(plan, patient, service):
    for n in range(waitlist.MAX_WAITING):
        waitlist.join(
            patient=patient, service=service, wishes=Wishes(weekdays=(1,), from_time=dt.time(n)), by=None
        )
    with pytest.raises(errors.TooManyWaiting):
        waitlist.join(patient=patient, service=service, wishes=Wishes(), by=None)


def test_planned_session_waits_once(patient):
    session = factories.SessionTicketFactory(
        request__patient=patient, request__quantity=1, number=1, status="planned"
    )
    waitlist.join_session(session_id=session.pk, by=None)
    with pytest.raises(errors.AlreadyWaiting):
        waitlist.join_session(session_id=session.pk, by=None)
    assert SessionTicket.objects.count() == 1


def test_session_that_is_not_planned_does_not_wait():
    session = factories.SessionTicketFactory(request__quantity=1, number=1, status="cancelled")
    with pytest.raises(errors.NotWaiting):
        waitlist.join_session(session_id=session.pk, by=None)


# -- Who is offered a time -----------------------------------------------------------------------


def test_cancelled_visit_is_offered(booked, slots, service):
    only(slots, slots[:1])
    entry = wait(service)
    cancel(booked)
    (offer,) = offers()
    assert (offer.entry, offer.hold.kind, offer.hold.starts_at) == (entry, "offer", slots[0].starts_at)
    made = offer.hold.locked_at.astimezone(offer.hold.clinic.zone)
    assert offer.hold.expires_at - waitlist_offers.answer_by(made, 120) < dt.timedelta(seconds=1)
    assert status(entry) == "offered"
    slots[0].refresh_from_db()
    assert slots[0].hold == offer.hold


def test_one_of_many_gets_it_and_events_may_repeat(booked, slots, service):
    only(slots, slots[:1])
    for _ in range(3):
        wait(service)
    cancel(booked)
    deliver()
    assert len(offers()) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"urgency": 1}, {"boost": 5}),
        ({"boost": 1}, {"source": "contract"}),
        ({"source": "contract"}, {"joined_at": timezone.now() - dt.timedelta(9)}),
        ({"joined_at": timezone.now() - dt.timedelta(2)}, {"joined_at": timezone.now() - dt.timedelta(1)}),
    ],
)
def test_order(slots, service, first, second):
    only(slots, slots[:1])
    later, sooner = wait(service, **second), wait(service, **first)
    (offer,) = waitlist_offers.offer_freed(freed(slots[0]))
    assert (offer.entry, status(later)) == (sooner, "waiting")


def test_better_fit_comes_before_longer_wait(slots, service):
    only(slots, slots[:1])
    wait(service, joined_at=timezone.now() - dt.timedelta(9))
    fitting = wait(service, is_hard=False, from_time=dt.time(9), until_time=dt.time(9, 20))
    (offer,) = waitlist_offers.offer_freed(freed(slots[0]))
    assert offer.entry == fitting


@pytest.mark.parametrize(
    "asked",
    [
        {"from_time": dt.time(9, 1)},
        {"until_time": dt.time(9, 19)},
        {"notice_minutes": 6 * 24 * 60},
        {"is_paused": True},
        {"valid_until": timezone.localdate()},
        {"latest": timezone.localdate()},
    ],
)
def test_nobody_is_offered_what_does_not_suit(slots, service, asked):
    only(slots, slots[:1])
    wait(service, **asked)
    assert waitlist_offers.offer_freed(freed(slots[0])) == []
    slots[0].refresh_from_db()
    assert slots[0].hold_id is None


def test_other_clinic_and_practitioner_do_not_suit(slots, service):
    wait(service, clinics=[factories.ClinicFactory()])
    wait(service, practitioners=[factories.PractitionerFactory()])
    wait(factories.ServiceFactory())
    assert waitlist_offers.offer_freed(freed(slots[0])) == []


def test_patient_who_is_busy_is_passed_over(booked, slots, service, clinic):
    only(slots, slots[:1])
    other = factories.PractitionerFactory()
    service.practitioners.add(other)
    there = factories.make_slots(other, factories.StationFactory(clinic=clinic), slots[0].starts_at, slots=1)
    wait(service, patient=booked.patient, boost=9)
    free = wait(service)
    (offer,) = waitlist_offers.offer_freed(freed(there[0]))
    assert offer.entry == free


def test_time_before_a_move_is_offered(booked, slots, service):
    only(slots, slots[:2])
    entry = wait(service)
    with transaction.atomic():
        booking.move_booking(booking_id=booked.pk, slot_id=slots[1].pk, by=None)
    deliver()
    (offer,) = offers()
    assert (offer.entry, offer.hold.starts_at) == (entry, slots[0].starts_at)


def test_no_show_gives_the_time_on(booked, slots, service, receptionist, monkeypatch):
    on_the_day(monkeypatch, booked.starts_at)
    only(slots, slots[:1])
    entry = wait(service)
    with transaction.atomic():
        booking.no_show(booking_id=booked.pk, by=receptionist)
    deliver()
    assert offers()[0].entry == entry


def test_abandoned_checkout_is_offered(slots, service):
    only(slots, slots[:1])
    hold = booking.hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="somebody")
    entry = wait(service)
    run_out(hold)
    booking.expire_holds()
    deliver()
    assert offers()[0].entry == entry


def test_opened_slots_are_offered(slots, service, receptionist):
    with transaction.atomic():
        inventory.block_slots(slot_ids=[s.pk for s in slots], reason="Cleaning", by=receptionist)
    entry = wait(service)
    with transaction.atomic():
        inventory.unblock_slots(slot_ids=[slots[2].pk], by=receptionist)
    deliver()
    (offer,) = offers()
    assert (offer.entry, offer.hold.starts_at) == (entry, slots[2].starts_at)


def test_new_supply_is_offered(clinic, practitioner, station, service):
    entries = [wait(service) for _ in range(2)]
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    inventory.generate(days=3, clinics=[clinic])
    deliver()
    assert {offer.entry for offer in offers()} == set(entries)


def test_longer_visit_gets_a_time_of_which_a_part_was_freed(booked, slots, practitioner):
    """Nine o'clock was taken; now the forty minutes from nine are free."""
    only(slots, slots[:2])
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    entry = wait(double)
    cancel(booked)
    (offer,) = offers()
    assert (offer.entry, offer.hold.slots.count()) == (entry, 2)


def test_equipment_in_use_is_respected(slots, practitioner, clinic, service):
    laser = factories.ServiceFactory(equipment_kinds=["laser-head"], practitioners=[practitioner])
    wait(laser)
    assert waitlist_offers.offer_freed(freed(slots[0])) == []
    factories.EquipmentFactory(clinic=clinic, kind="laser-head")
    assert len(waitlist_offers.offer_freed(freed(slots[0]))) == 1


def test_two_entries_of_a_patient_get_no_overlapping_offers(slots, practitioner, service, patient, clinic):
    only(slots, slots[:1])
    other = factories.PractitionerFactory()
    service.practitioners.add(other)
    there = factories.make_slots(other, factories.StationFactory(clinic=clinic), slots[0].starts_at, slots=1)
    first, second = wait(service, patient=patient), wait(service, patient=patient)
    whole = Freed(clinic.pk, slots[0].starts_at, slots[0].ends_at)
    assert len(waitlist_offers.offer_freed(whole)) == 1
    assert {status(first), status(second)} == {"offered", "waiting"}
    waiting = first if status(first) == "waiting" else second
    free = [s for s in (slots[0], there[0]) if Slot.objects.get(pk=s.pk).hold_id is None]
    with pytest.raises(errors.PatientBusy):
        waitlist_offers.offer(entry_id=waiting.pk, slot_id=free[0].pk)


def test_offer_leaves_time_for_the_notice(clinic, practitioner, station, service):
    """The visit is in three hours, the patient must know two hours before: the offer lasts one."""
    soon = timezone.now() + dt.timedelta(hours=3)
    (slot,) = factories.make_slots(practitioner, station, soon, slots=1)
    wait(service, notice_minutes=120)
    (offer,) = waitlist_offers.offer_freed(freed(slot))
    lasts = offer.hold.expires_at - offer.hold.locked_at
    assert dt.timedelta(minutes=59) < lasts <= dt.timedelta(minutes=60)


@pytest.mark.parametrize(
    ("made", "until"),
    [
        ("10:00", "1 12:00"),
        ("19:00", "1 21:00"),
        ("20:30", "2 09:30"),
        ("23:00", "2 10:00"),
        ("02:30", "1 10:00"),
    ],
)
def test_nobody_has_to_answer_at_night(clinic, made, until):
    now = dt.datetime.combine(dt.date(2026, 3, 1), dt.time.fromisoformat(made), clinic.zone)
    assert f"{waitlist_offers.answer_by(now, 120):%-d %H:%M}" == until


def test_answer_takes_days_of_the_week(clinic):
    now = dt.datetime(2026, 3, 1, 12, tzinfo=clinic.zone)
    assert f"{waitlist_offers.answer_by(now, 60 * 24):%-d %H:%M}" == "3 10:00"


def test_no_offer_with_too_little_time_left(clinic, practitioner, station, service, receptionist):
    soon = timezone.now() + dt.timedelta(minutes=129)
    (slot,) = factories.make_slots(practitioner, station, soon, slots=1)
    entry = wait(service, notice_minutes=120)
    assert waitlist_offers.offer_freed(freed(slot)) == []
    with pytest.raises(errors.NoTimeToOffer):
        waitlist_offers.offer(entry_id=entry.pk, slot_id=slot.pk, by=receptionist)


# -- Answers -------------------------------------------------------------------------------------


@pytest.fixture
def offer(slots, service, patient):
    """Of the first slot, the only free one, to `patient`; another patient waits behind."""
    only(slots, slots[:1])
    wait(service, patient=patient, boost=1)
    wait(service)
    (offer,) = waitlist_offers.offer_freed(freed(slots[0]))
    deliver()
    return offer


def test_offer_is_mailed_without_anything_medical(offer, service, practitioner):
    letter = next(m for m in mail.outbox if "A time has become free" in m.subject)
    assert letter.to == [offer.entry.session.request.patient.email]
    raw = letter.message().as_string()
    assert f"/waitlist/offers/{offer.pk}/?key=" in letter.body
    assert service.name not in raw
    assert practitioner.name not in raw


def test_accepted_and_booked(offer, patient):
    hold = accepted(offer)
    assert (hold.kind, hold.session, hold.owner) == ("checkout", offer.entry.session, "browser")
    assert hold.expires_at - hold.locked_at == dt.timedelta(seconds=300)
    with transaction.atomic():
        made = booking.confirm_hold(hold_id=hold.pk, patient=patient)
    deliver()
    offer.refresh_from_db()
    assert (offer.outcome, status(offer.entry)) == ("accepted", "booked")
    assert (made.session, made.patient) == (offer.entry.session, patient)
    assert len(offers()) == 1


def test_accepting_twice_is_the_same_checkout(offer):
    assert accepted(offer) == accepted(offer)
    with pytest.raises(errors.OfferAccepted):
        accepted(offer, "another browser")


def test_checkout_that_runs_out_passes_the_time_on(offer):
    run_out(accepted(offer))
    booking.expire_holds()
    deliver()
    assert status(offer.entry) == "waiting"
    assert [o.outcome for o in offers()] == ["accepted", "open"]
    assert offers()[1].entry != offer.entry


def test_checkout_given_up_passes_the_time_on(offer):
    hold = accepted(offer)
    booking.release_hold(hold_id=hold.pk, owner="browser")
    waitlist.sweep()
    deliver()
    assert status(offer.entry) == "waiting"
    assert offers()[1].entry != offer.entry


def test_declined_goes_to_the_next_and_not_back(offer):
    waitlist_offers.decline(offer_id=offer.pk, by=None)
    deliver()
    assert status(offer.entry) == "waiting"
    second = offers()[1]
    assert second.entry != offer.entry
    waitlist_offers.decline(offer_id=second.pk, by=None)
    deliver()
    assert len(offers()) == 2


def test_run_out_goes_to_the_next(offer):
    run_out(offer.hold)
    booking.expire_holds()
    deliver()
    offer.refresh_from_db()
    assert (offer.outcome, status(offer.entry)) == ("lapsed", "waiting")
    assert offers()[1].entry != offer.entry
    with pytest.raises(errors.OfferOver):
        accepted(offer)


def test_run_out_offer_is_refused_before_the_sweeper_came(offer):
    run_out(offer.hold)
    with pytest.raises(errors.OfferOver):
        accepted(offer)
    with pytest.raises(errors.OfferOver):
        waitlist_offers.decline(offer_id=offer.pk, by=None)
    assert Hold.objects.get(pk=offer.hold_id).ended_at is None


def test_withdrawn_offer(offer, receptionist):
    waitlist_offers.withdraw(offer_id=offer.pk, by=receptionist)
    assert status(offer.entry) == "waiting"
    with pytest.raises(errors.OfferWithdrawn):
        accepted(offer)


@pytest.mark.parametrize("verb", [waitlist_offers.accept, waitlist_offers.decline])
def test_declined_offer_is_over(offer, verb):
    waitlist_offers.decline(offer_id=offer.pk, by=None)
    more = {"owner": "browser"} if verb is waitlist_offers.accept else {"by": None}
    with pytest.raises(errors.OfferDeclined):
        verb(offer_id=offer.pk, **more)


def test_accepted_offer_cannot_be_declined(offer):
    hold = accepted(offer)
    with pytest.raises(errors.OfferAccepted):
        waitlist_offers.decline(offer_id=offer.pk, by=None)
    hold.refresh_from_db()
    assert hold.ended_at is None


def test_offer_for_a_closed_request_is_over(offer):
    BookingRequest.objects.filter(sessions=offer.entry.session_id).update(closed_at=timezone.now())
    with pytest.raises(errors.OfferWithdrawn):
        accepted(offer)
    waitlist.sweep()
    assert status(offer.entry) == "left"
    offer.refresh_from_db()
    assert offer.outcome == "withdrawn"


# -- Leaving -------------------------------------------------------------------------------------


def test_leaving_ends_the_demand_and_passes_the_time_on(offer):
    waitlist.leave(entry_id=offer.entry_id, by=None)
    deliver()
    session = SessionTicket.objects.select_related("request").get(pk=offer.entry.session_id)
    assert (status(offer.entry), session.status) == ("left", "cancelled")
    assert session.request.closed_at
    assert [o.outcome for o in offers()] == ["declined", "open"]
    with pytest.raises(errors.NotWaiting):
        waitlist.leave(entry_id=offer.entry_id, by=None)


def test_session_of_a_contract_stays_planned(service):
    entry = wait(service, source="contract")
    waitlist.leave(entry_id=entry.pk, by=None)
    entry.session.refresh_from_db()
    assert entry.session.status == "planned"


def test_session_booked_otherwise_waits_no_more(offer, slots, service, patient):
    Slot.objects.filter(pk=slots[3].pk).update(is_blocked=False)
    hold = booking.hold_slots(
        slot_id=slots[3].pk,
        service_id=service.pk,
        owner="desk",
        patient=patient,
        session_id=offer.entry.session_id,
    )
    with transaction.atomic():
        booking.confirm_hold(hold_id=hold.pk, patient=patient)
    deliver()
    offer.refresh_from_db()
    assert (status(offer.entry), offer.outcome) == ("booked", "withdrawn")
    assert offers()[1].hold.starts_at == slots[0].starts_at
    assert Booking.objects.count() == 1


def test_unplaced_sessions_wait_once(service):
    request = factories.BookingRequestFactory(service=service, source="contract", quantity=2)
    sessions = [
        factories.SessionTicketFactory(request=request, number=n, status="planned").pk for n in (1, 2)
    ]
    for _ in range(2):
        with transaction.atomic():
            data = {"request": request.pk, "sessions": sessions, "count": 2}
            events.publish("request.unmatched", f"request:{request.pk}", data)
        deliver()
    assert WaitlistEntry.objects.count() == 2


# -- Steering ------------------------------------------------------------------------------------


def test_steering(service, receptionist):
    entry = wait(service)
    waitlist.steer(entry_id=entry.pk, by=receptionist, move=2, is_paused=True, urgency=2, note="Calls back")
    entry.refresh_from_db()
    entry.session.request.refresh_from_db()
    assert (entry.boost, entry.is_paused, entry.note) == (2, True, "Calls back")
    assert entry.session.request.urgency == 2


def test_staff_offer_also_to_a_paused_entry(slots, service, receptionist):
    entry = wait(service, is_paused=True)
    with pytest.raises(errors.NotWaiting):
        waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk)
    waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk, by=receptionist)
    assert status(entry) == "offered"
    with pytest.raises(errors.NotWaiting):
        waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[1].pk, by=receptionist)
