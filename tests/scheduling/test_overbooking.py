"""A visit on top of a taken time: only on purpose, only so many, and every other promise holds."""

import datetime as dt
import functools

import pytest
from django.db import IntegrityError, transaction

from clinic_booking.models import Event
from scheduling import booking, changes, consistency, errors, live, overbooking
from scheduling.models import Booking, ChangePlan, Overbooking, Slot
from scheduling.overbooking import overbook
from tests import factories
from tests.invariants import broken
from tests.race import in_transaction, together

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def all_promises_kept(db):
    yield
    assert broken() == {}
    assert not [each for each in consistency.broken() if "overbooked" in each.name or "slots" in each.name]


@pytest.fixture
def manager(clinic):
    return factories.MembershipFactory(clinic=clinic, role="manager").user


@pytest.fixture
def hours(clinic, practitioner, station, slots):
    template = factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, overbook_limit=2, ends_at=dt.time(11)
    )
    Slot.objects.update(template=template)
    return template


def take(slot, service, patient=None):
    held = booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=f"owner-{slot.pk}")
    with transaction.atomic():
        return booking.confirm_hold(hold_id=held.pk, patient=patient or factories.PatientFactory())


@pytest.fixture
def taken(hours, slots, service):
    return take(slots[0], service)


@pytest.fixture
def add(taken, clinic, practitioner, station, service, manager):
    def add(**values):
        asked = {
            "clinic": clinic,
            "practitioner": practitioner,
            "station": station,
            "service": service,
            "starts_at": taken.starts_at,
            "reason": "In pain",
            "by": manager,
        }
        asked |= {"patient": factories.PatientFactory()} if "patient" not in values else {}
        with transaction.atomic():
            return overbook(**(asked | values))

    return add


def test_added_on_top_with_its_own_mark(add, taken, manager, hours):
    added = add()
    mark = added.overbooking
    assert (mark.number, mark.limit, mark.reason, mark.added_by) == (1, 2, "In pain", manager)
    assert added.starts_at == taken.starts_at
    assert not added.slots.exists()
    event = Event.objects.get(topic="appointment.booked", subject=f"booking:{added.pk}")
    assert (event.data["overbooked"], event.data["by"]) == (True, manager.pk)
    assert overbooking.places(hours, mark.date) == overbooking.Places(1, 2)


def test_no_more_than_the_hours_allow(add):
    add()
    second = add()
    with pytest.raises(overbooking.NoPlaceLeft):
        add()
    with transaction.atomic():
        booking.cancel_booking(booking_id=second.pk, by=None, reason="clinic")
    assert add().overbooking.number == 2


def test_database_holds_the_limit(add):
    mark = add().overbooking
    with pytest.raises(IntegrityError, match="overbooking_within_limit"), transaction.atomic():
        Overbooking.objects.filter(pk=mark.pk).update(number=3)
    other = add().overbooking
    with pytest.raises(IntegrityError, match="overbooking_number_once"), transaction.atomic():
        Overbooking.objects.filter(pk=other.pk).update(number=1)


@pytest.mark.parametrize(
    ("role", "can", "may"),
    [
        ("manager", False, True),
        ("receptionist", True, True),
        ("receptionist", False, False),
        ("doctor", False, False),
    ],
)
def test_only_with_permission(add, clinic, role, can, may):
    user = factories.MembershipFactory(clinic=clinic, role=role, can_overbook=can).user
    assert overbooking.may_overbook(user, clinic) is may
    if may:
        add(by=user)
    else:
        with pytest.raises(overbooking.MayNotOverbook):
            add(by=user)


def test_permission_counts_for_its_clinic_only(add):
    with pytest.raises(overbooking.MayNotOverbook):
        add(by=factories.MembershipFactory(role="manager").user)


def test_needs_a_reason(add):
    with pytest.raises(overbooking.NoReason):
        add(reason="  ")


def test_a_free_time_is_booked_as_usual(add, slots):
    with pytest.raises(overbooking.TimeIsFree):
        add(starts_at=slots[2].starts_at)


def test_outside_the_hours(add, slots, hours):
    for starts_at in (slots[0].starts_at - dt.timedelta(minutes=20), slots[-1].ends_at):
        with pytest.raises(overbooking.OutsideHours):
            add(starts_at=starts_at)
    hours.overbook_limit = 0
    hours.save()
    with pytest.raises(overbooking.NoPlaceLeft):
        add()


def test_extra_hours_have_no_places(add):
    Slot.objects.update(template=None)
    with pytest.raises(overbooking.OutsideHours):
        add()


