"""Bills for the bookings of the demo, in sets. Nothing is paid yet, no event is published."""

import datetime as dt
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.bills import gst_basis_points, gst_within, line_text
from billing.models import Bill, BillLine, BillSeries
from scheduling.models import Booking, Clinic, LegalEntity

BILLED = dt.timedelta(14)  # the weeks before are history, for the reports


def bill_bookings(clinics: Sequence[Clinic]) -> int:
    """Issue what is missing for bookings that were never held, entity by entity. Returns how many."""
    entities = LegalEntity.objects.filter(clinic__in=clinics).distinct().order_by("pk")
    return sum(_bill_entity(entity) for entity in entities)


def pay_bills(clinics: Sequence[Clinic]) -> int:
    """Most of those who are here or were here have paid at the counter. Every tenth owes."""
    today = clinics[0].today()
    due = Bill.objects.filter(
        booking__clinic__in=clinics, booking__visit__date__lte=today, status=Bill.Status.ISSUED
    )
    here = due.exclude(booking__status=Booking.Status.BOOKED).exclude(pk__iendswith="7")
    return here.update(status=Bill.Status.PAID)


def _bill_entity(entity: LegalEntity) -> int:
    since = timezone.localdate() - BILLED
    with transaction.atomic():
        series, _created = BillSeries.objects.get_or_create(legal_entity=entity)
        # The update is the lock of the series, as in bills.py: no other number is given until the end.
        BillSeries.objects.filter(pk=series.pk).update(last_number=F("last_number"))
        series.refresh_from_db()
        bookings = list(
            Booking.objects.filter(clinic__legal_entity=entity, hold=None, bill=None, visit__date__gte=since)
            .select_related("clinic", "service", "session__request")
            .order_by("created_at", "pk")
        )
        numbered = enumerate(bookings, series.last_number + 1)
        bills = Bill.objects.bulk_create(_bill(entity, booking, number) for number, booking in numbered)
        BillLine.objects.bulk_create(
            BillLine(bill=b, position=1, description=line_text(b.booking), amount_cents=b.total_cents)
            for b in bills
        )
        series.last_number += len(bills)
        series.save(update_fields=["last_number"])
    return len(bills)


def _bill(entity: LegalEntity, booking: Booking, number: int) -> Bill:
    basis_points = gst_basis_points(timezone.localdate()) if entity.gst_number else 0
    is_void = booking.status == Booking.Status.CANCELLED
    return Bill(
        booking=booking,
        patient_id=booking.patient_id,
        legal_entity=entity,
        number=number,
        entity_name=entity.name,
        entity_uen=entity.uen,
        entity_gst_number=entity.gst_number,
        entity_address=booking.clinic.address,
        currency=settings.CURRENCY,
        total_cents=booking.price_cents,
        gst_cents=gst_within(booking.price_cents, basis_points),
        gst_basis_points=basis_points,
        status=Bill.Status.VOID if is_void else _open(booking),
        closed_at=booking.cancelled_at,
    )


def _open(booking: Booking) -> str:
    return Bill.Status.ISSUED if booking.price_cents else Bill.Status.PAID
