"""Reads the database and says which hard rule a booked session breaks. Shares nothing with the matching."""

import datetime as dt
from collections import defaultdict

from scheduling.models import Booking, BookingRequest, Equipment, EquipmentReservation


def broken_rules():
    return [*_requests(), *_patients(), *_equipment(), *_supply()]


def _requests():
    for request in BookingRequest.objects.prefetch_related("patterns__practitioners", "patterns__clinics"):
        live = [
            (session.number, booking)
            for session in request.sessions.order_by("number")
            for booking in session.bookings.exclude(status__in=["cancelled", "noshow"])
        ]
        hard = [pattern for pattern in request.patterns.all() if pattern.is_hard]
        for number, booking in live:
            for rule in _single(request, hard, booking):
                yield f"session {number} of {request.pk}: {rule}"
        numbers = set(request.sessions.filter(status="planned").values_list("number", flat=True))
        for (number, one), (following, other) in zip(live, live[1:], strict=False):
            if other.starts_at < one.ends_at:
                yield f"{request.pk}: {following} begins before {number} ends"
            gap = (_local(other).date() - _local(one).date()).days
            between = numbers & set(range(number, following))
            for pattern in hard:
                if pattern.min_gap_days is not None and gap < pattern.min_gap_days:
                    yield f"{request.pk}: {number} and {following} are {gap} days apart"
                if pattern.max_gap_days is not None and gap > pattern.max_gap_days and not between:
                    yield f"{request.pk}: {number} and {following} are {gap} days apart"


def _single(request, hard, booking):
    begin, end = _local(booking), booking.ends_at.astimezone(booking.clinic.zone)
    day = begin.date()
    if request.valid_from and day < request.valid_from or request.valid_until and day > request.valid_until:
        yield "validity"
    for pattern in hard:
        if pattern.weekdays and day.isoweekday() not in pattern.weekdays:
            yield "weekday"
        if pattern.from_time and begin.time() < pattern.from_time:
            yield "too early"
        if pattern.until_time and (end.date() > day or end.time() > pattern.until_time):
            yield "too late"
        if pattern.earliest and day < pattern.earliest or pattern.latest and day > pattern.latest:
            yield "date"
        if (who := pattern.practitioners.all()) and booking.practitioner not in who:
            yield "practitioner"
        if (where := pattern.clinics.all()) and booking.clinic not in where:
            yield "clinic"


def _local(booking) -> dt.datetime:
    return booking.starts_at.astimezone(booking.clinic.zone)


def _live():
    return Booking.objects.exclude(status__in=["cancelled", "noshow"])


def _patients():
    by_patient = defaultdict(list)
    for booking in _live().order_by("starts_at"):
        by_patient[booking.patient_id].append(booking)
    for patient, bookings in by_patient.items():
        for one, other in zip(bookings, bookings[1:], strict=False):
            if other.starts_at < one.ends_at:
                yield f"patient {patient} is in two places"


def _equipment():
    for equipment in Equipment.objects.all():
        uses = EquipmentReservation.objects.filter(equipment=equipment, booking__isnull=False)
        for use in uses:
            at_once = uses.filter(starts_at__lte=use.starts_at, ends_at__gt=use.starts_at).count()
            if at_once > equipment.units:
                yield f"{equipment} is used {at_once} times at once"
    for booking in _live().select_related("service"):
        reserved = booking.reservations.values_list("equipment__kind", flat=True)
        if set(reserved) != set(booking.service.equipment_kinds):
            yield f"{booking} has not its equipment"


def _supply():
    for booking in _live().select_related("service", "station", "session"):
        slots = list(booking.slots.order_by("starts_at"))
        if not slots:
            continue
        end = slots[0].starts_at
        for slot in slots:
            if slot.starts_at != end or slot.practitioner_id != booking.practitioner_id:
                yield f"{booking} has slots apart"
            end = slot.ends_at
        if slots[0].starts_at != booking.starts_at or end < booking.starts_at + booking.service.occupied:
            yield f"{booking} has too few slots"
        if booking.station.kind != booking.service.station_kind:
            yield f"{booking} is in the wrong kind of room"
        if not booking.service.practitioners.filter(pk=booking.practitioner_id).exists():
            yield f"{booking} is with somebody who does not offer it"
