"""Disputes: the patient's bank asks for a charge back. What is lost is a loss in the ledger, never a refund of ours."""

import logging
import uuid

from django.db import transaction
from django.db.models.functions import Now

from billing import ledger
from billing.gateway import DisputeResult
from billing.locks import change, lock, outside
from billing.models import Dispute, Payment
from clinic_booking.events import publish

logger = logging.getLogger(__name__)


def look(payment_id: uuid.UUID, ref: str) -> None:
    """Take over how the provider's dispute stands. Safe to repeat, in any order. Raises PaymentProviderDown."""
    result = outside().retrieve_dispute(ref)
    with transaction.atomic(durable=True):
        payment = lock(payment_id)
        before = Dispute.objects.filter(pk=ref).first()
        # What is decided stays so, whoever asked before and comes late.
        if result.intent_ref != payment.provider_ref or (before and before.closed_at):
            return
        dispute = _write_down(payment, result)
        if dispute.status == Dispute.LOST:
            ledger.post(ledger.lost(payment, dispute))
        _flag(payment)
        if before is None or before.status != dispute.status:
            logger.error("payment is disputed", extra={"payment": str(payment.pk), "status": dispute.status})
            data = {"dispute": ref, "payment": str(payment.pk), "bill": payment.bill_id}
            more = {"amount_cents": dispute.amount_cents, "status": dispute.status}
            publish("payment.disputed", f"payment:{payment.pk}", data | more, clinic_id=payment.clinic.pk)


def _write_down(payment: Payment, result: DisputeResult) -> Dispute:
    facts = {
        "payment": payment,
        "amount_cents": result.amount_cents,
        "reason": result.reason[:60],
        "status": result.status[:40],
        "evidence_due_at": result.evidence_due_at,
        "closed_at": Now() if result.status in Dispute.OVER else None,
    }
    dispute, _is_new = Dispute.objects.update_or_create(
        pk=result.ref, defaults=facts, create_defaults=facts | {"opened_at": result.created_at}
    )
    return dispute


def _flag(payment: Payment) -> None:
    """No refund while it is open, nor when it is lost: the bank has paid it back."""
    disputes = payment.disputes.all()
    is_open = any(each.status not in Dispute.OVER for each in disputes)
    is_lost = any(each.status == Dispute.LOST for each in disputes)
    mine = payment.problem in ("", "disputed")
    problem = ("disputed" if is_open else "") if mine else payment.problem
    change(payment, is_disputed=is_open or is_lost, problem=problem)
