"""Bills for the bookings of the demo, in sets. Nothing is paid yet, no event is published."""

import datetime as dt
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from billing import gst, ledger
from billing.bills import line_text, owed_by_rule
from billing.models import Bill, BillLine, BillSeries, CounterPayment, CreditNote
from clinic_booking.models import User
from scheduling.demo.staff import username
from scheduling.models import Booking, Clinic, LegalEntity

HERE = (Booking.Status.ARRIVED, Booking.Status.FULFILLED)
BILLED = dt.timedelta(14)  # the weeks before are history, for the reports


def bill_bookings(clinics: Sequence[Clinic]) -> int:
    """Issue what is missing for bookings that were never held, entity by entity. Returns how many."""
    entities = LegalEntity.objects.filter(clinic__in=clinics).distinct().order_by("pk")
    return sum(_bill_entity(entity) for entity in entities)


def bill_day(clinic: Clinic, day: dt.date) -> list[Bill]:
    """A day that is over: each visit is billed at its end."""
    bookings = Booking.objects.filter(clinic=clinic, visit__date=day, bill=None)
    with transaction.atomic():
        return _issue(clinic.legal_entity, bookings, is_over=True)


def pay_bills(clinics: Sequence[Clinic]) -> int:
    """Most of those who are here or were here have paid at the counter. Every tenth owes."""
    today, desk = clinics[0].today(), User.objects.get(username=username("receptionist"))
    due = Bill.objects.filter(
        booking__clinic__in=clinics, booking__visit__date__lte=today, status__in=Bill.UNPAID
    )
    here = due.filter(booking__status__in=HERE).exclude(pk__iendswith="7")
    with transaction.atomic():
        taken = CounterPayment.objects.bulk_create(
            CounterPayment(bill=bill, amount_cents=bill.due_cents, method=_method(bill), taken_by=desk)
            for bill in here.select_related("clinic", "booking")
        )
        ledger.post_all(map(ledger.taken, taken))
    return len(taken)


def _method(bill: Bill) -> CounterPayment.Method:
    methods = list(CounterPayment.Method)
    return methods[bill.pk % len(methods)]


def _bill_entity(entity: LegalEntity) -> int:
    """What was before the demo's first bill is history. The past of a contract was made with it."""
    first = Bill.objects.aggregate(at=Min("issued_at"))["at"] or timezone.now()
    since = max(timezone.localdate(first), timezone.localdate() - BILLED)
    asked = Q(visit__date__gte=since) | ~Q(session__request__contract="")
    with transaction.atomic():
        bookings = Booking.objects.filter(asked, clinic__legal_entity=entity, hold=None, bill=None)
        return len(_issue(entity, bookings))


def _issue(entity: LegalEntity, asked: QuerySet[Booking], *, is_over: bool = False) -> list[Bill]:
    series, _created = BillSeries.objects.get_or_create(legal_entity=entity)
    # The update is the lock of the series, as in bills.py: no other number is given until the end.
    BillSeries.objects.filter(pk=series.pk).update(last_number=F("last_number"))
    series.refresh_from_db()
    related = asked.select_related("clinic", "service", "session__request", "visit")
    bookings = list(related.order_by("ends_at" if is_over else "created_at", "pk"))
    numbered = enumerate(bookings, series.last_number + 1)
    bills = Bill.objects.bulk_create(_bill(entity, booking, number, is_over) for number, booking in numbered)
    BillLine.objects.bulk_create(
        BillLine(bill=b, position=1, description=line_text(booking), amount_cents=b.total_cents)
        for b, booking in zip(bills, bookings, strict=True)
    )
    series.last_number += len(bills)
    days = [booking.visit.date if is_over else None for booking in bookings]
    ledger.post_all(ledger.issued(b)._replace(date=day) for b, day in zip(bills, days, strict=True))
    pairs = zip(bills, bookings, strict=True)
    _credit([(bill, surplus) for bill, of in pairs if (surplus := of.price_cents - owed_by_rule(of))], series)
    series.save(update_fields=["last_number", "last_credit_number"])
    return bills


def _bill(entity: LegalEntity, booking: Booking, number: int, is_over: bool) -> Bill:
    gst_number, basis_points = gst.of_entity(entity, timezone.localdate())
    return Bill(
        booking=booking,
        issued_at=booking.ends_at if is_over else Now(),
        clinic=booking.clinic,
        patient_id=booking.patient_id,
        legal_entity=entity,
        number=number,
        entity_name=entity.name,
        entity_uen=entity.uen,
        entity_gst_number=gst_number,
        entity_address=booking.clinic.address,
        currency=settings.CURRENCY,
        total_cents=booking.price_cents,
        gst_cents=gst.within(booking.price_cents, basis_points),
        gst_basis_points=basis_points,
    )


def _credit(surplus: Sequence[tuple[Bill, int]], series: BillSeries) -> None:
    """What is not owed for visits that did not take place: the same as `bills.credit`, for many at once."""
    notes = CreditNote.objects.bulk_create(
        CreditNote(
            bill=bill,
            legal_entity=series.legal_entity,
            number=number,
            amount_cents=cents,
            gst_cents=bill.gst_cents - gst.within(bill.total_cents - cents, bill.gst_basis_points),
            reason=CreditNote.Reason.CANCELLED
            if bill.booking and bill.booking.status == Booking.Status.CANCELLED
            else CreditNote.Reason.NOSHOW,
        )
        for number, (bill, cents) in enumerate(surplus, series.last_credit_number + 1)
    )
    series.last_credit_number += len(notes)
    ledger.post_all(map(ledger.credited, notes))
