"""What every verb on payments needs: the lock, the change, the news, the way to the provider, and whom to believe."""

import logging
import uuid
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from billing.gateway import Gateway, Intent, gateway
from billing.models import Bill, Contract, Payment
from clinic_booking.events import publish

# The provider forgets idempotency keys after 24 hours: later, look before repeating.
KEY_HOURS = 23
LIVE_KEYS = ("sk_live_", "rk_live_")

logger = logging.getLogger(__name__)


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


def lock_all(payments: QuerySet[Payment]) -> list[Payment]:
    return list(payments.select_for_update(of=("self",), no_key=True).order_by("pk"))


def change(payment: Payment, **values: Any) -> None:
    """The caller holds the payment's lock."""
    if values.get("status") in Payment.SETTLED:
        values["problem"] = ""
    Payment.objects.filter(pk=payment.pk).update(**values, updated_at=Now())
    for name, value in values.items():
        setattr(payment, name, value)


def tell(topic: str, payment: Payment, **more: Any) -> None:
    about = {"payment": str(payment.pk), "booking": payment.visit_id, "bill": payment.bill_id}
    data = about | {"amount_cents": payment.amount_cents}
    publish(topic, f"payment:{payment.pk}", data | more, clinic_id=payment.clinic.pk)


def is_ours(payment: Payment, intent: Intent) -> bool:
    """Wrong amount, currency, mode or owner: touch nothing, a person must look."""
    expected = {
        "amount": (intent.amount_cents, payment.amount_cents),
        "currency": (intent.currency, payment.currency),
        "owner": (intent.metadata.get("payment"), str(payment.pk)),
        "livemode": (intent.livemode, is_live_mode()),
    }
    if intent.status == "succeeded":
        expected["charged"] = (intent.captured_cents, payment.amount_cents)
    for name, (found, wanted) in expected.items():
        if found != wanted:
            flag(payment, f"{name}_differs")
            return False
    return True


def is_live_mode() -> bool:
    return settings.STRIPE_SECRET_KEY.startswith(LIVE_KEYS)


def flag(payment: Payment, problem: str) -> None:
    logger.error("payment needs a person", extra={"payment": str(payment.pk), "problem": problem})
    Payment.objects.filter(pk=payment.pk).update(problem=problem[:60])


def tell_of_contract(topic: str, contract: Contract, **more: object) -> None:
    data = {"contract": contract.pk, "reference": contract.reference} | more
    publish(topic, f"contract:{contract.pk}", data, clinic_id=contract.clinic_id)


def lock_bill_by_id(bill_id: int) -> Bill:
    """After its payments' locks: how a bill is paid is decided under both. Its clinic and booking come along."""
    related = "clinic__legal_entity", "booking"
    return Bill.objects.select_for_update(of=("self",), no_key=True).select_related(*related).get(pk=bill_id)


def lock_contract(contract_id: int) -> Contract:
    """The last lock of a transaction: what books or frees slots for a contract comes before."""
    locked = Contract.objects.select_for_update(of=("self",), no_key=True).select_related("clinic", "patient")
    return locked.get(pk=contract_id)
