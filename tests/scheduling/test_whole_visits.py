"""A visit of several appointments as one: shown, moved, cancelled, added to the calendar, told of in one letter."""

import datetime as dt
import re

import pytest
from django.core import mail
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse
from icalendar import Calendar

from clinic_booking.models import Event
from scheduling import booking as verbs
from scheduling import holds
from scheduling.models import Booking, Clinic, Slot
from scheduling.notifications import mail_about_visit
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def xray(db):
    return factories.ServiceFactory(
        slug="x-ray",
        name="X-ray",
        station_kind="x-ray",
        price_cents=8500,
        practitioners=[factories.PractitionerFactory(name="Koh Zhi Wei")],
    )


@pytest.fixture
def xray_slots(xray, clinic):
    Clinic.objects.update(free_cancel_hours=0)
    room = factories.StationFactory(clinic=clinic, name="X-ray", kind="x-ray")
    return factories.make_slots(xray.practitioners.get(), room, factories.tomorrow_at(9))


def book(patient, *places, by=None):
    parts = [holds.Part(slot.pk, service.pk) for slot, service in places]
    lead = verbs.hold_together(parts=parts, owner="browser", patient=patient)[0]
    with transaction.atomic():
        verbs.confirm_hold(hold_id=lead.pk, patient=patient, by=by)
    return list(verbs.bookings_of(lead))


@pytest.fixture
def visit(slots, service, xray_slots, xray, patient):
    """Consultation at nine, x-ray at 9:40."""
    return book(patient, (slots[0], service), (xray_slots[2], xray))


@pytest.fixture
def own(client, patient):
    client.force_login(patient.user)
    return client


def page(client, booking, name="booking"):
    return client.get(reverse(name, args=[booking.reference])).content.decode()


def proposals(response):
    return [found.split() for found in re.findall(r'data-proposal="([^"]*)"', response.content.decode())]


def statuses():
    return list(Booking.objects.order_by("starts_at").values_list("status", flat=True))


@pytest.mark.parametrize("number", [0, 1])
def test_each_stop_shows_the_whole_visit(own, visit, number):
    shown = page(own, visit[number])
    assert f'data-booking="{visit[number].reference}"' in shown
    assert (
        shown.index("General consultation")
        < shown.index("20 min between, 2 min on foot")
        < shown.index("X-ray")
    )
    assert "S$\u00a0150.00" in shown


def test_single_visit_is_shown_as_before(own, slots, service, patient):
    (booking,) = book(patient, (slots[0], service))
    assert "data-stops" not in page(own, booking)


def test_other_patients_are_not_shown(own, visit, slots, service, other_patient):
    book(other_patient, (slots[3], service))
    assert 'data-stops="2"' in page(own, visit[0])


def test_calendar_file_has_all_stops(own, visit):
    file = own.get(reverse("booking_ics", args=[visit[1].reference])).content
    events = Calendar.from_ical(file).walk("VEVENT")
    assert [event.start for event in events] == [each.starts_at for each in visit]


def test_one_letter_for_what_was_booked_together(visit):
    for event in Event.objects.filter(topic="appointment.booked"):
        mail_about_visit(event)
    [message] = mail.outbox
    assert message.subject == "Your 2 appointments are booked"
    assert all(each.reference in message.body for each in visit)
    assert "X-ray" not in message.body.replace(visit[1].station.name + ",", "")


# -- Cancelling ----------------------------------------------------------------------------------


def cancel(client, booking, **fields):
    return client.post(reverse("cancellation", args=[booking.reference]), fields)


def test_whole_visit_is_cancelled(own, visit):
    cancel(own, visit[1], scope="visit")
    assert statuses() == ["cancelled", "cancelled"]
    assert not Slot.objects.filter(booking__isnull=False).exists()
    assert 'data-stops="2"' in page(own, visit[0])


def test_one_of_the_visit_is_cancelled(own, visit):
    cancel(own, visit[1], scope="one")
    assert statuses() == ["booked", "cancelled"]


@pytest.mark.parametrize("asked", [0, 1])
def test_what_is_left_of_a_visit_is_cancelled(own, visit, asked):
    Booking.objects.filter(pk=visit[0].pk).update(status=Booking.Status.ARRIVED)
    url = reverse("cancellation", args=[visit[asked].reference])
    shown = own.get(url).content.decode()
    assert re.findall(r'name="scope" value="(\w+)"', shown) == ["one"]
    assert "Yes, cancel X-ray" in shown
    cancel(own, visit[asked], scope="one")
    assert statuses() == ["arrived", "cancelled"]


