import pytest

from patients.search import find_patients
from tests import factories

pytestmark = pytest.mark.django_db


def test_found_by_the_reference_of_a_booking(slots):
    booking = factories.book(slots[:1], reference="ABCDEF2345")
    for asked in ("ABCDEF2345", "abcdef2345", "ABCDEF"):
        assert find_patients(asked) == [booking.patient]
    assert find_patients("BCDEF2345") == find_patients("ABCDE") == []


def test_found_by_the_reference_of_a_contract():
    request = factories.BookingRequestFactory(source="contract", contract="C-2026-0042")
    for asked in ("C-2026-0042", "c2026-0042"):
        assert find_patients(asked) == [request.patient]
    assert find_patients("C-2026-0043") == []
