"""Money of payments on bills: applied, taken off again, and given back where the bill does not need it.

The callers hold the locks of the payments and of the bill, in that order.
"""

from collections.abc import Sequence

from django.db.models import Sum

from billing import ledger
from billing.locks import change, lock_bill_by_id
from billing.models import Account, Bill, Dispute, LedgerEntry, LedgerPosting, Payment, Refund

Status = Payment.Status
BY_THE_BANK = "dispute"


def apply(payment: Payment, bill: Bill, *, share: int) -> None:
    """Up to `share` cents, once. What came too late for what it was for goes back, and is for no bill."""
    if payment.status not in (Status.PAID, Status.REFUNDING):
        return
    cents = min(share, payment.free_cents, bill.total_cents - bill.paid_cents)
    if cents > 0 and ledger.post(ledger.allocated(payment, bill, cents)):
        _refresh(payment, bill)


def allocation(payment: Payment, bill: Bill) -> int:
    """What of the payment is on the bill now, in cents."""
    entries = LedgerEntry.objects.filter(payment=payment, bill=bill, account=Account.CUSTOMER)
    return entries.aggregate(cents=Sum("amount_cents"))["cents"] or 0


def release(payment: Payment, bill: Bill, cents: int) -> None:
    """Take money of a payment off a bill."""
    number = LedgerPosting.objects.filter(key__startswith=f"release:{payment.pk}:{bill.pk}:").count() + 1
    ledger.post(ledger.released(payment, bill, cents, number))
    _refresh(payment, bill)


def _refresh(payment: Payment, bill: Bill) -> None:
    payment.refresh_from_db(fields=["allocated_cents"])
    bill.refresh_from_db()


def free(payment: Payment, cents: int) -> None:
    """So much of the payment was given back outside of here: its bills do without it. Locks them."""
    for bill_id in sorted(set(payment.entries.exclude(bill=None).values_list("bill_id", flat=True))):
        missing = cents - payment.free_cents
        if missing <= 0:
            return
        bill = lock_bill_by_id(bill_id)
        if taken := min(missing, allocation(payment, bill)):
            release(payment, bill, taken)


# -- Giving back ---------------------------------------------------------------------------------


def give_back(bill: Bill, payments: Sequence[Payment], *, reason: str) -> None:
    """Open refunds of what is paid above what is owed, as far as it was paid online.

    A disputed charge is never refunded: then, and where it was paid at the counter, the bill says that money is due.
    """
    for payment in payments:
        if give_back_of(payment, bill, bill.owed_cents, reason=reason) or not payment.is_disputed:
            continue
        cents = min(bill.owed_cents, allocation(payment, bill), _taken_back_cents(payment))
        if cents > 0:
            release(payment, bill, cents)
            _cover(payment, cents)


def give_back_of(payment: Payment, bill: Bill, at_most: int, *, reason: str) -> int:
    """Open a refund of up to so many cents of what the payment has on the bill. Returns of how many."""
    cents = min(at_most, allocation(payment, bill))
    if cents <= 0 or not may_refund(payment):
        return 0
    release(payment, bill, cents)
    open_refund(payment, reason=reason, cents=cents)
    return cents


def _taken_back_cents(payment: Payment) -> int:
    """What the bank took back in lost disputes, as far as it is not the refund of something yet."""
    lost = payment.disputes.filter(status=Dispute.LOST).aggregate(cents=Sum("amount_cents"))["cents"] or 0
    covered = payment.refunds.filter(reason=BY_THE_BANK).aggregate(cents=Sum("amount_cents"))["cents"] or 0
    return int(lost - covered)


def _cover(payment: Payment, cents: int) -> None:
    refund = new_refund(payment, cents=cents, reason=BY_THE_BANK, status=Refund.Status.SUCCEEDED)
    ledger.post(ledger.covered(payment, refund))
    payment.refresh_from_db(fields=["refunded_cents"])
    if payment.status == Status.PAID and payment.refunded_cents == payment.captured_cents:
        change(payment, status=Status.REFUNDED)


def may_refund(payment: Payment) -> bool:
    """A disputed charge is the bank's matter. The caller holds the payment's lock."""
    return payment.status in (Status.PAID, Status.REFUNDING) and not payment.is_disputed


def open_refund(payment: Payment, *, reason: str, cents: int) -> Refund:
    """Write down that so many cents go back; the database refuses more than is free. The caller holds the lock."""
    change(payment, status=Status.REFUNDING)
    refund = new_refund(payment, cents=cents, reason=reason)
    payment.refresh_from_db(fields=["refunded_cents"])
    return refund


def new_refund(
    payment: Payment, *, cents: int, reason: str, status: Refund.Status = Refund.Status.SUBMITTING
) -> Refund:
    """The next of the payment. The caller holds its lock."""
    seq = payment.refunds.count() + 1
    return Refund.objects.create(payment=payment, seq=seq, amount_cents=cents, reason=reason, status=status)
