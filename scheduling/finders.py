"""Patients found by the reference of a booking or of a contract, also by its beginning."""

import re

from patients.search import register
from scheduling.models import Booking, BookingRequest

FEW = 10
is_reference = re.compile(r"[0-9A-Z]{6,12}", re.IGNORECASE | re.ASCII).fullmatch
is_contract = re.compile(r"C-?\d{4}-\d{2,}", re.IGNORECASE | re.ASCII).fullmatch


@register
def by_booking(asked: str) -> list[int]:
    if not is_reference(asked):
        return []
    found = Booking.objects.filter(reference__startswith=asked.upper())
    return list(dict.fromkeys(found.values_list("patient_id", flat=True)[:FEW]))


@register
def by_contract(asked: str) -> list[int]:
    """Confirmed ones: a draft asks for no session yet."""
    if not is_contract(asked):
        return []
    reference = "C-" + asked[1:].lstrip("-")
    found = BookingRequest.objects.filter(contract=reference).exclude(contract="")
    return list(dict.fromkeys(found.values_list("patient_id", flat=True)[:FEW]))
