"""The gateway, through the real Stripe library, against the double."""

import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from billing import gateway as port
from billing.gateway import (
    AlreadyRefunded,
    BadSignature,
    CardDeclined,
    Gateway,
    InvalidRequest,
    PaymentProviderDown,
    UnexpectedState,
)
from billing.refusals import refusal_sentence
from billing.stripe_double.client import Crash, DoubleClient
from billing.stripe_double.engine import Engine
from billing.stripe_double.webhooks import signed

RETURN_URL = "http://testserver/checkout/return/"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def client(engine):
    return DoubleClient(engine)


@pytest.fixture
def gateway(client):
    return Gateway(secret_key="sk_test_local", http_client=client)


@pytest.fixture
def intent(gateway):
    return new_intent(gateway)


def new_intent(gateway, *, payment_id=None, amount_cents=5000):
    payment_id = payment_id or uuid.uuid4()
    return gateway.create_intent(
        payment_id=payment_id, amount_cents=amount_cents, currency="sgd", key=f"pi:{payment_id}"
    )


def confirm(gateway, engine, intent, outcome="success", *, kind="card", attempt=1):
    token = engine.confirmation_token(kind, outcome)
    return gateway.confirm_intent(
        intent.ref, confirmation_token=token, return_url=RETURN_URL, key=f"confirm:{intent.ref}:{attempt}"
    )


@pytest.fixture
def paid(gateway, engine, intent):
    confirm(gateway, engine, intent)
    return gateway.capture(intent.ref, key="capture:1")


def test_new_intent_charges_nothing(gateway):
    payment_id = uuid.uuid4()
    intent = new_intent(gateway, payment_id=payment_id)
    assert intent.status == "requires_payment_method"
    assert (intent.amount_cents, intent.captured_cents, intent.currency) == (5000, 0, "sgd")
    assert intent.metadata == {"payment": str(payment_id)}
    assert not intent.livemode
    assert not intent.has_next_action


def test_client_secret_stays_out_of_repr(intent):
    assert intent.client_secret
    assert intent.client_secret not in repr(intent)


def test_card_is_authorised_then_captured(gateway, engine, intent):
    held = confirm(gateway, engine, intent)
    assert (held.status, held.capturable_cents, held.captured_cents) == ("requires_capture", 5000, 0)
    paid = gateway.capture(intent.ref, key="capture:1")
    assert (paid.status, paid.captured_cents) == ("succeeded", 5000)


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        ("insufficient_funds", "insufficient_funds", "enough funds"),
        ("expired_card", "expired_card", "expired"),
        ("incorrect_cvc", "incorrect_cvc", "security code"),
        ("stolen_card", "stolen_card", "bank declined"),
        ("declined", "generic_decline", "bank declined"),
    ],
)
def test_decline_has_a_sentence(gateway, engine, intent, outcome, code, words):
    with pytest.raises(CardDeclined) as caught:
        confirm(gateway, engine, intent, outcome)
    assert caught.value.code == code
    assert words in caught.value.sentence
    assert caught.value.intent.ref == intent.ref
    assert caught.value.intent.status == "requires_payment_method"
    again = gateway.retrieve_intent(intent.ref)
    assert again.decline_code == code
    assert words in again.decline_sentence


def test_stolen_card_reads_like_any_refusal():
    assert refusal_sentence("stolen_card") == refusal_sentence("generic_decline")


def test_second_card_after_a_decline(gateway, engine, intent):
    with pytest.raises(CardDeclined):
        confirm(gateway, engine, intent, "declined")
    assert confirm(gateway, engine, intent, attempt=2).status == "requires_capture"


def test_same_key_replays_the_decline(gateway, engine, intent):
    token = engine.confirmation_token(outcome="declined")
    for _ in range(2):
        with pytest.raises(CardDeclined):
            gateway.confirm_intent(intent.ref, confirmation_token=token, return_url=RETURN_URL, key="same")
    assert len([e for e in engine.store.events.values() if e["type"] == "payment_intent.payment_failed"]) == 1


def test_used_token_is_refused(gateway, engine, intent):
    token = engine.confirmation_token(outcome="declined")
    with pytest.raises(CardDeclined):
        gateway.confirm_intent(intent.ref, confirmation_token=token, return_url=RETURN_URL, key="1")
    with pytest.raises(InvalidRequest):
        gateway.confirm_intent(intent.ref, confirmation_token=token, return_url=RETURN_URL, key="2")


