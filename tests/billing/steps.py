"""What a patient's browser, the bank and the workers do, for the tests of the checkout."""

import json
import uuid

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from billing.models import Payment
from billing.stripe_double.webhooks import signed
from scheduling.booking import cancel_booking, confirm_hold, hold_slots
from scheduling.models import Hold
from tests import factories

DETAILS = {
    "name": "Siti Rahmah",
    "email": "siti@example.com",
    "phone": "9123 4567",
    "note": "Second floor, please",
    "consent": "on",
}
SECRET = "whsec_local"


def take(client, slot, service):
    response = client.post("/holds/", {"slot": slot.pk, "service": service.pk})
    assert response.status_code == 303
    return Hold.objects.get(pk=uuid.UUID(response["Location"].split("/")[2]))


def post(client, hold, **changes):
    """The form as a browser without scripts sends it."""
    return client.post(f"/checkout/{hold.pk}/payment/", DETAILS | changes)


def pay(client, hold, token, **changes):
    """The form as the page's script sends it; the answer's facts."""
    fields = DETAILS | {"confirmation_token": token} | changes
    return answer(
        client.post(f"/checkout/{hold.pk}/payment/", fields, headers={"Accept": "application/json"})
    )


def status(client, hold):
    return answer(client.get(f"/checkout/{hold.pk}/status/", headers={"Accept": "application/json"}))


def answer(response):
    return json.loads(response.content) | {"code": response.status_code}


def payment_of(hold):
    return Payment.objects.get(hold=hold)


def rival_books(slot, service):
    """Somebody else takes the time, as soon as it can be taken."""
    held = hold_slots(slot_id=slot.pk, service_id=service.pk, owner=uuid.uuid4().hex)
    with transaction.atomic():
        return confirm_hold(hold_id=held.pk, patient=factories.PatientFactory())


def cancel(booking):
    with transaction.atomic():
        cancel_booking(booking_id=booking.pk, by=None, reason="clinic")


def deliver(client, event, *, secret=SECRET, at=None):
    body, signature = signed(event, secret, at=at)
    return client.post(
        "/stripe/webhook/", body, content_type="application/json", headers={"Stripe-Signature": signature}
    )


def deliver_all(client, engine):
    for event in engine.undelivered():
        assert deliver(client, event).status_code == 200
        engine.mark_delivered(event["id"])


def run_jobs(*, backwards=False):
    """Every job that waits, until none is left; like a worker, in this thread."""
    order = "-pk" if backwards else "pk"
    while jobs := list(ProcrastinateJob.objects.filter(status="todo").order_by(order)):
        for job in jobs:
            app.tasks[job.task_name].func(**job.args)
            ProcrastinateJob.objects.filter(pk=job.pk).update(status="succeeded")
