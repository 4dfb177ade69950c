"""What every verb on payments begins with: the lock, the change, the news, and the way out to the provider."""

import uuid
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from billing.gateway import Gateway, gateway
from billing.models import Payment
from clinic_booking.events import publish

# The provider forgets idempotency keys after 24 hours: later, look before repeating.
KEY_HOURS = 23


class Overtaken(Exception):
    """Someone else decided while this one waited for the lock: roll back and look again."""


def outside() -> Gateway:
    """The provider. Refuses inside a transaction: no lock may wait for the network."""
    blocks = connection.atomic_blocks
    if blocks and not getattr(blocks[-1], "_from_testcase", False):
        raise RuntimeError("the payment provider must not be called inside a transaction")
    return gateway()


def key(verb: str, payment: Payment, *parts: object) -> str:
    """The same call has the same key, whichever process repeats it."""
    return ":".join([verb, str(payment.pk), *map(str, parts)])


def lock(payment_id: uuid.UUID) -> Payment:
    return Payment.objects.select_for_update(no_key=True).get(pk=payment_id)


def change(payment: Payment, **values: Any) -> None:
    """The caller holds the payment's lock."""
    if values.get("status") in Payment.SETTLED:
        values["problem"] = ""
    Payment.objects.filter(pk=payment.pk).update(**values, updated_at=Now())
    for name, value in values.items():
        setattr(payment, name, value)


def tell(topic: str, payment: Payment, **more: Any) -> None:
    data = {"payment": str(payment.pk), "booking": payment.booking_id, "amount_cents": payment.amount_cents}
    publish(topic, f"payment:{payment.pk}", data | more, clinic_id=payment.hold.clinic_id)
