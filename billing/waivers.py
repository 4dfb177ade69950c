"""Staff waive the fee of a visit that did not take place, and say why."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from billing import bills, groups
from billing.allocations import give_back
from billing.counter import CardNumber
from billing.models import Bill, CreditNote
from clinic_booking.events import publish
from clinic_booking.models import User
from clinic_booking.pan import holds_card_number
from scheduling.errors import BookingError
from scheduling.locks import lock_bookings
from scheduling.models import Booking

MAX_REASON = 200
Reason = CreditNote.Reason


class NoFee(BookingError):
    sentence = _("There is no fee for this visit that could be waived.")


class NoReason(BookingError):
    status = 422
    sentence = _("Please say why the fee is waived.")


def waive_fee(*, booking_id: int, reason: str, by: User) -> CreditNote:
    """The visit costs nothing after all: the fee is credited, and what was paid of it goes back. Says why, and who.

    Safe to repeat: the first one is given again. Whoever hears of `fee.waived` submits refunds that this opens. Locks
    the booking, its payments, its bill. Raises NoFee, NoReason, CardNumber.
    """
    reason = reason.strip()[:MAX_REASON]
    if not reason:
        raise NoReason
    if holds_card_number(reason):
        raise CardNumber
    if Booking.objects.get(pk=booking_id).status not in groups.OVER:
        raise NoFee
    bill_id = bills.keep_bill(booking_id).pk
    with transaction.atomic(durable=True):
        (booking,) = lock_bookings([booking_id], [])
        bill, payments = bills.kept(bill_id)
        if earlier := bill.credit_notes.filter(reason=Reason.WAIVED).first():
            return earlier
        if booking.status not in groups.OVER or not booking.fee_cents or not bill.net_cents:
            raise NoFee
        # Of one that may still come all is billed yet: what is not the fee is credited for not coming.
        bills.credit_to(bill, booking.fee_cents, Reason.NOSHOW)
        booking.fee_cents = 0
        booking.save(update_fields=["fee_cents"])
        made = bills.credit(bill, cents=bill.net_cents, reason=Reason.WAIVED, note=reason, by=by)
        give_back(bill, payments, reason="fee_waived")
        _tell(bill, made, by)
    return made


def _tell(bill: Bill, made: CreditNote, by: User) -> None:
    data = {"booking": bill.booking_id, "bill": bill.pk, "credit_note": made.pk}
    more = {"amount_cents": made.amount_cents, "by": by.pk}
    publish("fee.waived", f"bill:{bill.pk}", data | more, clinic_id=bill.clinic_id)
