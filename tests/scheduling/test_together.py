"""Times held and booked as one, holds for a planned session, offers, and the equipment that goes with all of them."""

import pytest
from django.db import transaction

from clinic_booking.models import Event
from scheduling import booking, errors
from scheduling.booking import Part
from scheduling.models import Booking, EquipmentReservation, Hold, SessionTicket, Slot
from scheduling.search import day_times
from tests import factories
from tests.clock import run_out
from tests.invariants import broken

pytestmark = pytest.mark.django_db


@pytest.fixture
def device(clinic):
    return factories.EquipmentFactory(clinic=clinic, kind="laser-head")


@pytest.fixture
def laser(practitioner, device):
    return factories.ServiceFactory(
        name="Laser", equipment_kinds=["laser-head"], practitioners=[practitioner]
    )


@pytest.fixture
def xray(clinic):
    """Another room with another practitioner: six slots at the same times as `slots`."""
    who = factories.PractitionerFactory()
    room = factories.StationFactory(clinic=clinic, kind="x-ray")
    service = factories.ServiceFactory(
        name="X-ray", station_kind="x-ray", practitioners=[who], price_cents=8500
    )
    return service, factories.make_slots(who, room, factories.tomorrow_at(9))


@pytest.fixture
def session(patient, service):
    request = factories.BookingRequestFactory(
        patient=patient, service=service, source="contract", contract="C-1", is_prepaid=True
    )
    return factories.SessionTicketFactory(request=request, number=1)


@pytest.fixture
def hold_visit(slots, service, xray):
    def make(owner="me", first=0, second=1, **more):
        parts = [Part(slots[first].pk, service.pk), Part(xray[1][second].pk, xray[0].pk)]
        return booking.hold_together(parts=parts, owner=owner, **more)

    return make


def confirm(held, patient, **more):
    with transaction.atomic():
        return booking.confirm_hold(hold_id=held.pk, patient=patient, **more)


def test_parts_are_held_and_booked_as_one(hold_visit, patient):
    lead, follower = hold_visit()
    assert (lead.lead_id, follower.lead_id, follower.part) == (None, lead.pk, 1)
    assert lead.expires_at == follower.expires_at
    first = confirm(lead, patient)
    both = list(booking.bookings_of(lead))
    assert both[0] == first
    assert [each.price_cents for each in both] == [6500, 8500]
    assert len({each.visit_id for each in both}) == 1
    assert Event.objects.filter(topic="appointment.booked").count() == 2
    assert confirm(lead, patient) == first
    assert not broken()


def test_nothing_is_held_where_one_part_is_taken(hold_visit, service, slots, xray):
    booking.hold_slots(slot_id=xray[1][1].pk, service_id=xray[0].pk, owner="rival")
    with pytest.raises(errors.SlotTaken) as refusal:
        hold_visit()
    assert refusal.value.part == 1
    assert refusal.value.nearby
    assert not Hold.objects.filter(owner="me").exists()
    assert not Slot.objects.get(pk=slots[0].pk).hold_id


def test_overlapping_parts_are_refused(hold_visit):
    with pytest.raises(errors.PartsOverlap):
        hold_visit(first=1, second=1)


def test_same_parts_again_are_the_same_hold(hold_visit):
    assert [hold.pk for hold in hold_visit()] == [hold.pk for hold in hold_visit()]


def test_other_choice_ends_all_parts(hold_visit, slots, service):
    held = hold_visit()
    booking.hold_slots(slot_id=slots[4].pk, service_id=service.pk, owner="me")
    assert not Hold.objects.filter(pk__in=[hold.pk for hold in held], ended_at=None).exists()
    assert Slot.objects.exclude(hold=None).count() == 1
    assert not broken()


def test_renewal_and_release_are_for_all_parts(hold_visit):
    lead, follower = hold_visit()
    renewed = booking.renew_hold(hold_id=lead.pk, owner="me")
    follower.refresh_from_db()
    assert follower.expires_at == renewed.expires_at
    booking.release_hold(hold_id=lead.pk, owner="me")
    assert not Slot.objects.exclude(hold=None).exists()
    assert not broken()


def test_part_alone_cannot_be_confirmed(hold_visit, patient):
    with pytest.raises(errors.HoldGone):
        confirm(hold_visit()[1], patient)