def test_visit_that_began_cannot_be_cancelled_by_the_patient(own, visit):
    """The first appointment has begun: then the second is not cancelled either."""
    Booking.objects.filter(pk=visit[0].pk).update(starts_at=Now() - dt.timedelta(minutes=1))
    assert cancel(own, visit[1], scope="plan").status_code == 409
    assert statuses() == ["booked", "booked"]


def test_staff_cancel_as_the_clinic_at_any_time(client, receptionist, visit):
    Booking.objects.update(free_cancel_hours=24 * 30, late_cancel_fee_cents=1000)
    client.force_login(receptionist)
    cancel(client, visit[0], scope="visit")
    made = Booking.objects.first()
    assert (statuses(), made.cancel_reason, made.cancelled_by) == (["cancelled"] * 2, "clinic", receptionist)


def test_stranger_sees_and_changes_nothing(client, other_patient, visit):
    client.force_login(other_patient.user)
    assert cancel(client, visit[0], scope="visit").status_code == 404
    assert client.get(reverse("visit_move", args=[visit[0].reference])).status_code == 404
    assert statuses() == ["booked", "booked"]


def test_course_can_be_cancelled_as_a_whole(own, patient, practitioner, station, service):
    days = [
        factories.make_slots(practitioner, station, factories.tomorrow_at(9) + n * factories.dt.timedelta(7))
        for n in range(3)
    ]
    Clinic.objects.update(free_cancel_hours=0)
    made = book(patient, *((slots[0], service) for slots in days))
    shown = page(own, made[0])
    assert all(each.reference in shown for each in made)
    cancel(own, made[0], scope="plan")
    assert statuses() == ["cancelled"] * 3


# -- Moving --------------------------------------------------------------------------------------


def to_move(client, booking):
    return client.get(reverse("visit_move", args=[booking.reference]))


def move(client, booking, parts, visit):
    fields = {"part": parts, "version": [each.version for each in visit]}
    return client.post(reverse("visit_move", args=[booking.reference]), fields)


def test_visit_moves_as_one(own, visit, slots, xray_slots):
    parts = proposals(to_move(own, visit[1]))[0]
    response = move(own, visit[1], parts, visit)
    assert response["Location"] == reverse("booking", args=[visit[1].reference])
    moved = list(Booking.objects.order_by("starts_at"))
    assert [each.pk for each in moved] == [each.pk for each in visit]
    assert [each.starts_at for each in moved] == [slots[1].starts_at, xray_slots[3].starts_at]
    assert Slot.objects.filter(booking__isnull=False).count() == 2


def test_lost_part_moves_nothing(own, visit, xray_slots, xray, service, slots):
    parts = proposals(to_move(own, visit[0]))[0]
    factories.book(xray_slots[3:4], service=xray)
    response = move(own, visit[0], parts, visit)
    assert response.status_code == 409
    assert "Someone else has just taken this time" in response.content.decode()
    assert [each.starts_at for each in verbs.bookings_of(visit[0].hold)] == [each.starts_at for each in visit]


@pytest.mark.parametrize("change", ["versions", "parts", "order"])
def test_move_of_another_state_of_the_visit_is_refused(own, visit, change):
    parts = proposals(to_move(own, visit[0]))[0]
    if change == "versions":
        Booking.objects.filter(pk=visit[1].pk).update(version=7)
    elif change == "parts":
        parts = parts[:1]
    else:
        parts = parts[::-1]
    assert move(own, visit[0], parts, visit).status_code in (409, 422)
    assert [each.starts_at for each in verbs.bookings_of(visit[0].hold)] == [each.starts_at for each in visit]


def test_what_was_booked_alone_moves_alone(own, slots, service, xray_slots, xray, patient):
    (consultation,) = book(patient, (slots[0], service))
    book(patient, (xray_slots[2], xray))
    shown = page(own, consultation)
    assert "Move the whole visit" in shown
    assert "Move only General consultation" in shown
    data = {"slot": slots[3].pk, "version": consultation.version}
    assert own.post(reverse("move", args=[consultation.reference]), data).status_code == 302
    assert [b.slots.first().pk for b in Booking.objects.order_by("pk")] == [slots[3].pk, xray_slots[2].pk]


def test_what_was_booked_together_moves_together(own, visit):
    assert "Move only" not in page(own, visit[0])


def test_own_visit_does_not_stand_in_its_own_way(own, visit):
    """Its times may be taken by its other appointments, and count as free of the patient."""
    assert to_move(own, visit[0]).status_code == 200
    assert proposals(to_move(own, visit[0]))


def test_too_late_to_move(own, visit):
    Booking.objects.update(free_cancel_hours=24 * 30)
    assert to_move(own, visit[0]).status_code == 409
