"""The day of a visit by its verbs: steps on, steps back, refusals, queue numbers, walk-ins."""

import datetime as dt

import pytest
from django.db import transaction

from clinic_booking.models import Event
from scheduling import booking, errors, live, matching
from scheduling.matching_views import unmatched
from scheduling.models import Booking, BookingRequest, Overbooking, SessionTicket, Slot, VisitTicket, WalkIn
from tests import factories
from tests.clock import on_the_day
from tests.invariants import broken
from tests.race import in_transaction

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(slots, service, patient):
    return confirmed(slots[0], service, patient)


@pytest.fixture
def during(monkeypatch):
    on_the_day(monkeypatch, factories.tomorrow_at(9, 10))


def confirmed(slot, service, patient):
    hold = booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=f"owner-{slot.pk}")
    return in_transaction(booking.confirm_hold, hold_id=hold.pk, patient=patient)()


def act(verb, made, by, **more):
    return in_transaction(verb, booking_id=made.pk, by=by, **more)()


def told():
    return list(
        Event.objects.filter(topic__startswith="appointment.").order_by("pk").values_list("topic", flat=True)
    )


def test_visit_from_arrival_to_its_end(made, receptionist, during):
    for verb in (booking.check_in, booking.call, booking.start, booking.complete):
        act(verb, made, receptionist)
    made.refresh_from_db()
    assert made.status == "fulfilled"
    assert made.arrived_at <= made.called_at <= made.started_at <= made.finished_at
    assert (made.visit.number, made.version) == (1, 5)
    assert told() == [
        f"appointment.{step}" for step in ("booked", "arrived", "called", "started", "fulfilled")
    ]
    assert all(
        event.data["by"] == receptionist.pk for event in Event.objects.filter(topic="appointment.called")
    )
    assert not broken()


def test_every_step_back_to_booked(made, receptionist, during):
    for verb in (booking.start, booking.call):
        with pytest.raises(errors.WrongState) if verb is booking.call else transaction.atomic():
            act(verb, made, receptionist)
    act(booking.complete, made, receptionist)
    for status, started in (("arrived", True), ("arrived", False), ("booked", False)):
        undone = act(booking.undo_status, made, receptionist)
        assert (undone.status, bool(undone.started_at)) == (status, started)
    assert SessionTicket.objects.get().status == "scheduled"
    assert VisitTicket.objects.get().number == 1, "the slip may be printed"
    with pytest.raises(errors.WrongState):
        act(booking.undo_status, made, receptionist)
    assert not broken()


def test_no_show_came_after_all(made, slots, receptionist, during):
    act(booking.no_show, made, receptionist)
    assert Slot.objects.get(pk=slots[0].pk).status == "available"
    act(booking.undo_status, made, receptionist)
    assert Slot.objects.get(pk=slots[0].pk).booking_id == made.pk
    assert SessionTicket.objects.get().status == "scheduled"
    assert not broken()


def test_time_of_a_no_show_may_be_gone(made, slots, service, other_patient, receptionist, during):
    act(booking.no_show, made, receptionist)
    factories.book(slots[:1], service=service, patient=other_patient)
    with pytest.raises(errors.SlotTaken):
        act(booking.undo_status, made, receptionist)
    assert Booking.objects.get(pk=made.pk).status == "noshow"


def test_overbooked_visit_has_a_day_too(slots, service, patient, receptionist, during, monkeypatch):
    """It claims no slot, so each step is told to the calendars of its day."""
    template = factories.ScheduleTemplateFactory(
        clinic=slots[0].clinic, practitioner=slots[0].practitioner, station=slots[0].station, overbook_limit=1
    )
    added = factories.BookingFactory(
        clinic=slots[0].clinic, practitioner=slots[0].practitioner, station=slots[0].station,
        starts_at=slots[0].starts_at, service=service, patient=patient,
    )  # fmt: skip
    day = slots[0].clinic.local_date(added.starts_at)
    Overbooking.objects.create(
        booking=added, template=template, date=day, number=1, limit=1, reason="pain", added_by=receptionist
    )
    nudged = []
    monkeypatch.setattr(live, "nudge", lambda *of: nudged.append(of))
    for verb in (
        booking.check_in,
        booking.undo_status,
        booking.no_show,
        booking.undo_status,
        booking.complete,
    ):
        act(verb, added, receptionist)
    added.refresh_from_db()
    assert added.status == "fulfilled"
    assert nudged == [(added.clinic_id, day)] * 5
    assert not Slot.objects.exclude(booking=None).exists()


def test_nobody_fails_to_come_before_the_time(made, receptionist):
    with pytest.raises(errors.TooEarly):
        act(booking.no_show, made, receptionist)
    with pytest.raises(errors.TooEarly):
        act(booking.complete, made, receptionist)


