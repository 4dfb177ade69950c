"""Bills and credit notes: issued once, then kept true to what became of the visit and of the money.

The rule: a visit that takes place costs its price, one that does not costs the fee that was decided when it was called
off. What is billed above that is credited, what is paid above that is given back.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from billing import groups, gst, ledger
from billing.allocations import apply, give_back
from billing.locks import lock_all, lock_bill_by_id
from billing.models import Bill, BillLine, BillSeries, CreditNote, Payment
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic


def keep_bill(booking_id: int) -> Bill:
    """Issue the booking's bill unless it exists, apply what was paid, credit what is not owed. Safe to repeat.

    A refund that this opens is written down; `payments.finalize` of the payment submits it (`unfinished_payments`).
    """
    with transaction.atomic(durable=True):
        related = "clinic__legal_entity", "service", "session__request", "hold"
        booking = Booking.objects.select_related(*related).get(pk=booking_id)
        # The payments' locks, then the bill's: what is read below cannot change until the bill says it.
        payments = lock_all(_payments(Bill.objects.filter(booking=booking), booking.pk))
        bill = lock_bill_by_id(_issue(booking).pk)
        _keep(bill, booking, payments)
    return bill


def kept(bill_id: int) -> tuple[Bill, list[Payment]]:
    """The bill as it should be, under its lock and those of its payments. Joins the caller's transaction."""
    booking_id = Bill.objects.values_list("booking", flat=True).get(pk=bill_id)
    payments = lock_all(_payments(Bill.objects.filter(pk=bill_id), booking_id))
    bill = lock_bill_by_id(bill_id)
    if booking_id:
        _keep(bill, Booking.objects.select_related("hold").get(pk=booking_id), payments)
    return bill, payments


def _payments(bills: QuerySet[Bill], booking_id: int | None) -> QuerySet[Payment]:
    """By link for the bill, and that of the visit's hold."""
    its = Q(bill__in=list(bills.values_list("pk", flat=True)))
    if paid_by := booking_id and groups.payment_of(booking_id):
        its |= Q(pk=paid_by)
    return Payment.objects.filter(its)


def _keep(bill: Bill, booking: Booking, payments: Sequence[Payment]) -> None:
    booking.refresh_from_db(fields=["status", "fee_cents", "cancel_reason"])
    for payment in payments:
        if payment.hold_id:
            apply(payment, bill, share=groups.share(booking))
    credit_to(bill, owed_by_rule(booking), _reason(booking))
    give_back(bill, payments, reason="booking_cancelled")
    bill.refresh_from_db()


def unfinished_payments(bill: Bill) -> list[Payment]:
    """Those of this bill or its visit that somebody has to go on with."""
    its = Q(pk__in=bill.entries.values("payment")) | Q(bill=bill)
    if bill.booking_id:
        its |= Q(pk=groups.payment_of(bill.booking_id))
    return list(Payment.objects.filter(its, status__in=Payment.UNDER_WAY).order_by("pk"))


def _issue(booking: Booking) -> Bill:
    if bill := Bill.objects.filter(booking=booking).first():
        return bill
    with numbers_of(booking.clinic) as series:
        if bill := Bill.objects.filter(booking=booking).first():
            return bill
        lines = [(line_text(booking), booking.price_cents)]
        return issue(
            series, clinic=booking.clinic, lines=lines, booking=booking, patient_id=booking.patient_id
        )


@contextlib.contextmanager
def numbers_of(clinic: Clinic) -> Iterator[BillSeries]:
    """The lock under which numbers of the clinic's legal entity are given, the last but the contract's."""
    series, _is_new = BillSeries.objects.get_or_create(legal_entity=clinic.legal_entity)
    yield BillSeries.objects.select_for_update(no_key=True).get(pk=series.pk)


