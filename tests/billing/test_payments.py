"""Paying: authorise, win the slot, capture; and every way in which that goes wrong."""

import pytest
from django.core import mail
from django.db import transaction

from billing import disputes, payments, reconcile, refunds
from billing.gateway import gateway
from billing.locks import outside
from billing.models import Payment
from scheduling.models import Booking
from tests import clock, factories
from tests.billing.steps import cancel, pay, payment_of, rival_books, run_jobs, status


@pytest.fixture
def paid(client, double, engine, hold):
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    return payment_of(hold)


def intent_of(engine, hold):
    return engine.intent(payment_of(hold).provider_ref)


def test_card_is_charged_and_booked(client, double, engine, hold):
    answer = pay(client, hold, engine.confirmation_token())
    payment, booking = payment_of(hold), Booking.objects.get()
    assert answer == {"status": "paid", "redirect": f"/bookings/{booking.reference}/", "code": 200}
    assert (payment.status, payment.captured_cents, payment.booking) == ("paid", 6500, booking)
    assert intent_of(engine, hold)["status"] == "succeeded"
    assert [call.verb for call in double.calls] == ["create", "confirm", "capture"]


def test_amount_is_that_of_the_hold(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token(), amount="1", amount_cents="1", price_cents="1")
    assert intent_of(engine, hold)["amount_received"] == 6500


def test_double_click_pays_once(client, double, engine, hold):
    first, second = (pay(client, hold, token) for token in [engine.confirmation_token()] * 2)
    assert first == second
    assert len(engine.store.intents) == Booking.objects.count() == 1


def test_second_tab_while_the_first_submits(client, double, engine, hold):
    answers = []

    def other_tab(call):
        if call.verb == "confirm" and not answers:
            answers.append(pay(client, hold, engine.confirmation_token()))

    double.before = other_tab
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    assert answers[0]["status"] == "processing"
    assert len(engine.store.intents) == Booking.objects.count() == payment_of(hold).attempt == 1


def test_declined_then_another_card(client, double, engine, hold):
    answer = pay(client, hold, engine.confirmation_token("card", "insufficient_funds"))
    assert answer["status"] == "failed"
    assert "enough funds" in answer["message"]
    assert payment_of(hold).status == "failed"
    assert not Booking.objects.exists()
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    assert len(engine.store.intents) == 1
    assert payment_of(hold).attempt == 2


def test_stolen_cards_are_not_tried_out(client, double, engine, hold):
    for _ in range(payments.MAX_ATTEMPTS):
        assert pay(client, hold, engine.confirmation_token("card", "declined"))["code"] == 200
    answer = pay(client, hold, engine.confirmation_token())
    assert (answer["code"], answer["error"]) == (429, str(payments.TooManyAttempts.sentence))
    assert not Booking.objects.exists()


def test_three_d_secure_passed(client, double, engine, hold):
    answer = pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    assert answer["status"] == "requires_action"
    assert answer["client_secret"] == intent_of(engine, hold)["client_secret"]
    engine.authenticate(payment_of(hold).provider_ref)
    assert status(client, hold)["status"] == "paid"
    assert payment_of(hold).captured_cents == 6500


