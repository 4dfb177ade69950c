"""What the provider says is checked, counted once, and never believed."""

import json
import time

import pytest
from django.db import OperationalError

from billing.models import ProviderEvent
from scheduling.models import Booking
from tests.billing.steps import deliver, deliver_all, pay, payment_of, run_jobs


@pytest.fixture
def authorised(client, double, engine, hold):
    """Authenticated at the bank, but the browser never came back."""
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    engine.authenticate(payment_of(hold).provider_ref)
    return payment_of(hold)


def last_event(engine, topic="payment_intent.amount_capturable_updated"):
    return next(e for e in reversed(engine.undelivered()) if e["type"] == topic)


def test_webhook_books_without_the_browser(client, engine, hold, authorised):
    assert deliver(client, last_event(engine)).status_code == 200
    assert not Booking.objects.exists()
    run_jobs()
    assert payment_of(hold).status == "paid"
    assert ProviderEvent.objects.get().processed_at


def test_csrf_is_not_asked_for(engine, authorised):
    from django.test import Client

    assert deliver(Client(enforce_csrf_checks=True), last_event(engine)).status_code == 200


def test_no_payload_is_kept(client, engine, authorised):
    deliver(client, last_event(engine))
    columns = {field.name for field in ProviderEvent._meta.fields}
    assert columns == {
        "event_id",
        "type",
        "object_ref",
        "intent_ref",
        "created_at",
        "received_at",
        "processed_at",
    }


@pytest.mark.parametrize("header", ["", "garbage", "t=1,v1=00", "t=,v1="])
def test_bad_signature(client, engine, authorised, header):
    body = json.dumps(last_event(engine))
    response = client.post(
        "/stripe/webhook/", body, content_type="application/json", headers={"Stripe-Signature": header}
    )
    assert response.status_code == 400
    assert not ProviderEvent.objects.exists()


def test_foreign_secret(client, engine, authorised):
    assert deliver(client, last_event(engine), secret="whsec_other").status_code == 400


def test_old_signature(client, engine, authorised):
    assert deliver(client, last_event(engine), at=time.time() - 600).status_code == 400


def test_changed_body(client, engine, authorised):
    from billing.stripe_double.webhooks import signed

    body, signature = signed(last_event(engine), "whsec_local")
    changed = body.replace(b"6500", b"1")
    response = client.post(
        "/stripe/webhook/",
        changed,
        content_type="application/json",
        headers={"Stripe-Signature": signature},
    )
    assert response.status_code == 400


@pytest.mark.parametrize("event", [[], {}, {"id": 1}, {"object": "event", "data": None}, "text"])
def test_signed_nonsense(client, db, event):
    assert deliver(client, event).status_code in (200, 400)
    assert not ProviderEvent.objects.exists()


def test_secret_rotation(client, engine, authorised, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", "whsec_local"]
    assert deliver(client, last_event(engine)).status_code == 200
    assert deliver(client, last_event(engine), secret="whsec_new").status_code == 200
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new"]
    assert deliver(client, last_event(engine)).status_code == 400


def test_live_event_in_a_test_system(client, engine, authorised):
    assert deliver(client, last_event(engine) | {"livemode": True}).status_code == 400
    assert not ProviderEvent.objects.exists()


def test_unknown_type_is_taken_and_forgotten(client, engine, authorised):
    assert deliver(client, last_event(engine) | {"type": "customer.created"}).status_code == 200
    assert not ProviderEvent.objects.exists()


def test_unknown_payment(client, engine, authorised, hold):
    event = last_event(engine) | {"id": "evt_foreign"}
    event["data"]["object"]["id"] = "pi_foreign"
    assert deliver(client, event).status_code == 200
    run_jobs()
    assert payment_of(hold).status == "requires_action"


def test_a_thousand_replays(client, engine, hold, double, authorised):
    for _ in range(1000):
        assert deliver(client, last_event(engine)).status_code == 200
    run_jobs()
    assert ProviderEvent.objects.count() == Booking.objects.count() == 1
    assert [call.verb for call in double.calls].count("capture") == 1


def test_order_does_not_matter(client, engine, hold, authorised):
    pay(client, hold, engine.confirmation_token())
    events = sorted(engine.undelivered(), key=lambda event: event["id"])
    for event in [*events, *reversed(events)]:
        assert deliver(client, event).status_code == 200
    run_jobs()
    assert payment_of(hold).status == "paid"
    assert Booking.objects.count() == 1


def test_event_that_lies(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    ref = payment_of(hold).provider_ref
    lie = {**last_event(engine, "payment_intent.created"), "type": "payment_intent.succeeded"}
    lie["data"]["object"] |= {"status": "succeeded", "amount_received": 6500}
    assert deliver(client, lie).status_code == 200
    run_jobs()
    assert engine.intent(ref)["status"] == payment_of(hold).status == "requires_action"
    assert not Booking.objects.exists()


def test_dispute_is_flagged(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token())
    engine.dispute(payment_of(hold).provider_ref)
    deliver_all(client, engine)
    run_jobs()
    assert payment_of(hold).is_disputed


def test_too_large(client, db, settings):
    body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    response = client.post("/stripe/webhook/", body, content_type="application/json")
    assert response.status_code == 413


def test_busy_database_asks_to_come_again(client, engine, authorised, monkeypatch):
    def wait(event):
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr("billing.webhooks.keep", wait)
    assert deliver(client, last_event(engine)).status_code == 503


def test_get_is_not_allowed(client, db):
    assert client.get("/stripe/webhook/").status_code == 405


def test_failing_job_is_tried_again(client, double, engine, hold, authorised):
    deliver(client, last_event(engine))
    double.fail_next("retrieve", "lose_request", times=3)
    with pytest.raises(Exception, match="Connection"):
        run_jobs()
    assert ProviderEvent.objects.get().processed_at is None
    run_jobs()
    assert payment_of(hold).status == "paid"
