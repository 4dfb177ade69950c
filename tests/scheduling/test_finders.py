import pytest

from patients.search import find_patients
from tests import factories

pytestmark = pytest.mark.django_db


def found(asked, patient):
    """As staff of a clinic that knows the patient; others find nobody."""
    staff, stranger = factories.MembershipFactory(), factories.MembershipFactory()
    factories.known(patient, staff.clinic)
    assert find_patients(asked, by=stranger.user) == []
    return find_patients(asked, by=staff.user)


def test_found_by_the_reference_of_a_booking(slots):
    booking = factories.book(slots[:1], reference="ABCDEF2345")
    for asked in ("ABCDEF2345", "abcdef2345", "ABCDEF"):
        assert found(asked, booking.patient) == [booking.patient]
    assert found("BCDEF2345", booking.patient) == found("ABCDE", booking.patient) == []


def test_found_by_the_reference_of_a_contract():
    request = factories.BookingRequestFactory(source="contract", contract="C-2026-0042")
    for asked in ("C-2026-0042", "c2026-0042"):
        assert found(asked, request.patient) == [request.patient]
    assert found("C-2026-0043", request.patient) == []
