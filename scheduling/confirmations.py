"""The patient says that they come. It is of a time: a visit that is moved is not confirmed any more."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Q

from clinic_booking.models import User
from scheduling.locks import acted, database_now, tell
from scheduling.models import Booking


def confirm(*, booking_ids: Iterable[int], by: User | None) -> int:
    """Those that are still booked and ahead, once each. Returns how many."""
    now, confirmed = database_now(), 0
    with transaction.atomic():
        for pk in sorted(booking_ids):
            # The condition is the lock: of two taps one changes the row.
            open_ones = Booking.objects.filter(
                ~Q(confirmed_version=F("version")) | Q(confirmed_version=None),
                pk=pk,
                status=Booking.Status.BOOKED,
                starts_at__gt=now,
            )
            if open_ones.update(confirmed_at=now, confirmed_version=F("version")):
                tell("appointment.confirmed_by_patient", Booking.objects.get(pk=pk), **acted(by))
                confirmed += 1
    return confirmed