def test_three_d_secure_waits_for_the_patient(gateway, engine, intent):
    waiting = confirm(gateway, engine, intent, "three_d_secure")
    assert waiting.status == "requires_action"
    assert waiting.has_next_action
    engine.authenticate(intent.ref)
    assert gateway.retrieve_intent(intent.ref).status == "requires_capture"


def test_paynow_is_paid_at_once(gateway, engine, intent):
    assert confirm(gateway, engine, intent, kind="paynow").has_next_action
    engine.scan(intent.ref)
    paid = gateway.retrieve_intent(intent.ref)
    assert (paid.status, paid.captured_cents) == ("succeeded", 5000)


def test_cancel_releases_without_refund(gateway, engine, intent):
    confirm(gateway, engine, intent)
    assert gateway.cancel(intent.ref, key="cancel:1").status == "canceled"
    assert not list(gateway.list_refunds(intent_ref=intent.ref))


def test_cancel_too_late(gateway, engine, intent):
    confirm(gateway, engine, intent, kind="paynow")
    engine.pay_before_cancel(intent.ref)
    with pytest.raises(UnexpectedState) as caught:
        gateway.cancel(intent.ref, key="cancel:1")
    assert caught.value.intent_ref == intent.ref
    assert gateway.retrieve_intent(intent.ref).status == "succeeded"


def test_capture_of_a_canceled_intent(gateway, engine, intent):
    confirm(gateway, engine, intent)
    gateway.cancel(intent.ref, key="cancel:1")
    with pytest.raises(UnexpectedState):
        gateway.capture(intent.ref, key="capture:1")


def test_refund_in_full_happens_once(gateway, paid):
    refund = gateway.refund(paid.ref, amount_cents=5000, key="refund:1", metadata={"refund": "r"})
    assert (refund.status, refund.amount_cents, refund.intent_ref) == ("succeeded", 5000, paid.ref)
    with pytest.raises(AlreadyRefunded):
        gateway.refund(paid.ref, amount_cents=5000, key="refund:2")
    assert list(gateway.list_refunds(intent_ref=paid.ref)) == [refund]
    assert list(gateway.list_refunds(created_gte=LONG_AGO)) == [refund]


def test_refund_above_what_was_paid(gateway, paid):
    with pytest.raises(InvalidRequest):
        gateway.refund(paid.ref, amount_cents=5001, key="refund:1")
    assert not list(gateway.list_refunds(intent_ref=paid.ref))


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_refund_may_not_succeed(gateway, engine, paid, status):
    engine.next_refund(paid.ref, status)
    assert gateway.refund(paid.ref, amount_cents=5000, key="refund:1").status == status


@pytest.mark.parametrize("how", ["lose_request", "lose_answer"])
def test_library_repeats_with_the_same_key(gateway, engine, client, how):
    client.fail_next("create", how, times=2)
    new_intent(gateway)
    assert len(engine.store.intents) == 1
    assert len({call.key for call in client.calls}) == 1


def test_lost_for_good_then_the_same_call(gateway, engine, client):
    payment_id = uuid.uuid4()
    client.fail_next("create", "lose_answer", times=3)
    with pytest.raises(PaymentProviderDown):
        new_intent(gateway, payment_id=payment_id)
    found = gateway.find_intent(payment_id, created_gte=LONG_AGO)
    assert new_intent(gateway, payment_id=payment_id) == found


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_no_answer_means_outcome_unknown(gateway, client, intent, status):
    client.fail_next("capture", "status", times=3, status=status)
    with pytest.raises(PaymentProviderDown) as caught:
        gateway.capture(intent.ref, key="capture:1")
    assert caught.value.intent_ref == intent.ref


def test_crash_is_never_swallowed(gateway, client):
    client.fail_next("create", "crash_after")
    with pytest.raises(Crash):
        new_intent(gateway)


def test_refused_key_is_no_verdict_on_the_payment(client):
    with pytest.raises(PaymentProviderDown):
        new_intent(Gateway(secret_key="sk_live_x", http_client=client))


def test_same_key_for_another_amount(gateway):
    payment_id = uuid.uuid4()
    new_intent(gateway, payment_id=payment_id)
    with pytest.raises(InvalidRequest, match="idempotency_error"):
        new_intent(gateway, payment_id=payment_id, amount_cents=6000)


def test_unknown_reference(gateway):
    with pytest.raises(InvalidRequest, match="resource_missing"):
        gateway.retrieve_intent("pi_nothing")


def test_amount_below_the_minimum(gateway):
    with pytest.raises(InvalidRequest, match="amount_too_small"):
        new_intent(gateway, amount_cents=port.PAYNOW_MINIMUM_CENTS - 1)


