"""Jobs and subscribers of billing."""

import contextlib
import datetime as dt

from procrastinate.contrib.django import app

from billing import payments, reconcile, refunds, webhooks
from billing.gateway import PaymentProviderDown
from clinic_booking.events import subscribe
from clinic_booking.jobs import RETRY
from clinic_booking.models import Event

NIGHTLY = dt.timedelta(hours=48)


@app.task(name="settle_event", queue="events", retry=RETRY)
def settle_event(event_id: str) -> None:
    webhooks.settle(event_id)


@app.periodic(cron="* * * * * */5")
@app.task(name="sweep_payments", queue="ops", queueing_lock="sweep_payments")
def sweep_payments(timestamp: int) -> None:
    reconcile.sweep()


@app.periodic(cron="*/5 * * * *")
@app.task(name="settle_open_payments", queue="ops", queueing_lock="settle_open_payments")
def settle_open_payments(timestamp: int) -> None:
    with contextlib.suppress(PaymentProviderDown):
        reconcile.settle_open()


@app.periodic(cron="17 3 * * *")
@app.task(name="reconcile_payments", queue="ops", queueing_lock="reconcile_payments", retry=RETRY)
def reconcile_payments(timestamp: int) -> None:
    reconcile.reconcile(since=NIGHTLY, fix=True)


@subscribe("appointment.cancelled")
def pay_back(event: Event) -> None:
    """Whoever may cancel gets all back: patients only in time (`cancel_booking`), the clinic always."""
    if payment_id := refunds.refund_cancelled_booking(event.data["booking"]):
        payments.finalize(payment_id)
