"""Giving money back: all of it, or of several visits that were paid together what was cancelled.

`payments.finalize` and its callers come here.
"""

import datetime as dt
import logging
import uuid

from django.db import transaction

from billing import ledger
from billing.allocations import free, new_refund, open_refund
from billing.gateway import AlreadyRefunded, InvalidRequest, RefundResult
from billing.locks import KEY_HOURS, change, key, lock, outside, tell
from billing.models import Payment, Refund
from scheduling import booking as bookings

logger = logging.getLogger(__name__)
Status = Payment.Status
STATUSES = {
    "succeeded": Refund.Status.SUCCEEDED,
    "failed": Refund.Status.FAILED,
    "canceled": Refund.Status.FAILED,
}
UNDER_WAY = (Refund.Status.SUBMITTING, Refund.Status.PENDING)


def retry_refund(payment_id: uuid.UUID) -> bool:
    """A person has seen why the refund failed. The caller goes on with `finalize`. False where none failed."""
    with transaction.atomic(durable=True):
        payment = lock(payment_id)
        if payment.status != Status.REFUND_FAILED or payment.is_disputed or payment.free_cents <= 0:
            return False
        reason = payment.refunds.latest("seq").reason
        change(payment, problem="")
        open_refund(payment, reason=reason, cents=payment.free_cents)
        return True


def submit(payment: Payment) -> None:
    """Ask for the refunds that are written down, or how they stand. Raises PaymentProviderDown."""
    for refund in payment.refunds.filter(status__in=UNDER_WAY).order_by("seq"):
        _submit(payment, refund)


def _submit(payment: Payment, refund: Refund) -> None:
    age = bookings.database_now() - refund.created_at
    if refund.status == Refund.Status.PENDING or age > dt.timedelta(hours=KEY_HOURS):
        adopt(payment.pk)
        refund.refresh_from_db()
        if refund.status != Refund.Status.SUBMITTING:
            return
    try:
        result = outside().refund(
            payment.provider_ref or "",
            amount_cents=refund.amount_cents,
            key=key("refund", payment, refund.seq),
            metadata={"refund": str(refund.pk)},
        )
    except AlreadyRefunded:
        adopt(payment.pk)
    except InvalidRequest as refusal:
        record(refund, status=Refund.Status.FAILED, code=refusal.code)
    else:
        record(refund, status=STATUSES.get(result.status, Refund.Status.PENDING), result=result)


def adopt(payment_id: uuid.UUID) -> None:
    """Take over how the provider's refunds of this payment stand, also those made by hand on its own pages."""
    payment = Payment.objects.get(pk=payment_id)
    if not payment.provider_ref:
        return
    for result in list(outside().list_refunds(intent_ref=payment.provider_ref)):
        status = STATUSES.get(result.status, Refund.Status.PENDING)
        refund = _row_of(payment_id, result, status)
        if refund:
            record(refund, status=status, result=result)


def _row_of(payment_id: uuid.UUID, result: RefundResult, status: str) -> Refund | None:
    with transaction.atomic(durable=True):
        payment = lock(payment_id)
        rows = {str(refund.pk): refund for refund in payment.refunds.all()}
        by_ref = next((refund for refund in rows.values() if refund.provider_ref == result.ref), None)
        if found := by_ref or rows.get(result.metadata.get("refund", "")):
            return found
        # Made by hand while ours was on its way: it takes its place.
        unsent = [r for r in rows.values() if r.status == Refund.Status.SUBMITTING and not r.provider_ref]
        if unsent and unsent[0].amount_cents == result.amount_cents:
            return unsent[0]
        if status == Refund.Status.FAILED or not payment.captured_cents:
            return None
        free(payment, result.amount_cents)
        return new_refund(payment, cents=result.amount_cents, reason="provider")


def record(refund: Refund, *, status: str, result: RefundResult | None = None, code: str = "") -> None:
    """Write down the provider's answer, on the refund and on the payment."""
    with transaction.atomic(durable=True):
        payment = lock(refund.payment_id)
        refund.refresh_from_db()
        ref = result.ref if result else refund.provider_ref
        if (refund.status, refund.provider_ref) == (status, ref):
            return
        failed = status == Refund.Status.FAILED
        if failed:
            # Before the refund: no refunded payment may have less refunded than charged.
            code = code or (result.failure_reason if result else "")
            logger.error("refund failed", extra={"payment": str(payment.pk), "code": code})
            change(payment, status=Status.REFUND_FAILED, problem="refund_failed")
        was_told = refund.status in (Refund.Status.PENDING, Refund.Status.SUCCEEDED)
        refund.status, refund.provider_ref, refund.failure_code = status, ref, code[:60]
        refund.save(update_fields=["status", "provider_ref", "failure_code"])
        if not failed:
            ledger.post(ledger.refunded(payment, refund))
            _close_if_it_is_back(payment, refund.reason)
        elif was_told:
            ledger.post(ledger.refund_failed(payment, refund))


def _close_if_it_is_back(payment: Payment, reason: str) -> None:
    payment.refresh_from_db(fields=["refunded_cents"])
    if payment.status == Status.REFUNDED or payment.refunds.filter(status__in=UNDER_WAY).exists():
        return
    if payment.refunded_cents == payment.captured_cents:
        change(payment, status=Status.REFUNDED, problem="")
    elif payment.status == Status.REFUNDING:
        # A part: the rest stays paid.
        change(payment, status=Status.PAID)
    else:
        return
    tell("payment.refunded", payment, reason=reason)
