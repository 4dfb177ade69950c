"""Paying at the counter, all or in parts. Whether it is paid online meanwhile is decided under the same locks."""

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing import bills, ledger
from billing.models import Bill, CounterPayment, CounterRefund, Payment
from billing.once import once
from billing.winning import BeingPaid, check_is_due
from clinic_booking.events import publish
from clinic_booking.models import User
from clinic_booking.pan import holds_card_number
from scheduling.errors import BookingError

Status = Payment.Status
UNDER_WAY = (Status.SUBMITTING, Status.REQUIRES_ACTION, Status.CAPTURING)


class WrongAmount(BookingError):
    status = 422
    sentence = _("The amount is not what is to be paid. Nothing was recorded.")


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
    idempotency_key: str = "",
) -> CounterPayment:
    """All that is due for a bill, or a part. The same key with the same words gives the first one again.

    Raises PaidAlready, BeingPaid, VisitOver, WrongAmount, CardNumber, OtherRequest.
    """
    if holds_card_number(reference):
        raise CardNumber
    said = {"amount_cents": amount_cents, "method": str(method), "reference": reference.strip()[:40]}
    asked = said | {"verb": "take", "bill": bill_id, "by": by.pk}
    with transaction.atomic(durable=True):
        return once(idempotency_key, CounterPayment, asked, lambda: _take(bill_id, by, said))


def _take(bill_id: int, by: User, said: dict[str, Any]) -> CounterPayment:
    bill, payments = bills.kept(bill_id)
    check_is_due(bill)
    its = Q(bill=bill) | Q(pk__in=[each.pk for each in payments])
    if Payment.objects.filter(its, status__in=UNDER_WAY).exists():
        raise BeingPaid
    if not 0 < said["amount_cents"] <= bill.due_cents:
        raise WrongAmount
    taken = CounterPayment.objects.create(bill=bill, taken_by=by, **said)
    ledger.post(ledger.taken(taken))
    _tell("counter.paid", taken, taken.amount_cents, by)
    return taken


def return_payment(*, bill_id: int, by: User) -> list[CounterRefund]:
    """What is owed to the patient was given back, in the ways it came. Safe to repeat. Raises NothingToReturn."""
    with transaction.atomic(durable=True):
        bill, _payments = bills.kept(bill_id)
        made = hand_out(bill, bill.owed_cents, by)
        if not made and not CounterRefund.objects.filter(counter_payment__bill=bill).exists():
            raise NothingToReturn
    return made


def hand_out(bill: Bill, cents: int, by: User) -> list[CounterRefund]:
    """Up to so many cents of what was taken, the latest first. The caller holds the bill's lock."""
    made = []
    for taken in bill.counter_payments.order_by("-pk"):
        if part := min(cents, taken.left_cents):
            refund = CounterRefund.objects.create(counter_payment=taken, amount_cents=part, given_by=by)
            ledger.post(ledger.given_back(taken, refund))
            _tell("counter.returned", taken, part, by)
            made.append(refund)
            cents -= part
    bill.refresh_from_db()
    return made


def _tell(topic: str, taken: CounterPayment, cents: int, by: User) -> None:
    bill = taken.bill
    data = {"booking": bill.booking_id, "bill": bill.pk, "amount_cents": cents}
    more = {"method": taken.method, "by": by.pk}
    publish(topic, f"bill:{bill.pk}", data | more, clinic_id=bill.clinic_id)
