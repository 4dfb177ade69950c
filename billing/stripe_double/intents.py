"""The life of a payment intent, as Stripe's: create, confirm, act, capture, cancel."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from billing.stripe_double.cards import OUTCOMES
from billing.stripe_double.form import ApiError, Form, required
from billing.stripe_double.store import Row, Store

TYPES = ("card", "paynow")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*CONFIRMABLE, "requires_capture")
MINIMUM_CENTS = 50
PAYNOW_MAXIMUM_CENTS = 20_000_000
DECLINED = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "test_mode_live_card": "Your card was declined. Your request was in test mode, but used a non test card.",
}


def create(store: Store, form: Form, key: str) -> Row:
    amount, currency = required(form, "amount"), required(form, "currency")
    types = required(form, "allowed_payment_method_types")
    if amount < MINIMUM_CENTS:
        raise ApiError(
            400, "Amount must be at least $0.50 sgd", code="amount_too_small", param="amount", saved=False
        )
    if amount > 99_999_999:
        message = "Amount must be no more than $999,999.99"
        raise ApiError(400, message, code="amount_too_large", param="amount", saved=False)
    if unknown := set(types) - set(TYPES):
        message = f"The payment method type {min(unknown)!r} is invalid."
        raise ApiError(400, message, param="allowed_payment_method_types", saved=False)
    if "paynow" in types and currency != "sgd":
        raise ApiError(
            400, "PayNow supports the sgd currency only.", param="allowed_payment_method_types", saved=False
        )
    options = form.get("payment_method_options", {})
    if options.get("card", {}).get("capture_method", "manual") != "manual":
        param = "payment_method_options[card][capture_method]"
        raise ApiError(400, f"Invalid {param}: must be manual", param=param, saved=False)
    ref = store.new_id("pi")
    intent = {
        "id": ref,
        "object": "payment_intent",
        "allowed_payment_method_types": types,
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": store.new_id(f"{ref}_secret"),
        "confirmation_method": "automatic",
        "created": store.now(),
        "currency": currency,
        "description": form.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": form.get("metadata", {}),
        "next_action": None,
        "payment_method": None,
        "payment_method_options": options,
        "payment_method_types": types,
        "statement_descriptor_suffix": form.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
    }
    store.intents[ref] = intent
    store.emit("payment_intent.created", intent, key)
    return intent


def confirm(store: Store, intent: Row, form: Form, key: str) -> Row:
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(intent, "confirm")
    token = usable_token(store, intent, required(form, "confirmation_token"))
    if (url := form.get("return_url")) and urlsplit(url).scheme not in ("http", "https"):
        raise ApiError(400, "Not a valid URL", code="url_invalid", param="return_url", saved=False)
    token["used_by"] = intent["id"]
    store.attempts[intent["id"]] = {"type": token["type"], "outcome": token["outcome"]}
    intent |= {"payment_method": store.new_id("pm"), "last_payment_error": None, "next_action": None}
    if token["type"] == "paynow":
        return show_qr_code(store, intent, key)
    if OUTCOMES[token["outcome"]].authenticate:
        intent |= {
            "status": "requires_action",
            "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}},
        }
        store.emit("payment_intent.requires_action", intent, key)
        return intent
    return charge(store, intent, key)


def usable_token(store: Store, intent: Row, ref: str) -> Row:
    token = store.tokens.get(ref)
    if not token:
        message = f"No such confirmation_token: '{ref}'"
        raise ApiError(400, message, code="resource_missing", param="confirmation_token")
    if token["used_by"]:
        message = f"The ConfirmationToken {ref} has already been used."
        raise ApiError(400, message, param="confirmation_token")
    if token["type"] not in intent["allowed_payment_method_types"]:
        message = f"The payment method type {token['type']} is not allowed for this PaymentIntent."
        raise ApiError(
            400, message, code="payment_intent_incompatible_payment_method", param="confirmation_token"
        )
    if token["type"] == "paynow" and intent["amount"] > PAYNOW_MAXIMUM_CENTS:
        message = "Amount must be no more than $200,000.00 sgd"
        raise ApiError(400, message, code="amount_too_large", param="amount")
    return token


def show_qr_code(store: Store, intent: Row, key: str) -> Row:
    intent |= {
        "status": "requires_action",
        "next_action": {
            "type": "paynow_display_qr_code",
            "paynow_display_qr_code": {
                "data": f"double-paynow:{intent['id']}",
                "hosted_instructions_url": None,
                "image_url_png": "",
                "image_url_svg": "",
            },
        },
    }
    store.emit("payment_intent.requires_action", intent, key)
    return intent


def charge(store: Store, intent: Row, key: str = "") -> Row:
    """Ask the bank: declined (402), authorised for a later capture, or paid."""
    attempt = store.attempts[intent["id"]]
    outcome = OUTCOMES[attempt["outcome"]]
    intent |= {"latest_charge": store.new_id("ch"), "next_action": None}
    if outcome.code:
        error = refuse(store, intent, outcome.code, outcome.decline_code, key)
        raise ApiError(402, kind="card_error", charge=intent["latest_charge"], payment_intent=intent, **error)
    manual = intent["payment_method_options"].get("card", {}).get("capture_method") == "manual"
    if attempt["type"] == "card" and manual:
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        store.emit("payment_intent.amount_capturable_updated", intent, key)
    else:
        receive(store, intent, intent["amount"], key)
    return intent


def refuse(store: Store, intent: Row, code: str, decline_code: str, key: str = "") -> dict[str, Any]:
    error = {
        "message": DECLINED.get(decline_code, DECLINED["generic_decline"]),
        "code": code,
        "decline_code": decline_code,
    }
    failed = {name: value for name, value in error.items() if value}
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_payment_error": {**failed, "type": "card_error"},
    }
    store.emit("payment_intent.payment_failed", intent, key)
    return error


def receive(store: Store, intent: Row, amount: int, key: str = "") -> None:
    intent |= {"status": "succeeded", "amount_capturable": 0, "amount_received": amount, "next_action": None}
    store.emit("payment_intent.succeeded", intent, key)


def authenticate(store: Store, intent: Row, *, passed: bool) -> Row:
    """The patient's answer in the 3-D Secure dialogue."""
    if (intent["next_action"] or {}).get("type") != "use_stripe_sdk":
        raise unexpected_state(intent, "authenticate")
    if not passed:
        code = "payment_intent_authentication_failure"
        refuse(store, intent, code, "")
        message = "We are unable to authenticate your payment method."
        intent["last_payment_error"] |= {"message": message, "type": "invalid_request_error"}
        return intent
    with suppress(ApiError):  # a decline shows in the intent; no request of ours waits for it
        charge(store, intent)
    return intent


