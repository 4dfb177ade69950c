"""The narrow port to Stripe, and the only module of the product that imports `stripe`.

No call belongs inside a database transaction. Keys come from our own ids: a repeated call is the same call.
"""

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import stripe
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.refusals import refusal_sentence

if TYPE_CHECKING:
    from stripe.params import EventListParams, PaymentIntentListParams, RefundListParams

API_VERSION = "2026-10-28.endive"  # library, webhook endpoint and page script are raised together
LIVE_API_BASE = "https://api.stripe.com"
LIVE_SCRIPT_URL = "https://js.stripe.com/endive/stripe.js"
TIMEOUT_SECONDS = (3, 15)  # to connect, to answer; the library's own default is 80
NETWORK_RETRIES = 2
PAYMENT_METHODS: list[Literal["card", "paynow"] | str] = ["card", "paynow"]
PAYNOW_MINIMUM_CENTS = 50
WEBHOOK_TOPICS = (
    "payment_intent.amount_capturable_updated",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
)

logger = logging.getLogger(__name__)
stripe.enable_telemetry = False


class GatewayError(Exception):
    """Something about a call to the payment provider. `code` is for logs, `sentence` for the patient."""

    sentence: Promise | str = _("The payment could not be made. You have not been charged. Please try again.")

    def __init__(self, code: str = "", *, intent_ref: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.intent_ref = intent_ref


class PaymentProviderDown(GatewayError):
    """The outcome is unknown: repeat with the same key, or retrieve. Also for keys the provider refuses."""

    sentence = _(
        "The payment service does not answer just now. We are finding out what happened to your payment."
    )


class CardDeclined(GatewayError):
    """A definite no. A new attempt on the same intent needs a new key, since a refusal is replayed."""

    def __init__(self, code: str, intent: "Intent | None" = None) -> None:
        super().__init__(code, intent_ref=intent.ref if intent else "")
        self.intent = intent
        self.sentence = refusal_sentence(code)


class UnexpectedState(GatewayError):
    """The intent moved on meanwhile: retrieve it and decide again."""


class AlreadyRefunded(GatewayError):
    """Nothing is left to refund: list the refunds to see which."""


class InvalidRequest(GatewayError):
    """The provider refused our request as wrong, and did nothing."""


class BadSignature(GatewayError):
    """The body does not come from the provider."""


@dataclass(frozen=True)
class Intent:
    ref: str
    status: str
    amount_cents: int
    captured_cents: int
    capturable_cents: int
    currency: str
    livemode: bool
    metadata: Mapping[str, str]
    created_at: datetime
    decline_code: str
    has_next_action: bool
    client_secret: str  # for the browser of this patient only; never stored or logged

    @property
    def decline_sentence(self) -> str:
        return refusal_sentence(self.decline_code) if self.decline_code else ""

    def __repr__(self) -> str:
        return f"Intent({self.ref}, {self.status})"


@dataclass(frozen=True)
class RefundResult:
    ref: str
    status: str  # pending, requires_action, succeeded, failed, canceled
    amount_cents: int
    currency: str
    intent_ref: str
    metadata: Mapping[str, str]
    created_at: datetime
    failure_reason: str


@dataclass(frozen=True)
class DisputeResult:
    ref: str
    status: str  # needs_response, under_review, won, lost, warning_…
    amount_cents: int
    reason: str
    intent_ref: str
    created_at: datetime
    evidence_due_at: datetime | None


@dataclass(frozen=True)
class ProviderEvent:
    """That something happened, never what: the state comes from `retrieve_intent` and `list_refunds`."""

    id: str
    type: str
    object_ref: str
    intent_ref: str  # empty when the event is about something that is no payment
    livemode: bool
    created_at: datetime


class Gateway:
    """Stripe through `http_client`; tests give another client, nothing else changes."""

    def __init__(
        self,
        *,
        secret_key: str,
        api_base: str = LIVE_API_BASE,
        http_client: stripe.HTTPClient | None = None,
    ) -> None:
        self._api = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base},
            http_client=http_client or stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
            max_network_retries=NETWORK_RETRIES,
        ).v1

    # -- Payments --------------------------------------------------------------------------------

    def create_intent(
        self,
        *,
        payment_id: uuid.UUID,
        amount_cents: int,
        currency: str,
        key: str,
        metadata: Mapping[str, str] | None = None,
    ) -> Intent:
        """Nothing is charged yet. `metadata` holds opaque ids only: no name, speciality or doctor."""
        with named_errors():
            return read_intent(
                self._api.payment_intents.create(
                    {
                        "amount": amount_cents,
                        "currency": currency,
                        "allowed_payment_method_types": PAYMENT_METHODS,
                        # Cards are authorised and captured once the slot is won; PayNow cannot wait.
                        "payment_method_options": {"card": {"capture_method": "manual"}},
                        "metadata": {"payment": str(payment_id), **(metadata or {})},
                    },
                    {"idempotency_key": key},
                )
            )

    def confirm_intent(self, ref: str, *, confirmation_token: str, return_url: str, key: str) -> Intent:
        with named_errors(ref):
            return read_intent(
                self._api.payment_intents.confirm(
                    ref,
                    {"confirmation_token": confirmation_token, "return_url": return_url},
                    {"idempotency_key": key},
                )
            )

    def retrieve_intent(self, ref: str) -> Intent:
        with named_errors(ref):
            return read_intent(self._api.payment_intents.retrieve(ref))

    def capture(self, ref: str, *, key: str) -> Intent:
        with named_errors(ref):
            return read_intent(self._api.payment_intents.capture(ref, None, {"idempotency_key": key}))

    def cancel(self, ref: str, *, key: str) -> Intent:
        """Give up an unpaid payment; an authorisation is released without a refund."""
        with named_errors(ref):
            return read_intent(
                self._api.payment_intents.cancel(
                    ref, {"cancellation_reason": "abandoned"}, {"idempotency_key": key}
                )
            )

    def list_intents(self, *, created_gte: datetime) -> Iterator[Intent]:
        """Every intent of the account since then, newest first; pages are fetched as they are needed."""
        params: PaymentIntentListParams = {"created": {"gte": seconds(created_gte)}, "limit": 100}
        with named_errors():
            for found in self._api.payment_intents.list(params).auto_paging_iter():
                yield read_intent(found)

    def find_intent(self, payment_id: uuid.UUID, *, created_gte: datetime) -> Intent | None:
        """The intent of a payment whose answer was lost. By list, because the search index lags."""
        for intent in self.list_intents(created_gte=created_gte):
            if intent.metadata.get("payment") == str(payment_id):
                return intent
        return None

    # -- Refunds ---------------------------------------------------------------------------------

    def refund(
        self, ref: str, *, amount_cents: int, key: str, metadata: Mapping[str, str] | None = None
    ) -> RefundResult:
        """`pending` and `failed` are results too, not errors."""
        with named_errors(ref):
            return read_refund(
                self._api.refunds.create(
                    {
                        "payment_intent": ref,
                        "amount": amount_cents,
                        "reason": "requested_by_customer",
                        "metadata": dict(metadata or {}),
                    },
                    {"idempotency_key": key},
                )
            )

    def list_refunds(
        self, *, intent_ref: str | None = None, created_gte: datetime | None = None
    ) -> Iterator[RefundResult]:
        params: RefundListParams = {"limit": 100}
        if intent_ref:
            params["payment_intent"] = intent_ref
        if created_gte:
            params["created"] = {"gte": seconds(created_gte)}
        with named_errors(intent_ref or ""):
            for found in self._api.refunds.list(params).auto_paging_iter():
                yield read_refund(found)

    def retrieve_dispute(self, ref: str) -> DisputeResult:
        with named_errors():
            return read_dispute(self._api.disputes.retrieve(ref))

    # -- Events ----------------------------------------------------------------------------------

    def list_undelivered_events(
        self, *, created_gte: datetime, types: Iterable[str] = WEBHOOK_TOPICS
    ) -> Iterator[ProviderEvent]:
        """At most 20 types at once, and 30 days back, are Stripe's limits."""
        params: EventListParams = {
            "created": {"gte": seconds(created_gte)},
            "types": list(types),
            "delivery_success": False,
            "limit": 100,
        }
        with named_errors():
            for found in self._api.events.list(params).auto_paging_iter():
                yield read_event(found)


