import pytest

from patients.models import PatientClinic
from tests.factories import BookingFactory, tomorrow_at

pytestmark = pytest.mark.django_db


def test_who_books_at_a_clinic_is_known_there_once():
    booking = BookingFactory()
    BookingFactory(patient=booking.patient, clinic=booking.clinic, starts_at=tomorrow_at(15))
    known = PatientClinic.objects.filter(patient=booking.patient)
    assert [each.clinic_id for each in known] == [booking.clinic_id]
