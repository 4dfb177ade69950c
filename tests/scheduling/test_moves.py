"""Several bookings moved or cancelled as a unit; planned sessions placed without a hold."""

import pytest
from django.db import transaction

from clinic_booking.models import Event
from scheduling import booking, errors
from scheduling.booking import Move, Place
from scheduling.models import Booking, EquipmentReservation, SessionTicket, Slot
from tests import factories
from tests.invariants import broken

pytestmark = pytest.mark.django_db


def book(slot, service, patient):
    held = booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=f"owner-{slot.pk}")
    with transaction.atomic():
        return booking.confirm_hold(hold_id=held.pk, patient=patient)


def move(*moves, **more):
    with transaction.atomic():
        return booking.move_bookings(moves=list(moves), by=None, **more)


def place(*places):
    with transaction.atomic():
        return booking.place_sessions(places=list(places), by=None)


@pytest.fixture
def two(slots, service, patient):
    return [book(slots[0], service, patient), book(slots[1], service, patient)]


def starts(bookings):
    return [each.starts_at for each in Booking.objects.filter(pk__in=[b.pk for b in bookings]).order_by("pk")]


def test_visits_of_a_patient_follow_each_other(two, slots):
    """Each takes a time that the other has, in part."""
    move(Move(two[0].pk, slots[1].pk), Move(two[1].pk, slots[2].pk))
    assert starts(two) == [slots[1].starts_at, slots[2].starts_at]
    assert not broken()


def test_visits_swap(two, slots):
    move(Move(two[0].pk, slots[1].pk, 1), Move(two[1].pk, slots[0].pk, 1))
    assert starts(two) == [slots[1].starts_at, slots[0].starts_at]
    assert not broken()


def test_all_stay_where_one_cannot_move(two, slots, service, other_patient):
    book(slots[4], service, other_patient)
    with pytest.raises(errors.SlotTaken) as refusal:
        move(Move(two[0].pk, slots[3].pk), Move(two[1].pk, slots[4].pk))
    assert refusal.value.part == 1
    assert starts(two) == [slots[0].starts_at, slots[1].starts_at]
    assert not broken()


def test_two_cannot_move_to_one_time(two, slots):
    with pytest.raises(errors.SlotTaken):
        move(Move(two[0].pk, slots[3].pk), Move(two[1].pk, slots[3].pk))


def test_stale_version_of_one_stops_all(two, slots):
    with pytest.raises(errors.ChangedMeanwhile) as refusal:
        move(Move(two[0].pk, slots[3].pk, 1), Move(two[1].pk, slots[4].pk, 7))
    assert refusal.value.part == 1


def test_device_moves_with_the_booking(slots, practitioner, clinic, patient):
    factories.EquipmentFactory(clinic=clinic, kind="laser-head")
    laser = factories.ServiceFactory(equipment_kinds=["laser-head"], practitioners=[practitioner])
    made = book(slots[0], laser, patient)
    move(Move(made.pk, slots[1].pk))
    reservation = EquipmentReservation.objects.get()
    assert (reservation.booking, reservation.starts_at) == (made, slots[1].starts_at)
    assert not broken()


def test_cancelling_is_for_all_or_none(two, receptionist, day_of_visit):
    with transaction.atomic():
        booking.complete(booking_id=two[1].pk, by=receptionist)
    with pytest.raises(errors.WrongState), transaction.atomic():
        booking.cancel_bookings(booking_ids=[b.pk for b in two], by=None, reason="clinic")
    assert Booking.objects.get(pk=two[0].pk).status == "booked"


def test_visit_is_cancelled(two):
    with transaction.atomic():
        booking.cancel_bookings(booking_ids=[b.pk for b in two], by=None, reason="clinic")
    assert not Slot.objects.exclude(booking=None).exists()
    assert Event.objects.filter(topic="appointment.cancelled").count() == 2
    assert not broken()


# -- Placing -------------------------------------------------------------------------------------


@pytest.fixture
def sessions(patient, service):
    request = factories.BookingRequestFactory(
        patient=patient, service=service, source="contract", contract="C-1", is_prepaid=True, quantity=3
    )
    return [factories.SessionTicketFactory(request=request, number=n) for n in (1, 2, 3)]


def test_sessions_are_placed_at_once(sessions, slots):
    placed = place(*(Place(s.pk, slot.pk) for s, slot in zip(sessions, slots, strict=False)))
    assert [b.starts_at for b in placed.booked] == [slot.starts_at for slot in slots[:3]]
    assert {b.price_cents for b in placed.booked} == {0}
    assert not placed.lost
    assert set(SessionTicket.objects.values_list("status", flat=True)) == {"scheduled"}
    assert Event.objects.filter(topic="appointment.booked").count() == 3
    assert not broken()


def test_lost_times_are_told_and_the_rest_is_booked(sessions, slots, service, other_patient):
    book(slots[0], service, other_patient)
    placed = place(Place(sessions[0].pk, slots[0].pk), Place(sessions[1].pk, slots[1].pk))
    assert [b.session_id for b in placed.booked] == [sessions[1].pk]
    assert [(pk, type(error)) for pk, error in placed.lost] == [(sessions[0].pk, errors.SlotTaken)]
    sessions[0].refresh_from_db()
    assert sessions[0].status == "planned"
    assert not broken()


def test_one_slot_serves_one_session(sessions, slots):
    placed = place(Place(sessions[0].pk, slots[0].pk), Place(sessions[1].pk, slots[0].pk))
    assert len(placed.booked) == len(placed.lost) == 1
    assert not broken()


def test_session_is_placed_once(sessions, slots):
    place(Place(sessions[0].pk, slots[0].pk))
    placed = place(Place(sessions[0].pk, slots[1].pk))
    assert [type(error) for _, error in placed.lost] == [errors.SessionGone]
    assert not broken()


def test_patient_elsewhere_is_lost(sessions, slots, patient, clinic):
    who = factories.PractitionerFactory()
    other = factories.make_slots(who, factories.StationFactory(clinic=clinic), factories.tomorrow_at(9))
    book(other[0], factories.ServiceFactory(practitioners=[who]), patient)
    placed = place(Place(sessions[0].pk, slots[0].pk), Place(sessions[1].pk, slots[1].pk))
    assert [type(error) for _, error in placed.lost] == [errors.PatientBusy]
    assert len(placed.booked) == 1
    assert not broken()


def test_device_in_use_is_lost(slots, practitioner, clinic, patient, other_patient):
    factories.EquipmentFactory(clinic=clinic, kind="laser-head")
    who = factories.PractitionerFactory()
    laser = factories.ServiceFactory(equipment_kinds=["laser-head"], practitioners=[practitioner, who])
    other = factories.make_slots(who, factories.StationFactory(clinic=clinic), factories.tomorrow_at(9))
    made = [
        factories.SessionTicketFactory(request__patient=someone, request__service=laser)
        for someone in (patient, other_patient)
    ]
    placed = place(Place(made[0].pk, slots[0].pk), Place(made[1].pk, other[0].pk))
    assert len(placed.booked) == 1
    assert [type(error) for _, error in placed.lost] == [errors.EquipmentTaken]
    assert Booking.objects.count() == 1
    assert not broken()


def test_closed_request_is_not_placed(sessions, slots):
    type(sessions[0].request).objects.update(closed_at=slots[0].starts_at)
    placed = place(Place(sessions[0].pk, slots[0].pk))
    assert [type(error) for _, error in placed.lost] == [errors.SessionGone]
    assert not Slot.objects.exclude(booking=None).exists()
