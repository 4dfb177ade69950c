"""What the night's comparison finds, settles, and leaves to a person."""

import datetime as dt
import json
import time
import uuid

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from billing import reconcile
from billing.gateway import gateway
from billing.models import Payment, ProviderEvent
from billing.stripe_double.engine import Engine
from scheduling.models import Booking
from tests import clock, factories
from tests.billing.steps import cancel, pay, payment_of, rival_books, run_jobs

TWO_DAYS = dt.timedelta(days=2)


@pytest.fixture
def engine():
    """An hour behind: what it makes is old enough to be looked at."""
    return Engine(clock=lambda: time.time() - 3600)


@pytest.fixture
def paid(client, double, engine, hold):
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    return payment_of(hold)


def age():
    Payment.objects.update(updated_at="2026-01-01T00:00:00Z", checked_at=None)


def run(capsys, *options):
    """Exit code and findings by kind."""
    try:
        call_command("reconcile_payments", "--json", *options)
        code = 0
    except SystemExit as end:
        code = end.code
    report = json.loads(capsys.readouterr().out)
    return code, {finding["kind"]: finding["is_fixed"] for finding in report["findings"]}


def deliver_everything(engine):
    for event in engine.undelivered():
        engine.mark_delivered(event["id"])


def test_nothing_to_find(engine, paid, capsys):
    deliver_everything(engine)
    assert run(capsys) == (0, {})


def test_authorised_while_everything_was_down(client, double, engine, hold, capsys):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    engine.authenticate(payment_of(hold).provider_ref)
    deliver_everything(engine)
    clock.run_out(hold)
    age()
    assert run(capsys) == (1, {"open_requires_action": False})
    assert not Booking.objects.exists()
    assert run(capsys, "--fix") == (0, {"open": True})
    assert payment_of(hold).status == "paid"
    assert run(capsys) == (0, {})


@pytest.mark.parametrize("verb", ["create", "confirm", "capture"])
@pytest.mark.parametrize("how", ["crash_before", "crash_after"])
def test_killed_at_each_call(client, double, engine, hold, capsys, verb, how):
    double.fail_next(verb, how)
    with pytest.raises(BaseException, match="crash"):
        pay(client, hold, engine.confirmation_token())
    clock.run_out(hold)
    age()
    assert run(capsys, "--fix")[0] == 0
    charged = verb == "capture" or (verb, how) == ("confirm", "crash_after")
    assert payment_of(hold).status == ("paid" if charged else "canceled")
    assert Booking.objects.exists() == charged
    assert sum(intent["amount_received"] for intent in engine.store.intents.values()) == 6500 * charged


def test_waiting_patient_is_no_finding(client, double, engine, hold, capsys):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    deliver_everything(engine)
    age()
    assert run(capsys, "--fix") == (0, {})
    assert payment_of(hold).status == "requires_action"


def test_missed_webhook_of_a_charge(client, double, engine, hold, capsys):
    pay(client, hold, engine.confirmation_token("paynow"))
    engine.scan(payment_of(hold).provider_ref)
    assert run(capsys, "--fix") == (0, {"open": True})
    assert payment_of(hold).status == "paid"


def test_missed_webhook_of_a_dispute(engine, paid, capsys):
    deliver_everything(engine)
    engine.dispute(paid.provider_ref)
    assert run(capsys) == (1, {"missed_event": False})
    assert run(capsys, "--fix") == (0, {"missed_event": True})
    assert Payment.objects.get().is_disputed
    assert ProviderEvent.objects.get().processed_at
    assert run(capsys) == (0, {})


def test_orphan_intent_is_canceled(db, double, engine, capsys):
    orphan = gateway().create_intent(payment_id=uuid.uuid4(), amount_cents=6500, currency="sgd", key="lost")
    assert run(capsys) == (1, {"orphan_intent": False})
    assert run(capsys, "--fix") == (0, {"orphan_intent": True})
    assert engine.intent(orphan.ref)["status"] == "canceled"


def test_charge_nobody_knows_is_left_to_a_person(db, double, engine, capsys):
    orphan = gateway().create_intent(payment_id=uuid.uuid4(), amount_cents=6500, currency="sgd", key="lost")
    engine.store.intents[orphan.ref] |= {"status": "succeeded", "amount_received": 6500}
    assert run(capsys, "--fix") == (1, {"orphan_charge": False})


def test_given_up_here_but_authorised_there(client, double, engine, hold, capsys):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    ref = payment_of(hold).provider_ref
    Payment.objects.update(status="canceled")
    clock.run_out(hold)
    engine.authenticate(ref)
    deliver_everything(engine)
    assert run(capsys, "--fix") == (0, {"canceled_but_requires_capture": True})
    assert engine.intent(ref)["status"] == "canceled"


def test_paid_here_but_not_there(engine, paid, capsys):
    engine.store.intents[paid.provider_ref]["status"] = "canceled"
    deliver_everything(engine)
    assert run(capsys, "--fix") == (1, {"paid_but_canceled": False})


