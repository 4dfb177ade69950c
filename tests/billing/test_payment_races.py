"""Payments on real connections: whoever has the lock decides, and nobody waits for the network under it."""

import threading

import pytest

from billing import gateway, payments, reconcile
from billing.models import Payment
from billing.stripe_double.client import DoubleClient
from billing.stripe_double.engine import Engine
from clinic_booking.models import Event
from scheduling.booking import hold_slots
from scheduling.models import Booking, Hold
from tests import clock, factories
from tests.billing.steps import rival_books
from tests.race import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture(autouse=True)
def double(engine):
    client = DoubleClient(engine)
    with gateway.using(client):
        yield client


@pytest.fixture
def hold(slots, service):
    return hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="owner")


@pytest.fixture
def patient_of_hold(db):
    return factories.PatientFactory()


def paying(engine, hold, patient, outcome="success", kind="card"):
    token = engine.confirmation_token(kind, outcome)

    def run():
        own = Hold.objects.get(pk=hold.pk)
        return payments.pay(
            hold=own, patient=patient, confirmation_token=token, return_url="http://testserver/"
        )

    return run


def settled():
    for payment in Payment.objects.all():
        payments.resume(payment.pk)
    return Payment.objects.get()


def test_many_clicks_one_payment(engine, double, hold, patient_of_hold):
    together(*[paying(engine, hold, patient_of_hold) for _ in range(6)])
    payment = settled()
    assert (payment.status, payment.attempt) == ("paid", 1)
    assert len(engine.store.intents) == Booking.objects.count() == 1
    assert Event.objects.filter(topic="payment.succeeded").count() == 1


def test_many_deciders_one_booking(engine, double, hold, patient_of_hold):
    paying(engine, hold, patient_of_hold, "three_d_secure")()
    payment = Payment.objects.get()
    engine.authenticate(payment.provider_ref)
    outcomes = together(*[lambda: payments.finalize(payment.pk)] * 6)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert Payment.objects.get().status == "paid"
    assert Booking.objects.count() == 1
    assert Event.objects.filter(topic="appointment.booked").count() == 1
    assert Event.objects.filter(topic="payment.succeeded").count() == 1


@pytest.mark.parametrize("kind", ["card", "paynow"])
def test_expiry_meets_success(engine, double, hold, patient_of_hold, kind):
    paying(engine, hold, patient_of_hold, "three_d_secure" if kind == "card" else "success", kind)()
    payment = Payment.objects.get()
    clock.run_out(hold)
    at_the_bank = {"card": engine.authenticate, "paynow": engine.scan}[kind]
    together(
        lambda: at_the_bank(payment.provider_ref),
        lambda: payments.finalize(payment.pk),
        reconcile.sweep,
        reconcile.sweep,
    )
    payment = settled()
    charged = engine.intent(payment.provider_ref)["amount_received"]
    assert (payment.status, charged) in [("paid", 6500), ("canceled", 0)]
    assert Booking.objects.count() == (payment.status == "paid")


def test_rival_meets_late_success(engine, double, hold, patient_of_hold, slots, service):
    paying(engine, hold, patient_of_hold, kind="paynow")()
    payment = Payment.objects.get()
    clock.run_out(hold)
    engine.scan(payment.provider_ref)
    together(lambda: payments.finalize(payment.pk), lambda: rival_books(slots[0], service))
    payment = settled()
    booking = Booking.objects.get()
    assert payment.status == ("paid" if booking.patient == patient_of_hold else "refunded")


def test_no_lock_waits_for_the_network(engine, double, hold, patient_of_hold, slots, service):
    """While the provider takes its time for a capture, others book and look as if nothing happened."""
    waits, goes_on = threading.Event(), threading.Event()

    def be_slow(call):
        if call.verb == "capture":
            waits.set()
            goes_on.wait(20)

    def others():
        assert waits.wait(20)
        try:
            payments.give_up(Payment.objects.get().pk)
            return rival_books(slots[1], service)
        finally:
            goes_on.set()

    double.before = be_slow
    _paid, rival = together(paying(engine, hold, patient_of_hold), others)
    assert rival.starts_at == slots[1].starts_at
    assert Payment.objects.get().status == "paid"