def construct_event(body: bytes, signature: str, secrets: Iterable[str]) -> ProviderEvent:
    """The event in a webhook's raw body, if one of the secrets signed it (two while one is rolled)."""
    for secret in secrets:
        try:
            event = stripe.Webhook.construct_event(body, signature, secret)
            return read_event(event)
        except stripe.SignatureVerificationError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError, OSError, OverflowError) as error:
            raise BadSignature("malformed_body") from error
    raise BadSignature("no_secret_fits")


def library_api_version() -> str:
    return str(stripe.api_version)


# -- The gateway in use ------------------------------------------------------------------------------

_in_use: Gateway | None = None


def gateway() -> Gateway:
    """The gateway the settings describe, made once in each process."""
    global _in_use
    if _in_use is None:
        _in_use = Gateway(secret_key=settings.STRIPE_SECRET_KEY, api_base=settings.STRIPE_API_BASE)
    return _in_use


@contextmanager
def using(http_client: stripe.HTTPClient | None) -> Iterator[Gateway]:
    """For tests: in all threads of this process, `gateway()` talks through this client."""
    global _in_use
    before = _in_use
    _in_use = Gateway(secret_key="sk_test_local", http_client=http_client)  # noqa: S106 - no secret
    try:
        yield _in_use
    finally:
        _in_use = before