@pytest.mark.parametrize("verb", [booking.check_in, booking.call, booking.start])
@pytest.mark.parametrize("days", [-1, 1])
def test_visit_of_another_day_is_not_begun(made, receptionist, monkeypatch, verb, days):
    on_the_day(monkeypatch, factories.tomorrow_at(9, 10) + dt.timedelta(days))
    with pytest.raises(errors.NotToday):
        act(verb, made, receptionist)
    assert VisitTicket.objects.get().number is None


def test_day_is_that_of_the_clinic(made, clinic, receptionist, monkeypatch):
    """Nine in Singapore is the evening before in Honolulu, at any time of the day this runs."""
    on_the_day(monkeypatch, factories.tomorrow_at(0, 10))
    type(clinic).objects.update(time_zone="Pacific/Honolulu")
    assert act(booking.check_in, made, receptionist).status == "arrived"


def test_cancelled_visit_is_not_checked_in(made, receptionist, during):
    act(booking.cancel_booking, made, receptionist, reason="desk")
    with pytest.raises(errors.WrongState, match="was cancelled"):
        act(booking.check_in, made, receptionist)


def test_who_is_slower_is_told(made, receptionist, during):
    act(booking.check_in, made, receptionist, version=1)
    for verb in (booking.check_in, booking.call, booking.complete, booking.undo_status):
        with pytest.raises(errors.ChangedMeanwhile):
            act(verb, made, receptionist, version=1)


def test_numbers_count_up_by_clinic_and_day(slots, service, patient, other_patient, receptionist, during):
    first, second, again = (
        confirmed(slot, service, who)
        for slot, who in zip(slots, (patient, other_patient, patient), strict=False)
    )
    for each in (second, first, again):
        act(booking.check_in, each, receptionist)
    numbers = [Booking.objects.get(pk=each.pk).visit.number for each in (first, second, again)]
    assert numbers == [2, 1, 2]


# -- Walk-ins ------------------------------------------------------------------------------------


@pytest.fixture
def walk_in(clinic, patient, service, slots, receptionist, during):
    return add(clinic, patient, service, receptionist)


def add(clinic, patient, service, by, **more):
    return in_transaction(
        booking.add_walk_in, clinic=clinic, patient=patient, service=service, by=by, **more
    )()


def test_walk_in_gets_the_next_number(walk_in, made, clinic, other_patient, service, receptionist):
    other = add(clinic, other_patient, service, receptionist)
    assert (walk_in.visit.number, other.visit.number) == (1, 2)
    assert walk_in.session.status == "planned"
    assert walk_in.session.request.source == BookingRequest.Source.WALK_IN
    assert add(clinic, other_patient, service, receptionist) == other, "a second click"


def test_walk_in_is_served_in_the_time_under_way(walk_in, slots, receptionist):
    in_transaction(booking.call_walk_in, walk_in_id=walk_in.pk, by=receptionist)()
    made = booking.start_walk_in(walk_in_id=walk_in.pk, by=receptionist)
    made.refresh_from_db()
    assert (made.starts_at, made.status) == (slots[0].starts_at, "arrived")
    assert made.arrived_at == walk_in.arrived_at
    assert made.called_at
    assert made.started_at
    assert WalkIn.objects.get().booking == made
    assert not broken()
    with pytest.raises(errors.WrongState, match="already begun"):
        booking.start_walk_in(walk_in_id=walk_in.pk, by=receptionist)


def test_walk_in_takes_the_next_free_time(walk_in, slots, other_patient, service, receptionist):
    factories.book(slots[:1], service=service, patient=other_patient)
    assert booking.start_walk_in(walk_in_id=walk_in.pk, by=receptionist).starts_at == slots[1].starts_at


def test_walk_in_whom_nobody_can_serve(walk_in, slots, receptionist):
    Slot.objects.update(is_blocked=True, block_reason="x")
    with pytest.raises(errors.NobodyFree):
        booking.start_walk_in(walk_in_id=walk_in.pk, by=receptionist)
    assert not Booking.objects.exists()


def test_walk_in_leaves(walk_in, receptionist):
    in_transaction(booking.leave_queue, walk_in_id=walk_in.pk, by=receptionist)()
    walk_in.refresh_from_db()
    assert walk_in.left_at
    assert walk_in.session.status == "cancelled"
    for verb in (booking.leave_queue, booking.call_walk_in):
        with pytest.raises(errors.WrongState, match="left the queue"):
            in_transaction(verb, walk_in_id=walk_in.pk, by=receptionist)()
    with pytest.raises(errors.WrongState):
        booking.start_walk_in(walk_in_id=walk_in.pk, by=receptionist)


def test_walk_in_for_what_is_not_done_here(clinic, patient, service, station, practitioner, receptionist):
    elsewhere = factories.ServiceFactory(station_kind="laser", practitioners=[practitioner])
    for what, who in ((elsewhere, None), (service, factories.PractitionerFactory())):
        with pytest.raises(errors.NotOffered):
            add(clinic, patient, what, receptionist, practitioner=who)


def test_matcher_leaves_walk_ins_to_the_queue(walk_in):
    matching.match_requests()
    assert not Booking.objects.exists()
    assert not unmatched(walk_in.visit.clinic).exists()
