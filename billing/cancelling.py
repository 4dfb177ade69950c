"""What becomes of the money of visits that are cancelled, before it is done. The deed itself is `bills.keep_bill`."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from django.db.models import Sum

from billing import groups
from billing.models import Account, Bill, Payment
from scheduling.models import Booking

CHARGED = (Payment.Status.CAPTURING, Payment.Status.PAID)


class Outlook(NamedTuple):
    """In cents: what is charged, what goes back the way it came and at the counter, and what is still to be paid."""

    fee_cents: int = 0
    online_cents: int = 0
    counter_cents: int = 0
    due_cents: int = 0

    @classmethod
    def total(cls, outlooks: Iterable["Outlook"]) -> Self:
        columns = zip(*outlooks, strict=True)
        return cls(*map(sum, columns))

    @property
    def back_cents(self) -> int:
        return self.online_cents + self.counter_cents


def outlook(booking: Booking, fee_cents: int) -> Outlook:
    """If it is called off at this fee. Money that was paid online goes back first."""
    bill = Bill.objects.filter(booking=booking).first()
    fee = min(fee_cents, bill.net_cents) if bill else fee_cents
    online = _online(booking, bill)
    counter = sum(taken.left_cents for taken in bill.counter_payments.all()) if bill else 0
    back = max(0, online + counter - fee)
    to_card = min(back, online)
    return Outlook(fee, to_card, back - to_card, max(0, fee - online - counter))


def _online(booking: Booking, bill: Bill | None) -> int:
    """What is on the bill, or about to be: the bill follows its payment a moment later. Not what is disputed."""
    if bill and bill.received_cents:
        entries = bill.entries.filter(account=Account.CUSTOMER, payment__is_disputed=False)
        return entries.aggregate(cents=Sum("amount_cents"))["cents"] or 0
    paid_by = groups.payment_of(booking.pk)
    charged = Payment.objects.filter(status__in=CHARGED, is_disputed=False)
    return groups.share(booking) if paid_by and charged.filter(pk=paid_by).exists() else 0