def test_late_confirmation_needs_all_parts(hold_visit, patient, xray):
    lead, follower = hold_visit()
    run_out(lead)
    run_out(follower)
    booking.hold_slots(slot_id=xray[1][1].pk, service_id=xray[0].pk, owner="rival")
    with pytest.raises(errors.SlotTaken):
        confirm(lead, patient, late=True)
    assert not Booking.objects.exists()


def test_sweep_ends_all_parts(hold_visit):
    for hold in hold_visit():
        run_out(hold)
    assert booking.expire_holds() == 1
    assert not Hold.objects.filter(ended_at=None).exists()
    assert not Slot.objects.exclude(hold=None).exists()


# -- Sessions ------------------------------------------------------------------------------------


def test_hold_for_a_prepaid_session_books_that_session(slots, service, patient, session):
    held = booking.hold_slots(
        slot_id=slots[0].pk, service_id=service.pk, owner="me", patient=patient, session_id=session.pk
    )
    assert held.price_cents == 0
    made = confirm(held, patient)
    session.refresh_from_db()
    assert (made.session, session.status) == (session, "scheduled")
    assert not broken()


def test_session_of_another_is_refused(slots, service, other_patient, session):
    with pytest.raises(errors.SessionGone):
        booking.hold_slots(
            slot_id=slots[0].pk,
            service_id=service.pk,
            owner="me",
            patient=other_patient,
            session_id=session.pk,
        )


def test_session_booked_meanwhile_is_refused(slots, service, patient, session):
    held = booking.hold_slots(
        slot_id=slots[0].pk, service_id=service.pk, owner="me", patient=patient, session_id=session.pk
    )
    SessionTicket.objects.filter(pk=session.pk).update(status="cancelled")
    with pytest.raises(errors.SessionGone):
        confirm(held, patient)


def test_cancelled_contract_session_is_planned_again(slots, service, patient, session):
    made = confirm(
        booking.hold_slots(
            slot_id=slots[0].pk, service_id=service.pk, owner="me", patient=patient, session_id=session.pk
        ),
        patient,
    )
    with transaction.atomic():
        booking.cancel_booking(booking_id=made.pk, by=None, reason="clinic")
    session.refresh_from_db()
    assert session.status == "planned"
    assert not broken()


@pytest.mark.parametrize(("policy", "status"), [("forfeit", "forfeited"), ("return", "planned")])
def test_late_cancel_follows_the_contract(slots, service, patient, session, policy, status, clinic):
    type(clinic).objects.update(free_cancel_hours=72)
    type(session.request).objects.update(late_cancel=policy)
    made = confirm(
        booking.hold_slots(
            slot_id=slots[0].pk, service_id=service.pk, owner="me", patient=patient, session_id=session.pk
        ),
        patient,
    )
    with transaction.atomic():
        booking.cancel_booking(booking_id=made.pk, by=None, reason="patient")
    session.refresh_from_db()
    assert session.status == status


@pytest.mark.parametrize(("policy", "status"), [("forfeit", "forfeited"), ("return", "planned")])
def test_no_show_follows_the_contract(
    slots, service, patient, session, policy, status, receptionist, day_of_visit
):
    type(session.request).objects.update(no_show=policy)
    made = confirm(
        booking.hold_slots(
            slot_id=slots[0].pk, service_id=service.pk, owner="me", patient=patient, session_id=session.pk
        ),
        patient,
    )
    with transaction.atomic():
        booking.no_show(booking_id=made.pk, by=receptionist)
    session.refresh_from_db()
    assert session.status == status


# -- Offers --------------------------------------------------------------------------------------


def offer(slot, session, patient, seconds=3600):
    with transaction.atomic():
        return booking.hold_offer(slot_id=slot.pk, session_id=session.pk, patient=patient, seconds=seconds)


def test_offer_keeps_the_time_as_long_as_it_says(slots, session, patient, service):
    held = offer(slots[0], session, patient)
    assert (held.expires_at - held.locked_at).total_seconds() == 3600
    with pytest.raises(errors.SlotTaken):
        booking.hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="rival")


def test_offer_leaves_the_checkout_of_the_patient_alone(slots, session, patient, service):
    mine = booking.hold_slots(slot_id=slots[1].pk, service_id=service.pk, owner="me", patient=patient)
    held = offer(slots[0], session, patient)
    other = booking.hold_slots(slot_id=slots[2].pk, service_id=service.pk, owner="me", patient=patient)
    running = set(Hold.objects.filter(ended_at=None).values_list("pk", flat=True))
    assert running == {held.pk, other.pk}
    assert mine.pk not in running


