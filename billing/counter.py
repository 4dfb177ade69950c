"""Paying at the counter, all or in parts. Whether it is paid online meanwhile is decided under the same locks."""

import uuid

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing import bills, ledger
from billing.forms import holds_card_number
from billing.models import Bill, CounterPayment, CounterRefund, Payment
from billing.winning import BeingPaid, check_is_due
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling.errors import BookingError

Status = Payment.Status
UNDER_WAY = (Status.SUBMITTING, Status.REQUIRES_ACTION, Status.CAPTURING)


class WrongAmount(BookingError):
    status = 422
    sentence = _("The amount is not what is to be paid. Nothing was recorded.")


class OtherRequest(BookingError):
    sentence = _("This was sent before with other details. Please look at what was recorded.")


class CardNumber(BookingError):
    status = 422
    sentence = _("Please do not write card numbers here. Nothing was recorded.")


class NothingToReturn(BookingError):
    sentence = _("There is nothing to give back for this visit.")


def take_payment(
    *,
    bill_id: int,
    amount_cents: int,
    method: CounterPayment.Method,
    reference: str,
    by: User,
    idempotency_key: uuid.UUID | None = None,
) -> CounterPayment:
    """All that is due for a bill, or a part. The same key with the same words gives the first one again.

    Raises PaidAlready, BeingPaid, VisitOver, WrongAmount, CardNumber, OtherRequest.
    """
    if holds_card_number(reference):
        raise CardNumber
    said = {"amount_cents": amount_cents, "method": str(method), "reference": reference.strip()[:40]}
    with transaction.atomic(durable=True):
        bill, payments = bills.kept(bill_id)
        if earlier := _earlier(bill, said, by, idempotency_key):
            return earlier
        check_is_due(bill)
        its = Q(bill=bill) | Q(pk__in=[each.pk for each in payments])
        if Payment.objects.filter(its, status__in=UNDER_WAY).exists():
            raise BeingPaid
        if not 0 < amount_cents <= bill.due_cents:
            raise WrongAmount
        key = idempotency_key or uuid.uuid4()
        taken = CounterPayment.objects.create(bill=bill, taken_by=by, idempotency_key=key, **said)
        ledger.post(ledger.taken(taken))
        _tell("counter.paid", taken, amount_cents, by)
    return taken


def _earlier(bill: Bill, said: dict[str, object], by: User, key: uuid.UUID | None) -> CounterPayment | None:
    """What the same request made before. Without a key, a bill that is paid answers for the last one."""
    if key is None:
        last = bill.counter_payments.order_by("pk").last() if bill.status not in Bill.UNPAID else None
        is_same = last and last.taken_by == by and _words(last) == said
        return last if is_same else None
    earlier = CounterPayment.objects.filter(idempotency_key=key).first()
    if earlier and (earlier.bill_id != bill.pk or _words(earlier) != said):
        raise OtherRequest
    return earlier


def _words(taken: CounterPayment) -> dict[str, object]:
    return {"amount_cents": taken.amount_cents, "method": taken.method, "reference": taken.reference}


def return_payment(*, bill_id: int, by: User) -> list[CounterRefund]:
    """What is owed to the patient was given back, in the ways it came. Safe to repeat. Raises NothingToReturn."""
    with transaction.atomic(durable=True):
        bill, _payments = bills.kept(bill_id)
        made = []
        for taken in bill.counter_payments.order_by("-pk"):
            if cents := min(bill.owed_cents, taken.left_cents):
                refund = CounterRefund.objects.create(counter_payment=taken, amount_cents=cents, given_by=by)
                ledger.post(ledger.given_back(taken, refund))
                bill.refresh_from_db()
                _tell("counter.returned", taken, cents, by)
                made.append(refund)
        if not made and not CounterRefund.objects.filter(counter_payment__bill=bill).exists():
            raise NothingToReturn
    return made


def _tell(topic: str, taken: CounterPayment, cents: int, by: User) -> None:
    bill = taken.bill
    data = {"booking": bill.booking_id, "bill": bill.pk, "amount_cents": cents}
    more = {"method": taken.method, "by": by.pk}
    publish(topic, f"bill:{bill.pk}", data | more, clinic_id=bill.clinic_id)
