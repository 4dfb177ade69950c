"""The stand-in for Stripe keeps Stripe's rules, and no card data."""

import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_type_hints

import pytest

from billing.stripe_double import cards
from billing.stripe_double.engine import Engine
from billing.stripe_double.form import CREATED, PARAMETERS, ApiError, decode
from billing.stripe_double.store import API_VERSION

ROOT = Path(__file__).parents[2]
HEADERS = {"Authorization": "Bearer sk_test_local", "Stripe-Version": API_VERSION}
CARD = "amount=5000&currency=sgd&allowed_payment_method_types[0]=card&allowed_payment_method_types[1]=paynow"
MANUAL = f"{CARD}&payment_method_options[card][capture_method]=manual"


@pytest.fixture
def engine():
    return Engine()


def post(engine, path, body="", key=""):
    return engine.handle("POST", f"/v1/{path}", HEADERS | ({"Idempotency-Key": key} if key else {}), body)


def get(engine, path):
    return engine.handle("GET", f"/v1/{path}", HEADERS)


def code_of(answer):
    status, body = answer
    return status, body["error"].get("code", body["error"]["type"])


def confirmed(engine, outcome="success", kind="card", body=MANUAL):
    ref = post(engine, "payment_intents", body)[1]["id"]
    token = engine.confirmation_token(kind, outcome)
    return ref, post(engine, f"payment_intents/{ref}/confirm", f"confirmation_token={token}")


def topics(engine):
    return [event["type"] for event in engine.store.events.values()]


# -- Requests ------------------------------------------------------------------------------------


def test_nested_form_is_decoded():
    assert decode("a[b][c]=1&d[0]=x&d[]=y&e=") == {"a": {"b": {"c": "1"}}, "d": {"0": "x", "1": "y"}, "e": ""}


@pytest.mark.parametrize("endpoint", sorted(PARAMETERS))
def test_parameters_exist_in_the_pinned_library(endpoint):
    kind, verb = endpoint.split(".")
    name = f"{kind.removesuffix('s')}_{verb}_params"
    module = importlib.import_module(f"stripe.params._{name}")
    known = getattr(module, "".join(part.title() for part in name.split("_")))
    # `payment_intents.retrieve` takes a client secret with a publishable key only.
    assert set(PARAMETERS[endpoint]) <= set(known.__annotations__)


def test_created_filter_exists_in_the_pinned_library():
    from stripe.params import EventListParamsCreated

    assert set(CREATED) == set(get_type_hints(EventListParamsCreated))


def test_payment_method_types_are_refused(engine):
    answer = post(engine, "payment_intents", "amount=5000&currency=sgd&payment_method_types[0]=card")
    assert code_of(answer) == (400, "payment_method_types_no_longer_supported")


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ("nonsense=1", "nonsense"),
        ("automatic_payment_methods[enabled]=true", "automatic_payment_methods"),
        ("payment_method_options[paynow][capture_method]=manual", "payment_method_options[paynow]"),
    ],
)
def test_unknown_parameter_is_refused(engine, extra, param):
    answer = post(engine, "payment_intents", f"{CARD}&{extra}")
    assert code_of(answer) == (400, "parameter_unknown")
    assert answer[1]["error"]["param"] == param
    assert not engine.store.intents


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("currency=sgd", "parameter_missing"),
        (CARD.replace("5000", "fifty"), "parameter_invalid_integer"),
        (CARD.replace("5000", "49"), "amount_too_small"),
        (CARD.replace("5000", "100000000"), "amount_too_large"),
        (CARD.replace("sgd", "usd"), "invalid_request_error"),
        (CARD.replace("=card", "=wechat"), "invalid_request_error"),
        (f"{CARD}&amount[x]=1", "invalid_request_error"),
    ],
)
def test_wrong_values_are_refused(engine, body, code):
    assert code_of(post(engine, "payment_intents", body)) == (400, code)


@pytest.mark.parametrize("key", ["", "Bearer sk_live_x", "Bearer pk_test_x"])
def test_other_than_test_keys_are_refused(engine, key):
    assert engine.handle("GET", "/v1/events", HEADERS | {"Authorization": key})[0] == 401


