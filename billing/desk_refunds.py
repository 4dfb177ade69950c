"""Staff give money back, all or a part: with a credit note, or because it was taken by mistake.

What was paid online goes back online, first; the rest is handed out at the counter, in the ways it came.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from billing import allocations, bills, counter
from billing.models import Bill, CreditNote, DeskRefund, Payment
from billing.once import once
from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import User
from clinic_booking.pan import holds_card_number
from clinic_booking.roles import Can, may
from scheduling.errors import BookingError

# What receptionists may give back of one bill, all together; above it is the manager's.
RECEPTIONIST_CENTS = 10_000
Reason = DeskRefund.Reason


class AboveWhatIsPaid(BookingError):
    status = 422
    sentence = _("No more can be given back than was paid. Nothing was given back.")


class DisputedCharge(BookingError):
    sentence = _(
        "The patient’s bank has asked for this charge back. It decides; until then nothing can be refunded."
    )


class EarlierRefundFailed(BookingError):
    sentence = _("An earlier refund of this payment failed. Please have that settled first.")


class AboveLimit(NamedError):
    status = 403
    sentence = _("So much can only be given back by the clinic manager. Nothing was given back.")


def refund_bill(
    *, bill_id: int, amount_cents: int, reason: DeskRefund.Reason, note: str, by: User, idempotency_key: str
) -> DeskRefund:
    """Publishes `bill.refunded`: its handlers send the refund to the provider and tell the patient.

    Raises AboveWhatIsPaid, DisputedCharge, EarlierRefundFailed, AboveLimit, CardNumber, OtherRequest.
    """
    note = note.strip()[:200]
    if holds_card_number(note):
        raise counter.CardNumber
    said = {"amount_cents": amount_cents, "reason": str(reason), "note": note}
    asked = said | {"verb": "refund", "bill": bill_id, "by": by.pk}
    with transaction.atomic(durable=True):
        return once(idempotency_key, DeskRefund, asked, lambda: _refund(bill_id, by, **said))  # type: ignore[arg-type]


def refundable_cents(bill: Bill) -> int:
    """What is paid and not to be given back anyway."""
    return bill.paid_cents - bill.owed_cents


def limit_cents(bill: Bill, by: User) -> int:
    """How much of it this person may give back."""
    if may(by, Can.REFUND_ANY, bill.clinic_id):
        return refundable_cents(bill)
    given = bill.desk_refunds.aggregate(cents=Sum("amount_cents"))["cents"] or 0
    return min(refundable_cents(bill), max(0, RECEPTIONIST_CENTS - given))


def _refund(bill_id: int, by: User, *, amount_cents: int, reason: str, note: str) -> DeskRefund:
    bill, payments = bills.kept(bill_id)
    if not 0 < amount_cents <= refundable_cents(bill):
        raise AboveWhatIsPaid
    if amount_cents > limit_cents(bill, by):
        raise AboveLimit
    credit = None
    if reason != Reason.MISTAKE:
        credit = bills.credit(bill, cents=amount_cents, reason=CreditNote.Reason(reason), note=note, by=by)
    online_cents = _give_back_online(bill, payments, amount_cents, reason)
    at_counter = counter.hand_out(bill, amount_cents - online_cents, by)
    counter_cents = sum(each.amount_cents for each in at_counter)
    if online_cents + counter_cents < amount_cents:
        raise DisputedCharge if any(each.is_disputed for each in payments) else EarlierRefundFailed
    made = DeskRefund.objects.create(
        bill=bill,
        amount_cents=amount_cents,
        counter_cents=counter_cents,
        reason=reason,
        note=note,
        credit_note=credit,
        given_by=by,
    )
    data = {"refund": made.pk, "bill": bill.pk, "booking": bill.booking_id, "reason": reason, "by": by.pk}
    amounts = {"amount_cents": amount_cents, "online_cents": online_cents}
    publish("bill.refunded", f"bill:{bill.pk}", data | amounts, clinic_id=bill.clinic_id)
    return made


def _give_back_online(bill: Bill, payments: Sequence[Payment], cents: int, reason: str) -> int:
    """Opens refunds of at most so many cents. Returns of how many."""
    left = cents
    for payment in payments:
        left -= allocations.give_back_of(payment, bill, left, reason=reason)
    return cents - left
