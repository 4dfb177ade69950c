"""Paying at the counter: the whole bill, once. Whether it is paid online meanwhile is decided under the same locks."""

import uuid

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from billing import bills, groups
from billing.forms import holds_card_number
from billing.locks import lock, lock_bill
from billing.models import Bill, CounterPayment, Payment
from billing.payments import PaidAlready, VisitOver, is_over
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling.booking import database_now
from scheduling.errors import BookingError
from scheduling.models import Booking

Status = Payment.Status
UNDER_WAY = (Status.SUBMITTING, Status.REQUIRES_ACTION, Status.CAPTURING)


class BeingPaid(BookingError):
    sentence = _("The patient is paying this online at this moment. Please wait a little and look again.")


class WrongAmount(BookingError):
    status = 422
    sentence = _("The amount is not that of the bill. Nothing was recorded.")


class CardNumber(BookingError):
    status = 422
    sentence = _("Please do not write card numbers here. Nothing was recorded.")


class NothingToReturn(BookingError):
    sentence = _("There is nothing to give back for this visit.")


def take_payment(
    *, booking_id: int, amount_cents: int, method: CounterPayment.Method, reference: str, by: User
) -> CounterPayment:
    """The bill is paid. Repeated with the same words it is the first one again.

    Raises PaidAlready, BeingPaid, VisitOver, WrongAmount, CardNumber.
    """
    if holds_card_number(reference):
        raise CardNumber
    bills.keep_bill(booking_id)
    with transaction.atomic(durable=True):
        booking, bill = _lock(booking_id)
        said = {"amount_cents": amount_cents, "method": method, "reference": reference.strip()[:40]}
        if earlier := CounterPayment.objects.filter(bill=bill).first():
            if {name: getattr(earlier, name) for name in said} == said and earlier.taken_by == by:
                return earlier
            raise PaidAlready
        if is_over(booking):
            raise VisitOver
        if bill.status != Bill.Status.ISSUED:
            raise PaidAlready
        if Payment.objects.filter(hold=booking.hold_id, status__in=UNDER_WAY).exists():
            raise BeingPaid
        if amount_cents != bill.total_cents:
            raise WrongAmount
        taken = CounterPayment.objects.create(bill=bill, taken_by=by, **said)
        _tell("counter.paid", booking, taken, by)
    bills.keep_bill(booking_id)
    return taken


def return_payment(*, booking_id: int, by: User) -> CounterPayment:
    """The visit is cancelled and the money was given back. Safe to repeat. Raises NothingToReturn."""
    with transaction.atomic(durable=True):
        booking, bill = _lock(booking_id)
        taken = CounterPayment.objects.filter(bill=bill).first()
        if taken is None or booking.status != Booking.Status.CANCELLED:
            raise NothingToReturn
        if taken.returned_at is None:
            taken.returned_at, taken.returned_by = database_now(), by
            taken.save(update_fields=["returned_at", "returned_by"])
            _tell("counter.returned", booking, taken, by)
    bills.keep_bill(booking_id)
    return taken


def _lock(booking_id: int) -> tuple[Booking, Bill]:
    """The payment first, where there is one: whoever begins to pay online has both locks too."""
    paid_by: uuid.UUID | None = groups.payment_of(booking_id)
    if paid_by:
        lock(paid_by)
    bill = lock_bill(booking_id)
    return Booking.objects.get(pk=booking_id), bill


def _tell(topic: str, booking: Booking, taken: CounterPayment, by: User) -> None:
    data = {"booking": booking.pk, "bill": taken.bill_id, "amount_cents": taken.amount_cents}
    more = {"method": taken.method, "by": by.pk}
    publish(topic, f"bill:{taken.bill_id}", data | more, clinic_id=booking.clinic_id)
