"""The money that waits, or is there: one transaction books for it or lets it pay a bill, or it goes back."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from billing import bills, groups, ledger
from billing.allocations import apply, open_refund
from billing.gateway import Intent
from billing.locks import Overtaken, change, lock, lock_bill_by_id, tell
from billing.models import Bill, Payment
from scheduling import booking as bookings
from scheduling.errors import BookingError, HoldExpired, PatientBusy, SlotTaken
from scheduling.models import Booking

Status = Payment.Status


class VisitOver(BookingError):
    sentence = _("This visit is cancelled. There is nothing to pay.")


class PaidAlready(BookingError):
    sentence = _("This is paid already. Thank you.")


class LessDue(BookingError):
    sentence = _("A part of this was paid meanwhile. You have not been charged; less is to be paid now.")


class BeingPaid(BookingError):
    sentence = _("The patient is paying this online at this moment. Please wait a little and look again.")


REASONS: dict[type[BookingError], str] = {
    VisitOver: "booking_cancelled",
    PaidAlready: "paid_already",
    LessDue: "amount_changed",
    PatientBusy: "patient_busy",
    SlotTaken: "slot_taken",
}


def win(payment: Payment, intent: Intent) -> Intent:
    charged = intent.status == "succeeded"
    allowed = (*Payment.UNDECIDED, Status.CANCELING) if charged else Payment.UNDECIDED
    try:
        with transaction.atomic(durable=True):
            _win_bill(payment, intent, allowed) if payment.bill_id else _win_time(payment, intent, allowed)
    except BookingError as refusal:
        reason = next((code for kind, code in REASONS.items() if isinstance(refusal, kind)), "hold_expired")
        _lose(payment, intent, allowed, reason)
    return intent


def _win_time(payment: Payment, intent: Intent, allowed: tuple[Status, ...]) -> None:
    assert payment.hold_id
    booking = bookings.confirm_hold(hold_id=payment.hold_id, patient=payment.patient, late=True)
    # Locked last. Whoever came first has decided: the sweeper by giving up, another caller by winning.
    now = lock(payment.pk)
    if now.status not in allowed:
        raise Overtaken
    if is_over(booking) and groups.is_over(now):
        raise HoldExpired
    _take(now, intent, booking=booking, patient=booking.patient)


def _win_bill(payment: Payment, intent: Intent, allowed: tuple[Status, ...]) -> None:
    """Under the bill's lock: whoever takes money at the counter meanwhile waits, or was first."""
    assert payment.bill_id
    bill, payments = bills.kept(payment.bill_id)
    now = next(each for each in payments if each.pk == payment.pk)
    if now.status not in allowed:
        raise Overtaken
    check_is_due(bill)
    if intent.status != "succeeded" and bill.due_cents < now.amount_cents:
        raise LessDue
    _take(now, intent)


def _take(payment: Payment, intent: Intent, **won: Any) -> None:
    if intent.status == "succeeded":
        record_charge(payment, intent, **won)
    else:
        change(payment, status=Status.CAPTURING, **won)


def record_charge(payment: Payment, intent: Intent, **won: Any) -> None:
    """The caller holds the payment's lock. By link, what the bill does not need any more goes back."""
    change(payment, status=Status.PAID, captured_cents=intent.captured_cents, **won)
    ledger.post(ledger.captured(payment))
    if payment.bill_id:
        bill = lock_bill_by_id(payment.bill_id)
        apply(payment, bill, share=bill.due_cents)
        if payment.free_cents:
            open_refund(payment, reason="paid_already", cents=payment.free_cents)
    tell("payment.succeeded", payment)


def is_over(booking: Booking) -> bool:
    return booking.status in groups.OVER


def check_is_due(bill: Bill) -> None:
    """Under the bill's lock. Raises VisitOver, PaidAlready."""
    if not bill.due_cents:
        raise VisitOver if bill.booking and is_over(bill.booking) else PaidAlready


def _lose(payment: Payment, intent: Intent, allowed: tuple[Status, ...], reason: str) -> None:
    """It is not to be had: release what was authorised, refund what was charged."""
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if now.status not in allowed:
            raise Overtaken
        if intent.status == "succeeded":
            change(now, status=Status.REFUNDING, captured_cents=intent.captured_cents, failure_code=reason)
            ledger.post(ledger.captured(now))
            open_refund(now, reason=reason, cents=now.free_cents)
        else:
            change(now, status=Status.CANCELING, failure_code=reason)
