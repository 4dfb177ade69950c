"""From the hold to the visit over HTTP: details, consent, and the way without a payment."""

import uuid

import pytest

from patients.models import Consent, Patient
from scheduling.models import Booking, Clinic, Hold
from tests import clock

DETAILS = {
    "name": "Siti Rahmah",
    "email": "siti@example.com",
    "phone": "9123 4567",
    "note": "Second floor, please",
    "consent": "on",
}


@pytest.fixture
def pay_at_clinic(clinic):
    clinic.payment_policy = Clinic.PaymentPolicy.PAY_AT_CLINIC
    clinic.save()


def take(client, slot, service):
    response = client.post("/holds/", {"slot": slot.pk, "service": service.pk})
    assert response.status_code == 303
    return Hold.objects.get(pk=uuid.UUID(response["Location"].split("/")[2]))


def pay(client, hold, **changes):
    return client.post(f"/checkout/{hold.pk}/payment/", DETAILS | changes)


@pytest.fixture
def hold(client, slots, service):
    return take(client, slots[0], service)


def test_checkout_shows_what_is_booked(client, hold):
    response = client.get(f"/checkout/{hold.pk}/")
    assert response.status_code == 200
    assert "General consultation" in response.content.decode()
    assert response["Cache-Control"].startswith("max-age=0, no-cache, no-store")


def test_confirms_without_a_payment(client, pay_at_clinic, hold):
    response = pay(client, hold)
    booking = Booking.objects.get(hold=hold)
    assert response.status_code == 303
    assert response["Location"] == f"/bookings/{booking.reference}/"
    assert client.get(response["Location"]).status_code == 200
    assert (booking.patient.name, booking.patient.phone) == ("Siti Rahmah", "+6591234567")
    assert booking.note == "Second floor, please"
    assert Consent.objects.get().patient == booking.patient


def test_posted_twice_is_booked_once(client, pay_at_clinic, hold):
    first, second = pay(client, hold), pay(client, hold)
    assert first["Location"] == second["Location"]
    assert Booking.objects.count() == Patient.objects.count() == Consent.objects.count() == 1