def scan(store: Store, intent: Row, outcome: str = "succeeded") -> Row:
    """The patient's bank pays (or not) the PayNow QR code."""
    shown = (intent["next_action"] or {}).get("type") == "paynow_display_qr_code"
    if not shown and intent["status"] != "processing":
        raise unexpected_state(intent, "pay")
    if outcome == "failed":
        refuse(store, intent, "payment_intent_payment_attempt_failed", "")
    elif outcome == "processing":
        intent |= {"status": "processing", "next_action": None}
        store.emit("payment_intent.processing", intent)
    else:
        intent["latest_charge"] = store.new_id("py")
        receive(store, intent, intent["amount"])
    return intent


def capture(store: Store, intent: Row, form: Form, key: str) -> Row:
    if intent["status"] != "requires_capture":
        raise unexpected_state(intent, "capture")
    amount: int = form["amount_to_capture"] if "amount_to_capture" in form else intent["amount_capturable"]
    if not 0 < amount <= intent["amount_capturable"]:
        message = "The amount to capture must be at most the amount that can be captured."
        raise ApiError(400, message, code="amount_too_large", param="amount_to_capture")
    receive(store, intent, amount, key)
    return intent


def cancel(store: Store, intent: Row, form: Form, key: str) -> Row:
    if store.attempts.get(intent["id"], {}).pop("pays_before_cancel", False):
        scan(store, intent)
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(intent, "cancel")
    # An authorisation is released without a Refund object (basil, 2025-03-31).
    intent |= {
        "status": "canceled",
        "amount_capturable": 0,
        "canceled_at": store.now(),
        "cancellation_reason": form.get("cancellation_reason"),
        "next_action": None,
    }
    store.emit("payment_intent.canceled", intent, key)
    return intent


def unexpected_state(intent: Row, verb: str) -> ApiError:
    message = f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}."
    return ApiError(400, message, code="payment_intent_unexpected_state", payment_intent=intent)