@pytest.mark.parametrize("version", ["", "2024-04-10"])
def test_other_api_versions_are_refused(engine, version):
    assert engine.handle("GET", "/v1/events", HEADERS | {"Stripe-Version": version})[0] == 400


@pytest.mark.parametrize("path", ["charges", "payment_intents/pi_x", "payment_intents/pi_x/confirm/more"])
def test_unknown_address_is_404(engine, path):
    assert get(engine, path)[0] == 404


# -- Idempotency ---------------------------------------------------------------------------------


def test_same_key_is_replayed(engine):
    first = post(engine, "payment_intents", CARD, "k")
    assert post(engine, "payment_intents", "&".join(reversed(CARD.split("&"))), "k") == first
    assert len(engine.store.intents) == 1


@pytest.mark.parametrize(
    ("path", "body"), [("payment_intents", CARD.replace("5000", "6000")), ("refunds", CARD)]
)
def test_same_key_for_something_else(engine, path, body):
    post(engine, "payment_intents", CARD, "k")
    assert code_of(post(engine, path, body, "k")) == (400, "idempotency_error")


def test_refused_validation_does_not_use_up_a_key(engine):
    assert post(engine, "payment_intents", "amount=5000", "k")[0] == 400
    assert post(engine, "payment_intents", CARD, "k")[0] == 200


def test_key_is_forgotten_after_a_day():
    now = [1_800_000_000]
    engine = Engine(clock=lambda: now[0])
    first = post(engine, "payment_intents", CARD, "k")[1]["id"]
    now[0] += 24 * 3600
    assert post(engine, "payment_intents", CARD, "k")[1]["id"] != first


def test_key_in_many_threads_makes_one_intent(engine):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(engine, "payment_intents", CARD, "k"), range(40)))
    assert len({answer["id"] for _, answer in answers}) == 1


def test_answers_are_copies(engine):
    answer = post(engine, "payment_intents", CARD, "k")[1]
    answer["status"] = "succeeded"
    assert engine.intent(answer["id"])["status"] == "requires_payment_method"
    assert post(engine, "payment_intents", CARD, "k")[1]["status"] == "requires_payment_method"


# -- The life of an intent -----------------------------------------------------------------------


def test_card_waits_for_capture_when_manual(engine):
    ref, (_, held) = confirmed(engine)
    assert (held["status"], held["amount_capturable"], held["amount_received"]) == (
        "requires_capture",
        5000,
        0,
    )
    _, paid = post(engine, f"payment_intents/{ref}/capture")
    assert (paid["status"], paid["amount_capturable"], paid["amount_received"]) == ("succeeded", 0, 5000)
    assert topics(engine) == [
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
    ]


def test_card_is_paid_at_once_when_not_manual(engine):
    assert confirmed(engine, body=CARD)[1][1]["status"] == "succeeded"


def test_decline_is_a_402_with_the_intent(engine):
    ref, (status, body) = confirmed(engine, "insufficient_funds")
    error = body["error"]
    assert (status, error["type"], error["code"]) == (402, "card_error", "card_declined")
    assert error["decline_code"] == "insufficient_funds"
    assert error["payment_intent"]["id"] == ref
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert topics(engine)[-1] == "payment_intent.payment_failed"


@pytest.mark.parametrize(
    ("outcome", "passed", "status", "code"),
    [
        ("three_d_secure", True, "requires_capture", None),
        ("three_d_secure", False, "requires_payment_method", "payment_intent_authentication_failure"),
        ("three_d_secure_insufficient_funds", True, "requires_payment_method", "card_declined"),
    ],
)
def test_three_d_secure(engine, outcome, passed, status, code):
    ref, (_, waiting) = confirmed(engine, outcome)
    assert (waiting["status"], waiting["next_action"]["type"]) == ("requires_action", "use_stripe_sdk")
    done = engine.authenticate(ref, passed=passed)
    assert (done["status"], done["next_action"]) == (status, None)
    assert (done["last_payment_error"] or {}).get("code") == code


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("succeeded", "succeeded"),
        ("processing", "processing"),
        ("failed", "requires_payment_method"),
    ],
)
def test_paynow(engine, outcome, status):
    ref, (_, waiting) = confirmed(engine, kind="paynow")
    assert waiting["next_action"]["type"] == "paynow_display_qr_code"
    assert engine.scan(ref, outcome)["status"] == status