def test_three_d_secure_failed(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    engine.authenticate(payment_of(hold).provider_ref, passed=False)
    answer = status(client, hold)
    assert answer["status"] == "failed"
    assert "could not confirm that it is you" in answer["message"]
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"


def test_given_up_three_d_secure_leaves_room_for_another_card(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    assert len(engine.store.intents) == 1


def test_return_from_the_bank_without_script(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    waiting = client.get(f"/checkout/{hold.pk}/status/")
    assert waiting.status_code == 200
    assert "One moment" in waiting.content.decode()
    engine.authenticate(payment_of(hold).provider_ref)
    response = client.get(f"/checkout/{hold.pk}/status/?payment_intent=pi_foreign&redirect_status=succeeded")
    assert response["Location"] == f"/bookings/{Booking.objects.get().reference}/"


def test_paynow(client, double, engine, hold):
    assert pay(client, hold, engine.confirmation_token("paynow"))["status"] == "requires_action"
    engine.scan(payment_of(hold).provider_ref)
    assert status(client, hold)["status"] == "paid"


def test_paynow_after_expiry_books_what_is_still_free(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("paynow"))
    clock.run_out(hold)
    engine.scan(payment_of(hold).provider_ref)
    reconcile.sweep()
    assert payment_of(hold).status == "paid"
    assert Booking.objects.get().slots.count() == 1


def test_paynow_after_expiry_is_refunded_when_taken(client, double, engine, hold, slots, service):
    pay(client, hold, engine.confirmation_token("paynow"))
    clock.run_out(hold)
    rival_books(slots[0], service)
    engine.scan(payment_of(hold).provider_ref)
    answer = status(client, hold)
    payment = payment_of(hold)
    assert (answer["status"], answer["code"]) == ("taken", 409)
    assert "all of it back" in answer["message"]
    assert (payment.status, payment.refunded_cents, payment.booking) == ("refunded", 6500, None)
    assert payment.refunds.get().reason == "slot_taken"


def test_card_authorised_after_expiry_books_what_is_still_free(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(hold)
    engine.authenticate(payment_of(hold).provider_ref)
    assert status(client, hold)["status"] == "paid"


def test_card_authorised_after_expiry_is_released_when_taken(client, double, engine, hold, slots, service):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(hold)
    rival = rival_books(slots[0], service)
    engine.authenticate(payment_of(hold).provider_ref)
    assert status(client, hold)["status"] == "taken"
    assert payment_of(hold).status == "canceled"
    assert intent_of(engine, hold)["status"] == "canceled"
    assert not engine.store.refunds
    assert Booking.objects.get() == rival


def test_expired_hold_gives_the_payment_up(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(hold)
    reconcile.sweep()
    assert payment_of(hold).status == "canceled"
    assert intent_of(engine, hold)["status"] == "canceled"
    assert client.get(f"/checkout/{hold.pk}/").status_code == 410


def test_released_hold_is_never_won_back(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    client.post(f"/holds/{hold.pk}/release/")
    engine.authenticate(payment_of(hold).provider_ref)
    assert status(client, hold)["status"] == "expired"
    assert payment_of(hold).status == "canceled"
    assert not Booking.objects.exists()


def test_payment_comes_before_the_cancel(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("paynow"))
    clock.run_out(hold)
    engine.pay_before_cancel(payment_of(hold).provider_ref)
    reconcile.sweep()
    assert payment_of(hold).status == "paid"


def test_capture_refused_takes_the_booking_back(client, double, engine, hold, slots):
    def expire_authorisation(call):
        if call.verb == "capture":
            engine.store.intents[payment_of(hold).provider_ref]["status"] = "canceled"

    double.before = expire_authorisation
    answer = pay(client, hold, engine.confirmation_token())
    assert answer["status"] == "taken"
    assert "not been charged" in answer["message"]
    assert Booking.objects.get().cancel_reason == "payment_failed"
    assert payment_of(hold).status == "canceled"
    slots[0].refresh_from_db()
    assert slots[0].status == "available"
    run_jobs()
    [message] = mail.outbox
    assert "refused the payment after all" in message.body


def test_patient_with_another_visit_is_not_charged(client, double, engine, hold, slots):
    other = factories.make_slots(
        factories.PractitionerFactory(), factories.StationFactory(clinic=hold.clinic), slots[0].starts_at
    )

    def book_elsewhere(call):
        if call.verb == "confirm":
            factories.book(other[:1], patient=payment_of(hold).patient)

    double.before = book_elsewhere
    answer = pay(client, hold, engine.confirmation_token())
    assert (answer["status"], answer["code"]) == ("taken", 409)
    assert "already have a visit" in answer["message"]
    assert intent_of(engine, hold)["status"] == "canceled"


def test_wrong_amount_is_left_to_a_person(client, double, engine, hold):
    def shrink(call):
        if call.verb == "confirm":
            engine.store.intents[payment_of(hold).provider_ref]["amount"] = 100

    double.before = shrink
    assert pay(client, hold, engine.confirmation_token())["status"] == "processing"
    assert payment_of(hold).problem == "amount_differs"
    assert not Booking.objects.exists()


# -- The provider is down ------------------------------------------------------------------------


def make_old():
    Payment.objects.update(updated_at="2026-01-01T00:00:00Z", checked_at=None)


@pytest.mark.parametrize("how", ["lose_request", "lose_answer", "status"])
@pytest.mark.parametrize("verb", ["create", "confirm", "capture"])
def test_provider_down_at_each_call(client, double, engine, hold, verb, how):
    double.fail_next(verb, how, times=3)
    answer = pay(client, hold, engine.confirmation_token())
    assert (answer["status"], answer["code"]) == ("processing", 200)
    make_old()
    reconcile.sweep()
    outcome = {"create": "failed", "capture": "paid", "confirm": "paid" if how == "lose_answer" else "failed"}
    assert payment_of(hold).status == outcome[verb]
    if outcome[verb] == "failed":
        assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    assert len(engine.store.intents) == Booking.objects.count() == 1


def test_provider_down_while_looking(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    engine.authenticate(payment_of(hold).provider_ref)
    double.fail_next("retrieve", "lose_request", times=3)
    assert status(client, hold)["status"] == "processing"
    assert status(client, hold)["status"] == "paid"


@pytest.mark.parametrize("how", ["lose_request", "lose_answer"])
def test_provider_down_at_the_cancel(client, double, engine, hold, how):
    pay(client, hold, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(hold)
    double.fail_next("cancel", how, times=3)
    reconcile.sweep()
    assert payment_of(hold).status == "canceling"
    make_old()
    reconcile.sweep()
    assert payment_of(hold).status == "canceled"


@pytest.mark.parametrize("how", ["lose_request", "lose_answer"])
def test_provider_down_at_the_refund(client, double, engine, paid, how):
    double.fail_next("refund", how, times=3)
    cancel(paid.booking)
    with pytest.raises(Exception, match="Connection"):
        run_jobs()
    assert Payment.objects.get().status == "refunding"
    make_old()
    reconcile.sweep()
    assert Payment.objects.get().status == "refunded"
    assert len(engine.store.refunds) == 1


# -- Refunds -------------------------------------------------------------------------------------


def test_cancelled_visit_is_paid_back(engine, paid):
    cancel(paid.booking)
    run_jobs()
    run_jobs()
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents) == ("refunded", 6500)
    assert len(engine.store.refunds) == 1


def test_cancelled_while_being_captured(client, double, engine, hold):
    def cancel_first(call):
        if call.verb == "capture":
            cancel(Booking.objects.get())

    double.before = cancel_first
    pay(client, hold, engine.confirmation_token())
    run_jobs()
    assert payment_of(hold).status == "refunded"


def test_cancelled_before_the_capture_is_released(client, double, engine, hold):
    double.fail_next("capture", "lose_request", times=3)
    pay(client, hold, engine.confirmation_token())
    cancel(Booking.objects.get())
    run_jobs()
    assert payment_of(hold).status == "canceled"
    assert not engine.store.refunds


def test_pending_refund_is_followed(double, engine, paid):
    engine.next_refund(paid.provider_ref, "pending")
    cancel(paid.booking)
    run_jobs()
    paid.refresh_from_db()
    assert (paid.status, paid.refunds.get().status) == ("refunding", "pending")
    engine.settle_refund(paid.refunds.get().provider_ref, "succeeded")
    payments.finalize(paid.pk)
    paid.refresh_from_db()
    assert paid.status == "refunded"


def test_failed_refund_waits_for_a_person(double, engine, paid):
    engine.next_refund(paid.provider_ref, "failed")
    cancel(paid.booking)
    run_jobs()
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents) == ("refund_failed", 0)
    assert refunds.retry_refund(paid.pk)
    payments.finalize(paid.pk)
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents) == ("refunded", 6500)


def test_refund_that_fails_after_it_succeeded(double, engine, paid):
    cancel(paid.booking)
    run_jobs()
    engine.settle_refund(paid.refunds.get().provider_ref, "failed")
    refunds.adopt(paid.pk)
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents) == ("refund_failed", 0)


def test_refund_by_hand_is_taken_over(double, engine, paid):
    gateway().refund(paid.provider_ref, amount_cents=6500, key="by-hand")
    cancel(paid.booking)
    run_jobs()
    paid.refresh_from_db()
    assert (paid.status, paid.refunds.count()) == ("refunded", 1)
    refunds.adopt(paid.pk)
    assert paid.refunds.count() == len(engine.store.refunds) == 1


def test_disputed_charge_is_not_refunded(double, engine, paid):
    disputes.look(paid.pk, engine.dispute(paid.provider_ref)["id"])
    cancel(paid.booking)
    run_jobs()
    paid.refresh_from_db()
    assert (paid.status, paid.is_disputed) == ("paid", True)


def test_the_provider_is_never_called_in_a_transaction(transactional_db, double):
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
        outside()
