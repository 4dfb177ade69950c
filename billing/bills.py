"""One bill for each booking, made from `appointment.booked` and then kept true to what became of it."""

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from billing import groups
from billing.locks import lock
from billing.models import Bill, BillLine, BillSeries, CounterPayment, Payment
from clinic_booking.events import publish
from scheduling.models import Booking

# The rate from a day on, newest first, in basis points (IRAS).
GST_RATES = [(dt.date(2024, 1, 1), 900), (dt.date(2023, 1, 1), 800)]


def gst_basis_points(day: dt.date) -> int:
    return next((rate for since, rate in GST_RATES if day >= since), 0)


def gst_within(total_cents: int, basis_points: int) -> int:
    """The tax inside an inclusive price, half a cent upwards; always on the total, never on lines."""
    return (2 * total_cents * basis_points + 10000 + basis_points) // (2 * (10000 + basis_points))


def keep_bill(booking_id: int) -> Bill:
    """Issue the bill unless it exists, and bring its status to that of payment and booking. Safe to repeat."""
    with transaction.atomic(durable=True):
        booking = Booking.objects.select_related("clinic__legal_entity", "service", "session__request").get(
            pk=booking_id
        )
        # The payment's lock, then the series': what is read below cannot change until the bill says it.
        paid_by = groups.payment_of(booking.pk)
        payment = lock(paid_by) if paid_by else None
        bill = _issue(booking)
        booking.refresh_from_db(fields=["status"])
        counter = CounterPayment.objects.filter(bill=bill).first()
        status = _status(booking, payment, counter, bill)
        if bill.status != status:
            closed = status in (Bill.Status.VOID, Bill.Status.REFUNDED)
            Bill.objects.filter(pk=bill.pk).update(status=status, closed_at=Now() if closed else None)
            bill.refresh_from_db()
    return bill


def _issue(booking: Booking) -> Bill:
    entity = booking.clinic.legal_entity
    series, _is_new = BillSeries.objects.get_or_create(legal_entity=entity)
    series = BillSeries.objects.select_for_update(no_key=True).get(pk=series.pk)
    if bill := Bill.objects.filter(booking=booking).first():
        return bill
    basis_points = gst_basis_points(booking.clinic.today()) if entity.gst_number else 0
    series.last_number += 1
    series.save(update_fields=["last_number"])
    bill = Bill.objects.create(
        booking=booking,
        patient_id=booking.patient_id,
        legal_entity=entity,
        number=series.last_number,
        entity_name=entity.name,
        entity_uen=entity.uen,
        entity_gst_number=entity.gst_number,
        entity_address=booking.clinic.address,
        currency=settings.CURRENCY,
        total_cents=booking.price_cents,
        gst_cents=gst_within(booking.price_cents, basis_points),
        gst_basis_points=basis_points,
    )
    BillLine.objects.create(
        bill=bill, position=1, description=line_text(booking), amount_cents=booking.price_cents
    )
    data = {"bill": bill.pk, "booking": booking.pk, "total_cents": bill.total_cents}
    publish("bill.issued", f"bill:{bill.pk}", data, clinic_id=booking.clinic_id)
    return bill


def line_text(booking: Booking) -> str:
    request = booking.session.request
    if not request.is_prepaid:
        return booking.service.name
    which = {"number": booking.session.number, "quantity": request.quantity}
    return f"{booking.service.name}: " + _("session %(number)d of %(quantity)d, prepaid") % which


def _status(booking: Booking, payment: Payment | None, counter: CounterPayment | None, bill: Bill) -> str:
    if counter:
        return Bill.Status.REFUNDED if counter.returned_at else Bill.Status.PAID
    # Without a booking it came too late for this one, and went back.
    if payment and payment.booking_id and payment.captured_cents and bill.total_cents:
        back = payment.status == Payment.Status.REFUNDED or _is_paid_back(booking, payment)
        return Bill.Status.REFUNDED if back else Bill.Status.PAID
    if booking.status == Booking.Status.CANCELLED:
        return Bill.Status.VOID
    return Bill.Status.PAID if bill.total_cents == 0 else Bill.Status.ISSUED


def _is_paid_back(booking: Booking, payment: Payment) -> bool:
    """One of several that were paid together: the payment stays paid, what was cancelled of it is back."""
    if booking.status != Booking.Status.CANCELLED or payment.status != Payment.Status.PAID:
        return False
    return payment.refunded_cents >= groups.due_back(payment, payment.captured_cents)
