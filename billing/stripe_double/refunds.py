"""Refunds and disputes."""

from billing.stripe_double.cards import OUTCOMES
from billing.stripe_double.form import ApiError, Form, required
from billing.stripe_double.store import Row, Store

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def refunded_cents(store: Store, intent: Row) -> int:
    # A failed refund gives the money back to us, so it can be refunded again.
    return sum(
        refund["amount"]
        for refund in store.refunds.values()
        if refund["payment_intent"] == intent["id"] and refund["status"] not in ("failed", "canceled")
    )


def create(store: Store, form: Form, key: str) -> Row:
    intent = store.find("intents", required(form, "payment_intent"), "payment_intent")
    if form.get("reason", REASONS[0]) not in REASONS:
        raise ApiError(400, "Invalid reason", param="reason", saved=False)
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise ApiError(400, message)
    if disputed(store, intent):
        raise ApiError(400, "Charge has been charged back.", code="charge_disputed")
    left = intent["amount_received"] - refunded_cents(store, intent)
    if left == 0:
        message = f"Charge {intent['latest_charge']} has already been refunded."
        raise ApiError(400, message, code="charge_already_refunded")
    amount = form.get("amount", left)
    if not 0 < amount <= left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise ApiError(400, message, param="amount")
    refund = {
        "id": store.new_id("re"),
        "object": "refund",
        "amount": amount,
        "charge": intent["latest_charge"],
        "created": store.now(),
        "currency": intent["currency"],
        "failure_reason": None,
        "metadata": form.get("metadata", {}),
        "payment_intent": intent["id"],
        "reason": form.get("reason"),
        "status": OUTCOMES[store.attempts[intent["id"]]["outcome"]].refund,
    }
    if status := store.attempts[intent["id"]].pop("next_refund", None):
        refund["status"] = status
    if refund["status"] == "failed":
        refund["failure_reason"] = "expired_or_canceled_card"
    store.refunds[refund["id"]] = refund
    store.emit("refund.created", refund, key)
    if refund["status"] == "failed":
        store.emit("refund.failed", refund, key)
    return refund


def settle(store: Store, refund: Row, status: str) -> Row:
    """The bank's later answer to a pending refund."""
    refund["status"] = status
    refund["failure_reason"] = "expired_or_canceled_card" if status == "failed" else None
    store.emit("refund.updated", refund)
    if status == "failed":
        store.emit("refund.failed", refund)
    return refund


def disputed(store: Store, intent: Row) -> bool:
    return any(
        dispute["payment_intent"] == intent["id"] and dispute["status"] != "won"
        for dispute in store.disputes.values()
    )


def dispute(store: Store, intent: Row) -> Row:
    row = {
        "id": store.new_id("du"),
        "object": "dispute",
        "amount": intent["amount_received"],
        "charge": intent["latest_charge"],
        "created": store.now(),
        "currency": intent["currency"],
        "evidence_details": {"due_by": store.now() + 7 * 86400},
        "livemode": False,
        "payment_intent": intent["id"],
        "reason": "fraudulent",
        "status": "needs_response",
    }
    store.disputes[row["id"]] = row
    store.emit("charge.dispute.created", row)
    return row


def close_dispute(store: Store, row: Row, status: str) -> Row:
    row["status"] = status
    store.emit("charge.dispute.closed", row)
    return row