def issue(series: BillSeries, *, clinic: Clinic, lines: Sequence[tuple[str, int]], **of: Any) -> Bill:
    """A new bill of (text, cents) lines with the next number. The caller holds the series' lock and knows none exists.

    `of` says what it is for: booking or contract, patient_id, due_on.
    """
    entity = clinic.legal_entity
    gst_number, basis_points = gst.of_entity(entity, clinic.today())
    total = sum(cents for _text, cents in lines)
    series.last_number += 1
    series.save(update_fields=["last_number"])
    bill = Bill.objects.create(
        clinic=clinic,
        legal_entity=entity,
        number=series.last_number,
        entity_name=entity.name,
        entity_uen=entity.uen,
        entity_gst_number=gst_number,
        entity_address=clinic.address,
        currency=settings.CURRENCY,
        total_cents=total,
        gst_cents=gst.within(total, basis_points),
        gst_basis_points=basis_points,
        **of,
    )
    BillLine.objects.bulk_create(
        BillLine(bill=bill, position=position, description=text, amount_cents=cents)
        for position, (text, cents) in enumerate(lines, 1)
    )
    ledger.post(ledger.issued(bill))
    data = {"bill": bill.pk, "booking": bill.booking_id, "total_cents": total}
    publish("bill.issued", f"bill:{bill.pk}", data, clinic_id=clinic.pk)
    return bill


def line_text(booking: Booking) -> str:
    """For example "Physiotherapy: session 3 of 6, prepaid"."""
    request = booking.session.request
    if not (request.is_prepaid or request.contract):
        return booking.service.name
    which = {"number": booking.session.number, "quantity": request.quantity}
    text = (
        _("session %(number)d of %(quantity)d, prepaid")
        if request.is_prepaid
        else _("session %(number)d of %(quantity)d")
    )
    return f"{booking.service.name}: {text % which}"


# -- What is owed --------------------------------------------------------------------------------


def owed_by_rule(booking: Booking) -> int:
    """Cents. The price, or of a visit that is off the fee that was decided then."""
    if booking.status not in groups.OVER or booking.may_still_come(database_now()):
        return booking.price_cents
    if booking.fee_cents is not None:
        return booking.fee_cents
    return 0 if booking.status == Booking.Status.CANCELLED else booking.price_cents


def _reason(booking: Booking) -> CreditNote.Reason:
    is_noshow = booking.status == Booking.Status.NOSHOW
    return CreditNote.Reason.NOSHOW if is_noshow else CreditNote.Reason.CANCELLED


def credit_to(bill: Bill, net_cents: int, reason: CreditNote.Reason) -> None:
    """Credit what is billed above `net_cents`, if anything is."""
    if (surplus := bill.net_cents - net_cents) > 0:
        credit(bill, cents=surplus, reason=reason)


def credit(
    bill: Bill, *, cents: int, reason: CreditNote.Reason, note: str = "", by: User | None = None
) -> CreditNote:
    """A credit note over so many cents of a bill's net; the database refuses more. The caller holds the bill's lock.

    Its tax is what the bill's tax falls by, so that all notes of a bill add up to the cent.
    """
    before = gst.within(bill.net_cents, bill.gst_basis_points)
    after = gst.within(bill.net_cents - cents, bill.gst_basis_points)
    with numbers_of(bill.clinic) as series:
        series.last_credit_number += 1
        series.save(update_fields=["last_credit_number"])
        made = CreditNote.objects.create(
            bill=bill,
            legal_entity_id=bill.legal_entity_id,
            number=series.last_credit_number,
            amount_cents=cents,
            gst_cents=before - after,
            reason=reason,
            note=note,
            issued_by=by,
        )
    ledger.post(ledger.credited(made))
    bill.refresh_from_db()
    data = {"credit_note": made.pk, "bill": bill.pk, "booking": bill.booking_id, "amount_cents": cents}
    more = {"reason": str(reason)} | ({"by": by.pk} if by else {})
    publish("bill.credited", f"bill:{bill.pk}", data | more, clinic_id=bill.clinic_id)
    return made
