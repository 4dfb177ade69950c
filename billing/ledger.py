"""Writing the ledger. Joins the transaction of the movement, under the locks of what moved; a key is posted once.

Debits are above zero, credits below. What is posted when is in docs/ledger.md.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from billing.models import (
    Account,
    Bill,
    CounterPayment,
    CounterRefund,
    CreditNote,
    Dispute,
    LedgerEntry,
    LedgerPosting,
    Payment,
    Refund,
)
from clinic_booking.models import User
from scheduling.models import Clinic, SessionTicket

Kind = LedgerPosting.Kind


class Entry(NamedTuple):
    """An amount in cents on an account; entries of nothing are left out."""

    account: Account
    cents: int
    bill: Bill | None = None
    payment: Payment | None = None
    session: SessionTicket | None = None


class Movement(NamedTuple):
    """`date` is for what is written down afterwards; else it is today at the clinic."""

    key: str
    kind: LedgerPosting.Kind
    clinic: Clinic
    entries: Sequence[Entry]
    by: User | None = None
    date: dt.date | None = None


def post(movement: Movement) -> bool:
    """False where it was posted before."""
    return post_all([movement]) == 1


def post_all(movements: Iterable[Movement]) -> int:
    """In three statements however many they are. Returns how many were new; those of a first run are left alone."""
    wanted = {m.key: m for m in movements if any(entry.cents for entry in m.entries)}
    known = set(LedgerPosting.objects.filter(key__in=wanted).values_list("key", flat=True))
    new = [movement for key, movement in wanted.items() if key not in known]
    postings = LedgerPosting.objects.bulk_create(
        LedgerPosting(
            key=movement.key,
            kind=movement.kind,
            clinic=movement.clinic,
            legal_entity_id=movement.clinic.legal_entity_id,
            date=movement.date or movement.clinic.today(),
            by=movement.by,
        )
        for movement in new
    )
    LedgerEntry.objects.bulk_create(
        _row(posting, entry)
        for posting, movement in zip(postings, new, strict=True)
        for entry in movement.entries
        if entry.cents
    )
    return len(new)


def _row(posting: LedgerPosting, entry: Entry) -> LedgerEntry:
    bill = entry.bill or (entry.payment.bill if entry.payment else None)
    booking = bill.booking if bill else entry.payment.booking if entry.payment else None
    return LedgerEntry(
        posting=posting,
        account=entry.account,
        amount_cents=entry.cents,
        bill=entry.bill,
        payment=entry.payment,
        booking=booking,
        session_id=booking.session_id if booking else entry.session.pk if entry.session else None,
    )


# -- What moves ----------------------------------------------------------------------------------


def issued(bill: Bill) -> Movement:
    """A contract's bill is owed sessions; its revenue comes with their delivery."""
    income = Account.DEFERRED if bill.contract_id else Account.REVENUE
    entries = [
        Entry(Account.RECEIVABLE, bill.total_cents, bill=bill),
        Entry(income, bill.gst_cents - bill.total_cents, bill=bill),
        Entry(Account.GST, -bill.gst_cents, bill=bill),
    ]
    return Movement(f"bill:{bill.pk}", Kind.BILL, bill.clinic, entries)


def credited(note: CreditNote) -> Movement:
    bill = note.bill
    income = Account.DEFERRED if bill.contract_id else Account.REVENUE
    entries = [
        Entry(Account.RECEIVABLE, -note.amount_cents, bill=bill),
        Entry(income, note.amount_cents - note.gst_cents, bill=bill),
        Entry(Account.GST, note.gst_cents, bill=bill),
    ]
    return Movement(f"credit_note:{note.pk}", Kind.CREDIT_NOTE, bill.clinic, entries, note.issued_by)


def captured(payment: Payment) -> Movement:
    entries = [
        Entry(Account.STRIPE, payment.captured_cents, payment=payment),
        Entry(Account.CUSTOMER, -payment.captured_cents, payment=payment),
    ]
    return Movement(f"capture:{payment.pk}", Kind.CAPTURE, payment.clinic, entries)


def allocated(payment: Payment, bill: Bill, cents: int) -> Movement:
    """Once for each payment and bill."""
    entries = [
        Entry(Account.CUSTOMER, cents, bill=bill, payment=payment),
        Entry(Account.RECEIVABLE, -cents, bill=bill, payment=payment),
    ]
    return Movement(f"allocation:{payment.pk}:{bill.pk}", Kind.ALLOCATION, bill.clinic, entries)


def released(payment: Payment, bill: Bill, cents: int, number: int) -> Movement:
    entries = [
        Entry(Account.RECEIVABLE, cents, bill=bill, payment=payment),
        Entry(Account.CUSTOMER, -cents, bill=bill, payment=payment),
    ]
    return Movement(f"release:{payment.pk}:{bill.pk}:{number}", Kind.RELEASE, bill.clinic, entries)


def refunded(payment: Payment, refund: Refund) -> Movement:
    entries = [
        Entry(Account.CUSTOMER, refund.amount_cents, payment=payment),
        Entry(Account.STRIPE, -refund.amount_cents, payment=payment),
    ]
    return Movement(f"refund:{refund.pk}", Kind.REFUND, payment.clinic, entries)


def refund_failed(payment: Payment, refund: Refund) -> Movement:
    """What was refunded came back."""
    entries = [
        Entry(Account.STRIPE, refund.amount_cents, payment=payment),
        Entry(Account.CUSTOMER, -refund.amount_cents, payment=payment),
    ]
    return Movement(f"refund_failed:{refund.pk}", Kind.REFUND_FAILED, payment.clinic, entries)


def lost(payment: Payment, dispute: Dispute) -> Movement:
    """The bank has taken the charge back; what it was for was delivered, so the bill stays paid."""
    entries = [
        Entry(Account.LOSS, dispute.amount_cents, payment=payment),
        Entry(Account.STRIPE, -dispute.amount_cents, payment=payment),
    ]
    return Movement(f"dispute:{dispute.pk}", Kind.DISPUTE, payment.clinic, entries)


def covered(payment: Payment, refund: Refund) -> Movement:
    """What had to be given back anyway was given back by the bank: no loss."""
    entries = [
        Entry(Account.CUSTOMER, refund.amount_cents, payment=payment),
        Entry(Account.LOSS, -refund.amount_cents, payment=payment),
    ]
    return Movement(f"dispute:cover:{refund.pk}", Kind.DISPUTE, payment.clinic, entries)


def taken(counter: CounterPayment) -> Movement:
    entries = [
        Entry(Account(counter.method), counter.amount_cents, bill=counter.bill),
        Entry(Account.RECEIVABLE, -counter.amount_cents, bill=counter.bill),
    ]
    return Movement(f"counter:{counter.pk}", Kind.COUNTER, counter.bill.clinic, entries, counter.taken_by)


def given_back(counter: CounterPayment, refund: CounterRefund) -> Movement:
    entries = [
        Entry(Account.RECEIVABLE, refund.amount_cents, bill=counter.bill),
        Entry(Account(counter.method), -refund.amount_cents, bill=counter.bill),
    ]
    key = f"counter_refund:{refund.pk}"
    return Movement(key, Kind.COUNTER_REFUND, counter.bill.clinic, entries, refund.given_by)
