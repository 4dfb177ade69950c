"""From the hold to the visit over HTTP: details, consent, and the way without a payment."""

import pytest

from patients.models import Consent, Patient
from scheduling.models import Booking, Clinic
from tests.billing.steps import post


@pytest.fixture
def pay_at_clinic(clinic):
    clinic.payment_policy = Clinic.PaymentPolicy.PAY_AT_CLINIC
    clinic.save()


def test_checkout_shows_what_is_booked(client, hold):
    response = client.get(f"/checkout/{hold.pk}/")
    assert response.status_code == 200
    assert "General consultation" in response.content.decode()
    assert response["Cache-Control"].startswith("max-age=0, no-cache, no-store")


def test_confirms_without_a_payment(client, pay_at_clinic, hold):
    response = post(client, hold)
    booking = Booking.objects.get(hold=hold)
    assert response.status_code == 303
    assert response["Location"] == f"/bookings/{booking.reference}/"
    assert client.get(response["Location"]).status_code == 200
    assert (booking.patient.name, booking.patient.phone) == ("Siti Rahmah", "+6591234567")
    assert booking.note == "Second floor, please"
    assert Consent.objects.get().patient == booking.patient


def test_posted_twice_is_booked_once(client, pay_at_clinic, hold):
    first, second = post(client, hold), post(client, hold)
    assert first["Location"] == second["Location"]
    assert Booking.objects.count() == Patient.objects.count() == Consent.objects.count() == 1