def test_taken_offer_is_a_checkout_of_300_seconds(slots, session, patient):
    held = offer(slots[0], session, patient)
    mine = booking.take_offer(hold_id=held.pk, owner="me")
    assert (mine.kind, mine.session_id) == ("checkout", session.pk)
    assert (mine.expires_at - mine.locked_at).total_seconds() == 300
    made = confirm(mine, patient)
    assert made.session == session
    assert not broken()


def test_offer_that_ran_out_cannot_be_taken(slots, session, patient):
    held = offer(slots[0], session, patient)
    run_out_offer(held)
    with pytest.raises(errors.HoldExpired):
        booking.take_offer(hold_id=held.pk, owner="me")


def run_out_offer(held):
    from tests.clock import advance

    advance(held, seconds=3601)


def test_checkout_hold_is_no_offer(slots, service):
    mine = booking.hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="me")
    with pytest.raises(errors.HoldGone):
        booking.take_offer(hold_id=mine.pk, owner="other")


# -- Equipment -----------------------------------------------------------------------------------


@pytest.fixture
def second_room(clinic, laser):
    """The same times with another practitioner who does laser too."""
    who = factories.PractitionerFactory()
    laser.practitioners.add(who)
    return factories.make_slots(who, factories.StationFactory(clinic=clinic), factories.tomorrow_at(9))


def test_one_device_is_not_held_twice(slots, second_room, laser):
    booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me")
    with pytest.raises(errors.EquipmentTaken):
        booking.hold_slots(slot_id=second_room[0].pk, service_id=laser.pk, owner="rival")
    assert not Slot.objects.get(pk=second_room[0].pk).hold_id
    booking.hold_slots(slot_id=second_room[1].pk, service_id=laser.pk, owner="rival")
    assert not broken()


def test_two_units_serve_two(slots, second_room, laser, device):
    type(device).objects.update(units=2)
    booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me")
    booking.hold_slots(slot_id=second_room[0].pk, service_id=laser.pk, owner="rival")
    assert sorted(EquipmentReservation.objects.values_list("unit", flat=True)) == [1, 2]


def test_booking_keeps_the_device_and_cancelling_frees_it(slots, second_room, laser, patient):
    made = confirm(booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me"), patient)
    assert EquipmentReservation.objects.get().booking == made
    with pytest.raises(errors.EquipmentTaken):
        booking.hold_slots(slot_id=second_room[0].pk, service_id=laser.pk, owner="rival")
    with transaction.atomic():
        booking.cancel_booking(booking_id=made.pk, by=None, reason="clinic")
    booking.hold_slots(slot_id=second_room[0].pk, service_id=laser.pk, owner="rival")
    assert not broken()


def test_device_of_a_run_out_hold_is_free(slots, second_room, laser):
    run_out(booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me"))
    booking.hold_slots(slot_id=second_room[0].pk, service_id=laser.pk, owner="rival")
    assert EquipmentReservation.objects.get().hold.owner == "rival"


def test_late_confirmation_wins_the_device_back_or_is_refused(slots, second_room, laser, patient):
    mine = booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me")
    run_out(mine)
    rival = booking.hold_slots(slot_id=second_room[0].pk, service_id=laser.pk, owner="rival")
    with pytest.raises(errors.EquipmentTaken):
        confirm(mine, patient, late=True)
    booking.release_hold(hold_id=rival.pk, owner="rival")
    confirm(mine, patient, late=True)
    assert not broken()


def test_clinic_without_the_device_does_not_offer_it(slots, laser, device):
    device.delete()
    with pytest.raises(errors.EquipmentTaken):
        booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me")


def test_search_shows_what_the_device_allows(slots, second_room, laser, clinic, patient):
    confirm(booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me"), patient)
    day = clinic.local_date(slots[0].starts_at)
    (other,) = [
        person
        for person in day_times(service=laser, clinics=[clinic], day=day)
        if person.practitioner_id == second_room[0].practitioner_id
    ]
    assert [time.status for time in other.times] == ["booked"] + ["available"] * 5


def test_search_without_equipment_is_untouched(slots, service, laser, clinic, patient):
    confirm(booking.hold_slots(slot_id=slots[0].pk, service_id=laser.pk, owner="me"), patient)
    day = clinic.local_date(slots[0].starts_at)
    (person,) = day_times(service=service, clinics=[clinic], day=day)
    assert [time.status for time in person.times] == ["booked"] + ["available"] * 5
