"""Visits of the last days that did not take place: fees that are owed, and one in each clinic that was waived."""

from collections.abc import Sequence

from billing.bills import keep_bill
from billing.waivers import waive_fee
from clinic_booking.models import User
from scheduling.demo.staff import username
from scheduling.models import Booking, Clinic

SHOWN = 2  # of each kind, in each clinic


def make_fees(clinics: Sequence[Clinic]) -> int:
    """Done once: what has its bill is left as it is. Returns how many fees there are."""
    desk = User.objects.get(username=username("receptionist"))
    return sum(_fees_of(clinic, desk) for clinic in clinics)


def _fees_of(clinic: Clinic, desk: User) -> int:
    first, _until = clinic.day_bounds(clinic.today())
    past = Booking.objects.filter(clinic=clinic, starts_at__lt=first, fee_cents__gt=0).order_by(
        "-starts_at", "pk"
    )
    if past.filter(bill__isnull=False).exists():
        return 0
    late = list(past.filter(status=Booking.Status.CANCELLED)[: SHOWN + 1])
    absent = list(past.filter(status=Booking.Status.NOSHOW)[:SHOWN])
    for booking in (*late, *absent):
        keep_bill(booking.pk)
    for booking in late[:1]:
        waive_fee(booking_id=booking.pk, reason="Was ill, has shown a doctor's letter", by=desk)
    return len(late) + len(absent)