def test_other_amount(engine, paid, capsys):
    engine.store.intents[paid.provider_ref]["amount"] = 1
    deliver_everything(engine)
    assert run(capsys, "--fix") == (1, {"amount_differs": False})


def test_refund_made_by_hand(engine, paid, capsys):
    gateway().refund(paid.provider_ref, amount_cents=6500, key="by-hand")
    deliver_everything(engine)
    assert run(capsys, "--fix") == (0, {"refund_unknown": True})
    paid.refresh_from_db()
    assert paid.status == "refunded"


def test_cancelled_visit_whose_job_was_lost(engine, paid, capsys):
    cancel(paid.booking)
    deliver_everything(engine)
    assert run(capsys) == (1, {"paid_not_booked": False})
    assert run(capsys, "--fix") == (0, {"paid_not_booked": True})
    assert Payment.objects.get().status == "refunded"


def test_failed_refund_stays_open(engine, paid, capsys):
    engine.next_refund(paid.provider_ref, "failed")
    cancel(paid.booking)
    run_jobs()
    deliver_everything(engine)
    age()
    code, found = run(capsys, "--fix")
    assert (code, found) == (1, {"open_refund_failed": False})


def test_provider_down(client, double, paid):
    double.fail_next("list", "lose_request", times=3)
    with pytest.raises(CommandError, match="does not answer") as error:
        call_command("reconcile_payments")
    assert error.value.returncode == 2


@pytest.mark.parametrize("since", ["yesterday", "48", "-1h", "h", "99999d"])
def test_nonsense_for_since(db, since):
    with pytest.raises(CommandError, match="is not a time such as"):
        call_command("reconcile_payments", f"--since={since}")


def test_report_for_people(engine, paid, capsys):
    call_command("reconcile_payments", "--since", "30m")
    assert capsys.readouterr().out == "0 found, 0 open.\n"


def test_forgotten_keys_are_not_trusted(client, double, engine, hold):
    """A day later the provider would make a second intent for the same key."""
    double.fail_next("create", "lose_answer", times=3)
    pay(client, hold, engine.confirmation_token())
    engine.store.keys.clear()
    Payment.objects.update(created_at="2026-01-01T00:00:00Z", updated_at="2026-01-01T00:00:00Z")
    reconcile.sweep()
    assert len(engine.store.intents) == 1
    assert payment_of(hold).provider_ref in engine.store.intents


def test_forgotten_refund_key(double, engine, paid):
    double.fail_next("refund", "lose_answer", times=3)
    cancel(paid.booking)
    with pytest.raises(Exception, match="Connection"):
        run_jobs()
    engine.store.keys.clear()
    paid.refunds.update(created_at="2026-01-01T00:00:00Z")
    age()
    reconcile.sweep()
    assert len(engine.store.refunds) == 1
    assert Payment.objects.get().status == "refunded"


# -- Who is told ---------------------------------------------------------------------------------


def test_apology_for_a_lost_time(client, double, engine, hold, slots, service):
    pay(client, hold, engine.confirmation_token("paynow"))
    clock.run_out(hold)
    rival_books(slots[0], service)
    engine.scan(payment_of(hold).provider_ref)
    reconcile.sweep()
    mail.outbox.clear()
    run_jobs()
    [message] = [m for m in mail.outbox if m.to == ["siti@example.com"]]
    assert message.subject == "Your visit could not be booked"
    assert "S$\u00a065.00 back in full" in message.body


def test_lost_time_without_a_charge(client, double, engine, hold, slots, service):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(hold)
    rival_books(slots[0], service)
    engine.authenticate(payment_of(hold).provider_ref)
    reconcile.sweep()
    run_jobs()
    [message] = [m for m in mail.outbox if m.to == ["siti@example.com"]]
    assert "You have not been charged" in message.body


def test_given_up_checkout_is_not_written_about(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(hold)
    reconcile.sweep()
    run_jobs()
    assert mail.outbox == []


# -- Seen by staff -------------------------------------------------------------------------------


@pytest.fixture
def admin(client, clinic):
    client.force_login(factories.clerk(clinic))
    return client


@pytest.mark.parametrize("model", ["payment", "bill", "providerevent"])
def test_admin_lists(admin, paid, engine, model):
    run_jobs()
    assert admin.get(f"/admin/billing/{model}/").status_code == 200
    assert admin.get(f"/admin/billing/{model}/add/").status_code == 403


def test_admin_shows_a_payment(paid, admin):
    assert admin.get(f"/admin/billing/payment/{paid.pk}/change/").status_code == 200
    assert admin.post(f"/admin/billing/payment/{paid.pk}/change/", {"status": "refunded"}).status_code == 403


def test_admin_tries_a_refund_again(admin, engine, paid):
    engine.next_refund(paid.provider_ref, "failed")
    cancel(paid.booking)
    run_jobs()
    admin.post("/admin/billing/payment/", {"action": "refund_again", "_selected_action": [str(paid.pk)]})
    paid.refresh_from_db()
    assert paid.status == "refunded"