def test_paynow_in_processing_is_paid_later(engine):
    ref, _ = confirmed(engine, kind="paynow")
    engine.scan(ref, "processing")
    assert engine.scan(ref)["status"] == "succeeded"


def test_canceled_code_cannot_be_paid(engine):
    ref, _ = confirmed(engine, kind="paynow")
    post(engine, f"payment_intents/{ref}/cancel")
    with pytest.raises(ApiError):
        engine.scan(ref)
    assert engine.intent(ref)["amount_received"] == 0


def test_payment_wins_against_cancel(engine):
    ref, _ = confirmed(engine, kind="paynow")
    engine.pay_before_cancel(ref)
    assert code_of(post(engine, f"payment_intents/{ref}/cancel")) == (400, "payment_intent_unexpected_state")
    assert engine.intent(ref)["status"] == "succeeded"


def test_cancel_releases_the_authorisation(engine):
    ref, _ = confirmed(engine)
    _, gone = post(engine, f"payment_intents/{ref}/cancel", "cancellation_reason=abandoned")
    assert (gone["status"], gone["amount_capturable"]) == ("canceled", 0)
    assert not engine.store.refunds


@pytest.mark.parametrize("verb", ["confirm", "capture", "cancel"])
@pytest.mark.parametrize("end", ["capture", "cancel"])
def test_nothing_moves_after_the_end(engine, verb, end):
    ref, _ = confirmed(engine)
    post(engine, f"payment_intents/{ref}/{end}")
    before = engine.intent(ref)
    token = engine.confirmation_token()
    body = f"confirmation_token={token}" if verb == "confirm" else ""
    status, answer = post(engine, f"payment_intents/{ref}/{verb}", body)
    assert code_of((status, answer)) == (400, "payment_intent_unexpected_state")
    assert answer["error"]["payment_intent"]["status"] == before["status"]
    assert engine.intent(ref) == before


def test_token_serves_once(engine):
    token = engine.confirmation_token(outcome="declined")
    first, second = (post(engine, "payment_intents", MANUAL)[1]["id"] for _ in range(2))
    assert post(engine, f"payment_intents/{first}/confirm", f"confirmation_token={token}")[0] == 402
    assert post(engine, f"payment_intents/{second}/confirm", f"confirmation_token={token}")[0] == 400


def test_token_of_a_type_that_is_not_allowed(engine):
    body = "amount=5000&currency=sgd&allowed_payment_method_types[0]=card"
    answer = confirmed(engine, kind="paynow", body=body)[1]
    assert code_of(answer) == (400, "payment_intent_incompatible_payment_method")


def test_partial_capture(engine):
    ref, _ = confirmed(engine)
    assert post(engine, f"payment_intents/{ref}/capture", "amount_to_capture=5001")[0] == 400
    assert (
        post(engine, f"payment_intents/{ref}/capture", "amount_to_capture=2000")[1]["amount_received"] == 2000
    )


# -- Refunds and disputes ------------------------------------------------------------------------


@pytest.fixture
def paid(engine):
    return confirmed(engine, body=CARD)[0]


def test_refunds_end_at_what_was_paid(engine, paid):
    assert post(engine, "refunds", f"payment_intent={paid}&amount=2000")[1]["status"] == "succeeded"
    assert post(engine, "refunds", f"payment_intent={paid}&amount=3001")[0] == 400
    assert post(engine, "refunds", f"payment_intent={paid}")[1]["amount"] == 3000
    answer = post(engine, "refunds", f"payment_intent={paid}")
    assert code_of(answer) == (400, "charge_already_refunded")


def test_refund_of_nothing(engine):
    ref, _ = confirmed(engine)
    assert post(engine, "refunds", f"payment_intent={ref}")[0] == 400