def test_list_goes_through_all_pages(gateway, client):
    refs = [new_intent(gateway).ref for _ in range(205)]
    client.calls.clear()
    assert [intent.ref for intent in gateway.list_intents(created_gte=LONG_AGO)] == refs[::-1]
    assert [call.verb for call in client.calls] == ["list"] * 3


def test_list_starts_at_an_instant(gateway, intent):
    assert list(gateway.list_intents(created_gte=intent.created_at)) == [intent]
    assert not list(gateway.list_intents(created_gte=intent.created_at + timedelta(seconds=5)))


def test_undelivered_events_of_our_topics(gateway, engine, intent):
    confirm(gateway, engine, intent)
    gateway.cancel(intent.ref, key="cancel:1")
    events = list(gateway.list_undelivered_events(created_gte=LONG_AGO))
    assert [e.type for e in events] == ["payment_intent.canceled", "payment_intent.amount_capturable_updated"]
    assert {e.intent_ref for e in events} == {intent.ref}
    engine.mark_delivered(events[0].id)
    assert list(gateway.list_undelivered_events(created_gte=LONG_AGO)) == events[1:]


def test_refund_event_names_its_intent(gateway, engine, paid):
    refund = gateway.refund(paid.ref, amount_cents=5000, key="refund:1")
    event = port.construct_event(*signed(engine.undelivered()[-1], "whsec_a"), ["whsec_a"])
    assert (event.type, event.object_ref, event.intent_ref) == ("refund.created", refund.ref, paid.ref)


def test_dispute_event_names_its_intent(engine, paid):
    dispute = engine.dispute(paid.ref)
    event = port.construct_event(*signed(engine.undelivered()[-1], "whsec_a"), ["whsec_a"])
    assert (event.object_ref, event.intent_ref) == (dispute["id"], paid.ref)


def test_disputed_charge_is_not_refunded(gateway, engine, paid):
    engine.dispute(paid.ref)
    with pytest.raises(InvalidRequest, match="charge_disputed"):
        gateway.refund(paid.ref, amount_cents=5000, key="refund:1")


def test_either_secret_fits_while_one_is_rolled(engine, intent):
    body, signature = signed(engine.undelivered()[0], "whsec_old")
    assert port.construct_event(body, signature, ["whsec_new", "whsec_old"]).object_ref == intent.ref


@pytest.mark.parametrize("secrets", [["whsec_other"], [""], []])
def test_wrong_secret(engine, intent, secrets):
    with pytest.raises(BadSignature):
        port.construct_event(*signed(engine.undelivered()[0], "whsec_a"), secrets)


def test_old_delivery_is_refused(engine, intent):
    body, signature = signed(engine.undelivered()[0], "whsec_a", at=time.time() - 301)
    with pytest.raises(BadSignature):
        port.construct_event(body, signature, ["whsec_a"])


@pytest.mark.parametrize("values", [{"created": 10**18}, {"id": None}, {"id": ""}])
def test_nonsense_that_is_signed_is_refused(engine, intent, values):
    with pytest.raises(BadSignature, match="malformed_body"):
        port.construct_event(*signed(engine.undelivered()[0] | values, "whsec_a"), ["whsec_a"])


def test_changed_body_is_refused(engine, intent):
    body, signature = signed(engine.undelivered()[0], "whsec_a")
    with pytest.raises(BadSignature):
        port.construct_event(body.replace(b"5000", b"5001"), signature, ["whsec_a"])


@pytest.mark.parametrize("body", [b"", b"[]", b"nothing", b"\xff\xfe", b"{}", b'{"object": "event"}'])
@pytest.mark.parametrize("header", ["", "garbage", "t=x,v1=y", "t=1"])
def test_garbage_is_a_bad_signature(body, header):
    with pytest.raises(BadSignature):
        port.construct_event(body, header, ["whsec_a"])


@pytest.mark.parametrize("event", [[], {}, {"object": "event"}, "text"])
def test_signed_garbage_is_a_bad_body(event):
    with pytest.raises(BadSignature, match="malformed"):
        port.construct_event(*signed(event, "whsec_a"), ["whsec_a"])


def test_pinned_version_is_the_library_s():
    from stripe._api_version import _ApiVersion

    assert _ApiVersion.CURRENT == port.API_VERSION
    assert not stripe.enable_telemetry


def test_using_replaces_the_gateway_for_a_while(client):
    with port.using(client) as gateway:
        assert port.gateway() is gateway
    assert port.gateway() is not gateway