# -- Stripe's answers in our words -------------------------------------------------------------------


@contextmanager
def named_errors(intent_ref: str = "") -> Iterator[None]:
    try:
        yield
    except stripe.CardError as error:
        raise CardDeclined(refusal_code(error), refused_intent(error)) from error
    except stripe.InvalidRequestError as error:
        code = error.code or ""
        logger.warning("Stripe refused a request: %s (%s)", code or "no code", error.param or "no parameter")
        raise named(code)(code, intent_ref=intent_ref) from error
    except stripe.IdempotencyError as error:
        raise InvalidRequest("idempotency_error", intent_ref=intent_ref) from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # Our key is wrong, not the payment: keep it open until somebody has repaired the key.
        logger.error("Stripe refuses our key: %s", type(error).__name__)
        raise PaymentProviderDown("authentication", intent_ref=intent_ref) from error
    except stripe.StripeError as error:
        raise PaymentProviderDown(type(error).__name__, intent_ref=intent_ref) from error


def named(code: str) -> type[GatewayError]:
    if code == "charge_already_refunded":
        return AlreadyRefunded
    if code in ("payment_intent_unexpected_state", "charge_already_captured"):
        return UnexpectedState
    return InvalidRequest


def refusal_code(error: stripe.CardError) -> str:
    found = error.error
    decline = getattr(found, "decline_code", None) if found else None
    return str(decline or error.code or "card_declined")


def refused_intent(error: stripe.CardError) -> Intent | None:
    found = getattr(error.error, "payment_intent", None)
    return read_intent(found) if isinstance(found, stripe.PaymentIntent) else None


def read_intent(found: stripe.PaymentIntent) -> Intent:
    last_error = found.last_payment_error
    code = ""
    if last_error:
        code = (
            getattr(last_error, "decline_code", None) or getattr(last_error, "code", None) or "card_declined"
        )
    return Intent(
        ref=found.id,
        status=found.status,
        amount_cents=found.amount,
        captured_cents=found.amount_received,
        capturable_cents=found.amount_capturable,
        currency=found.currency,
        livemode=found.livemode,
        metadata=plain(found.metadata),
        created_at=instant(found.created),
        decline_code=code,
        has_next_action=found.next_action is not None,
        client_secret=found.client_secret or "",
    )


def read_refund(found: stripe.Refund) -> RefundResult:
    return RefundResult(
        ref=found.id,
        status=found.status or "pending",
        amount_cents=found.amount,
        currency=found.currency,
        intent_ref=ref_of(found.payment_intent),
        metadata=plain(found.metadata),
        created_at=instant(found.created),
        failure_reason=getattr(found, "failure_reason", None) or "",
    )


def read_dispute(found: stripe.Dispute) -> DisputeResult:
    due_by = found.evidence_details.due_by
    return DisputeResult(
        ref=found.id,
        status=found.status,
        amount_cents=found.amount,
        reason=found.reason,
        intent_ref=ref_of(found.payment_intent),
        created_at=instant(found.created),
        evidence_due_at=instant(due_by) if due_by else None,
    )


def read_event(found: stripe.Event) -> ProviderEvent:
    if not found.id:
        raise ValueError("an event without an id")
    subject = found.data.object
    object_ref = str(getattr(subject, "id", None) or "")
    about = (
        object_ref if found.type.startswith("payment_intent.") else getattr(subject, "payment_intent", None)
    )
    return ProviderEvent(
        id=found.id,
        type=found.type,
        object_ref=object_ref,
        intent_ref=ref_of(about),
        livemode=found.livemode,
        created_at=instant(found.created),
    )


def ref_of(found: Any) -> str:
    """Stripe gives a reference, or the whole object when it was asked to expand it."""
    return found if isinstance(found, str) else str(getattr(found, "id", None) or "")


def plain(metadata: Any) -> dict[str, str]:
    return dict(metadata.to_dict()) if metadata else {}


def instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def seconds(at: datetime) -> int:
    return int(at.timestamp())