def test_pending_refund_fails_and_may_be_repeated(engine, paid):
    engine.next_refund(paid, "pending")
    refund = post(engine, "refunds", f"payment_intent={paid}")[1]
    assert refund["status"] == "pending"
    assert post(engine, "refunds", f"payment_intent={paid}")[0] == 400
    assert engine.settle_refund(refund["id"], "failed")["failure_reason"]
    assert topics(engine)[-2:] == ["refund.updated", "refund.failed"]
    assert post(engine, "refunds", f"payment_intent={paid}")[1]["status"] == "succeeded"


def test_lost_dispute_forbids_refund(engine, paid):
    dispute = engine.dispute(paid)
    engine.close_dispute(dispute["id"])
    assert code_of(post(engine, "refunds", f"payment_intent={paid}")) == (400, "charge_disputed")
    assert topics(engine)[-2:] == ["charge.dispute.created", "charge.dispute.closed"]


# -- Lists ---------------------------------------------------------------------------------------


def test_pages_newest_first(engine):
    refs = [post(engine, "payment_intents", CARD)[1]["id"] for _ in range(5)][::-1]
    first = get(engine, "payment_intents?limit=2")[1]
    assert ([row["id"] for row in first["data"]], first["has_more"]) == (refs[:2], True)
    rest = get(engine, f"payment_intents?limit=3&starting_after={refs[1]}")[1]
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (refs[2:], False)
    back = get(engine, f"payment_intents?limit=2&ending_before={refs[3]}")[1]
    assert ([row["id"] for row in back["data"]], back["has_more"]) == (refs[1:3], True)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "starting_after=pi_x", "created[near]=1"]
)
def test_wrong_list_parameters(engine, query):
    assert get(engine, f"payment_intents?{query}")[0] == 400


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ("created[gte]=7200", [3, 2]),
        ("created[gt]=7200", [3]),
        ("created[lt]=7200", [1]),
        ("created=7200", [2]),
    ],
)
def test_created_filter(query, hours):
    now = [0]
    engine = Engine(clock=lambda: now[0])
    for hour in (1, 2, 3):
        now[0] = hour * 3600
        post(engine, "payment_intents", CARD)
    assert [row["created"] // 3600 for row in get(engine, f"payment_intents?{query}")[1]["data"]] == hours


def test_events_by_type_and_delivery(engine):
    confirmed(engine)
    created, capturable = engine.undelivered()
    engine.mark_delivered(created["id"])
    found = get(engine, "events?delivery_success=false")[1]["data"]
    assert found == [capturable]
    assert get(engine, "events?delivery_success=true")[1]["data"][0]["id"] == created["id"]
    assert not get(engine, "events?delivery_success=false&types[0]=payment_intent.created")[1]["data"]
    assert get(engine, f"events/{created['id']}")[1]["type"] == "payment_intent.created"


def test_refunds_of_one_intent(engine, paid):
    post(engine, "refunds", f"payment_intent={paid}&amount=100")
    assert len(get(engine, f"refunds?payment_intent={paid}")[1]["data"]) == 1
    assert not get(engine, "refunds?payment_intent=pi_other")[1]["data"]


def test_references_fit_our_constraint(engine, paid):
    refund = post(engine, "refunds", f"payment_intent={paid}")[1]["id"]
    assert all(re.fullmatch(r"(pi|re)_[A-Za-z0-9]+", ref) for ref in (paid, refund))


# -- State ---------------------------------------------------------------------------------------


def test_state_survives_a_restart(tmp_path):
    path = tmp_path / "deep" / "state.json"
    ref, _ = confirmed(Engine(path=path))
    again = Engine(path=path)
    assert again.intent(ref)["status"] == "requires_capture"
    assert post(again, f"payment_intents/{ref}/capture")[1]["status"] == "succeeded"
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]


def test_unknown_cards_are_declined():
    assert cards.outcome_of("4111 1111 1111 1111") == "test_mode_live_card"
    assert set(cards.NUMBERS.values()) <= set(cards.OUTCOMES)


def test_broken_state_is_named(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="Delete it"):
        Engine(path=path)