def test_not_into_a_blocked_or_past_time(add, slots):
    Slot.objects.filter(pk=slots[1].pk).update(is_blocked=True)
    with pytest.raises(errors.SlotBlocked):
        add(starts_at=slots[1].starts_at)
    with pytest.raises(errors.SlotPast):
        add(starts_at=slots[0].starts_at - dt.timedelta(days=3))


def test_another_service_or_room_is_refused(add, station, clinic, service):
    with pytest.raises(errors.NotOffered):
        add(service=factories.ServiceFactory())
    with pytest.raises(overbooking.OutsideHours):
        add(station=factories.StationFactory(clinic=clinic))


def test_the_patient_is_not_in_two_places(add, taken):
    with pytest.raises(errors.PatientBusy):
        add(patient=taken.patient)


def test_equipment_is_reserved_all_the_same(add, clinic, practitioner):
    head = factories.EquipmentFactory(clinic=clinic, kind="laser-head")
    laser = factories.ServiceFactory(practitioners=[practitioner], equipment_kinds=["laser-head"])
    assert add(service=laser).reservations.get().equipment == head
    with pytest.raises(errors.EquipmentTaken):
        add(service=laser)


def test_a_session_of_a_contract(add, service, slots):
    patient = factories.PatientFactory()
    request = factories.BookingRequestFactory(
        patient=patient, service=service, source="contract", contract="C-2026-0001", is_prepaid=True
    )
    session = factories.SessionTicketFactory(request=request, number=1, status="planned")
    assert add(patient=patient, session_id=session.pk).price_cents == 0
    take(slots[1], service)
    with pytest.raises(errors.SessionGone):
        add(patient=patient, session_id=session.pk, starts_at=slots[1].starts_at)


# -- Its life ------------------------------------------------------------------------------------


def test_moved_to_a_free_time_it_is_a_visit_like_others(add, slots):
    added = add()
    with transaction.atomic():
        booking.move_booking(booking_id=added.pk, slot_id=slots[3].pk, by=None)
    slots[3].refresh_from_db()
    assert slots[3].booking_id == added.pk
    assert Overbooking.objects.get(booking=added).ended_at is not None


def test_moved_onto_a_taken_time_is_refused(add, slots, service):
    take(slots[1], service)
    with pytest.raises(errors.SlotTaken), transaction.atomic():
        booking.move_booking(booking_id=add().pk, slot_id=slots[1].pk, by=None)


def test_its_time_stays_when_the_other_is_cancelled(add, taken):
    added = add()
    with transaction.atomic():
        booking.cancel_booking(booking_id=taken.pk, by=None, reason="clinic")
    added.refresh_from_db()
    assert added.status == Booking.Status.BOOKED


def test_open_calendars_look_again(add, monkeypatch, clinic):
    nudged = []
    monkeypatch.setattr(live, "nudge", lambda *where: nudged.append(where))
    added = add()
    with transaction.atomic():
        booking.cancel_booking(booking_id=added.pk, by=None, reason="clinic")
    assert nudged == [(clinic.pk, clinic.local_date(added.starts_at))] * 2


def test_a_change_of_hours_asks_for_it_too(add, hours, practitioner, clinic, manager):
    added = add()
    day = clinic.local_date(added.starts_at)
    first, until = clinic.day_bounds(day)
    payload = {
        "practitioner": practitioner.pk,
        "clinic": None,
        "station": None,
        "slot_minutes": 20,
        "reason": "",
    }
    payload |= {"starts_at": first.isoformat(), "ends_at": until.isoformat()}
    plan = changes.draft_plan(clinic=clinic, kind=ChangePlan.Kind.LEAVE, payload=payload, by=manager)
    assert added.pk in set(plan.proposals.values_list("booking", flat=True))


@pytest.mark.django_db(transaction=True)
def test_two_at_the_last_place(add, hours, clinic, practitioner, station, service, manager, taken):
    add()
    asked = {"clinic": clinic, "practitioner": practitioner, "station": station, "service": service}
    asked |= {"starts_at": taken.starts_at, "reason": "Both", "by": manager}
    verbs = [
        functools.partial(overbook, patient=patient, **asked)
        for patient in factories.PatientFactory.create_batch(2)
    ]
    outcomes = together(*(in_transaction(verb) for verb in verbs))
    assert sum(isinstance(each, Booking) for each in outcomes) == 1
    assert sum(isinstance(each, overbooking.NoPlaceLeft) for each in outcomes) == 1
