"""Jobs and subscribers of billing."""

import contextlib
import datetime as dt
from functools import partial

from procrastinate.contrib.django import app

from billing import (
    bills,
    contracts,
    groups,
    instalments,
    message_kinds,
    payments,
    receipts,
    reconcile,
    settlements,
    webhooks,
)
from billing.gateway import PaymentProviderDown
from billing.models import Bill, DeskRefund, Payment
from clinic_booking.events import NotYet, subscribe
from clinic_booking.jobs import RETRY
from clinic_booking.messages.channels import Extras
from clinic_booking.messages.sending import overtaken
from clinic_booking.models import Event
from scheduling.locks import database_now
from scheduling.models import Booking
from scheduling.notifications import tell

NIGHTLY = dt.timedelta(hours=48)
LOST_WITH_MONEY_WAITING = ("slot_taken", "patient_busy")
LOST = (*LOST_WITH_MONEY_WAITING, "hold_expired")


@app.task(name="settle_event", queue="events", retry=RETRY)
def settle_event(event_id: str) -> None:
    webhooks.settle(event_id)


@app.periodic(cron="* * * * * */5")
@app.task(name="sweep_payments", queue="ops", queueing_lock="sweep_payments")
def sweep_payments(timestamp: int) -> None:
    reconcile.sweep()


@app.periodic(cron="7 * * * *")
@app.task(name="bill_instalments", queue="ops", queueing_lock="bill_instalments", retry=RETRY)
def bill_instalments(timestamp: int) -> None:
    """Each hour, for the day of each clinic begins at its own midnight."""
    instalments.bill_all_due()


@app.periodic(cron="*/5 * * * *")
@app.task(name="settle_open_payments", queue="ops", queueing_lock="settle_open_payments")
def settle_open_payments(timestamp: int) -> None:
    with contextlib.suppress(PaymentProviderDown):
        reconcile.settle_open()


@app.periodic(cron="17 3 * * *")
@app.task(name="reconcile_payments", queue="ops", queueing_lock="reconcile_payments", retry=RETRY)
def reconcile_payments(timestamp: int) -> None:
    reconcile.reconcile(since=NIGHTLY, fix=True)


def _keep(booking_id: int) -> None:
    """The bill as it should be, and what is to be given back on its way. Raises PaymentProviderDown."""
    _finish(bills.keep_bill(booking_id))


def _finish(bill: Bill) -> None:
    for payment in bills.unfinished_payments(bill):
        payments.finalize(payment.pk)


@subscribe("appointment.booked")
def bill_booking(event: Event) -> None:
    bills.keep_bill(event.data["booking"])


@subscribe("appointment.cancelled", "appointment.reverted", "fee.waived")
def settle_booking(event: Event) -> None:
    _keep(event.data["booking"])


@subscribe("appointment.noshow")
def settle_noshow(event: Event) -> None:
    """What is paid above the fee goes back when the day is over: until then it may be undone. Raises NotYet."""
    booking = Booking.objects.select_related("clinic").get(pk=event.data["booking"])
    now = database_now()
    if booking.may_still_come(now):
        _first, over = booking.clinic.day_bounds(booking.clinic.local_date(booking.starts_at))
        raise NotYet((over - now).total_seconds())
    _keep(booking.pk)


@subscribe("payment.succeeded", "payment.refunded")
def bill_payment(event: Event) -> None:
    """Of all that was paid together. A charge that was given back before anything was booked has no bill."""
    payment = Payment.objects.get(pk=event.data["payment"])
    if payment.bill_id:
        payments.finalize(payment.pk)
    if event.data["booking"]:
        for booking_id in groups.bookings_of(payment).values_list("pk", flat=True):
            _keep(booking_id)


@subscribe("payment.failed", "payment.refunded")
def mail_about_lost_time(event: Event) -> None:
    """To whom the time was lost when the money came; they may have left the page long ago."""
    refunded = event.topic == "payment.refunded"
    if event.data["reason"] not in (LOST if refunded else LOST_WITH_MONEY_WAITING):
        return
    related = Payment.objects.select_related("hold__clinic", "hold__service", "patient")
    payment = related.get(pk=event.data["payment"])
    hold = payment.hold
    if hold is None:
        return
    tell(
        event=event,
        kind="not_booked",
        to=payment.patient,
        clinic=hold.clinic,
        facts=partial(message_kinds.not_booked, payment, is_refunded=refunded),
    )


@subscribe("bill.refunded", "payment.disputed")
def settle_refund(event: Event) -> None:
    """What staff give back is sent to the provider; after a dispute it is known whether something is owed."""
    involved = Bill.objects.filter(pk=event.data["bill"])
    if event.topic == "payment.disputed":
        involved = Bill.objects.filter(entries__payment=event.data["payment"]).distinct()
    for bill in involved.order_by("pk"):
        if bill.booking_id:
            _keep(bill.booking_id)
        else:
            _finish(bill)


@subscribe("bill.refunded")
def mail_about_refund(event: Event) -> None:
    related = "bill__clinic", "bill__patient", "credit_note__bill__clinic"
    refund = DeskRefund.objects.select_related(*related).get(pk=event.data["refund"])
    note = refund.credit_note
    tell(
        event=event,
        kind="refunded",
        to=refund.bill.patient,
        clinic=refund.bill.clinic,
        facts=partial(message_kinds.refunded, refund),
        extras=receipts.attached(note) if note else Extras(),
    )


@subscribe("counter.paid", "counter.returned")
def bill_counter(event: Event) -> None:
    if event.data["booking"]:
        _keep(event.data["booking"])


@subscribe("paylink.sent")
def mail_link(event: Event) -> None:
    if "bill" not in event.data:
        return  # sent by an earlier version
    related = Bill.objects.select_related("clinic", "patient", "booking__clinic")
    bill = related.get(pk=event.data["bill"])
    if not bill.due_cents:
        # Paid or cancelled before this could be sent.
        return overtaken(event)
    expires_at = dt.datetime.fromtimestamp(event.data["expires_at"], dt.UTC)
    tell(
        event=event,
        kind="pay_link" if bill.booking else "pay_bill",
        to=bill.patient,
        clinic=bill.clinic,
        facts=partial(message_kinds.pay_link, bill, expires_at),
    )


@subscribe("contract.confirmed")
def plan_confirmed(event: Event) -> None:
    """What the process that confirmed it could not do any more."""
    contracts.plan_contract(contract_id=event.data["contract"], by=None, untried=True)


@subscribe("contract.cancelled")
def settle_contract(event: Event) -> None:
    """What the process that cancelled it could not do any more, and the refunds on their way."""
    _settle(event.data["contract"])


@subscribe("appointment.fulfilled", "appointment.noshow", "appointment.cancelled", "appointment.reverted")
def settle_session(event: Event) -> None:
    """A prepaid session was delivered, used up or not after all: revenue, and what an ended contract costs."""
    if found := contracts.prepaid_of(booking_id=event.data["booking"]):
        _settle(found.pk)


def _settle(contract_id: int) -> None:
    """Raises PaymentProviderDown."""
    for bill in settlements.settle(contract_id=contract_id):
        _finish(bill)


@subscribe("appointment.fulfilled", "appointment.noshow", "appointment.cancelled")
def complete_contract(event: Event) -> None:
    contracts.complete_if_done(booking_id=event.data["booking"])


@subscribe("appointment.reverted")
def reopen_contract(event: Event) -> None:
    contracts.reopen_if_not_done(booking_id=event.data["booking"])
