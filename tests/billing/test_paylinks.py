"""Pay by link: for a visit that is booked already; the visit stays, a charge that is not due goes back."""

import datetime as dt

import pytest
from django.core import mail, signing
from django.db import transaction
from django.db.models import F
from django.urls import reverse

from billing import bills, book_checks, consistency, counter, paylinks, payments, reconcile
from billing.models import Bill, Payment
from scheduling import consistency as checks
from scheduling.booking import confirm_hold, database_now, hold_slots
from scheduling.models import Booking
from tests.billing.steps import answer, cancel, deliver_all, run_jobs

JSON = {"Accept": "application/json"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def money_agrees(db):
    yield
    run_jobs()
    assert not [each for each in checks.broken() if each.name in book_checks.CHECKS | consistency.CHECKS]


@pytest.fixture
def booking(slots, service, patient, receptionist, double):
    held = hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="desk")
    with transaction.atomic():
        made = confirm_hold(hold_id=held.pk, patient=patient, by=receptionist)
    bills.keep_bill(made.pk)
    return made


@pytest.fixture
def url(booking):
    return paylinks.path(bill_of(booking), database_now() + paylinks.VALID)


@pytest.fixture
def pay(client, url, engine):
    def pay(token=None):
        fields = {"confirmation_token": token or engine.confirmation_token()}
        return answer(client.post(f"{url}payment/", fields, headers=JSON))

    return pay


def bill_of(booking):
    return Bill.objects.get(booking=booking)


def captured(engine):
    return sum(i["amount_received"] for i in engine.store.intents.values())


def kept(engine):
    back = sum(r["amount"] for r in engine.store.refunds.values() if r["status"] != "failed")
    return captured(engine) - back


def test_link_is_mailed_and_pays_the_bill(client, booking, receptionist, pay, url, engine):
    paylinks.send_link(bill_id=bill_of(booking).pk, by=receptionist)
    run_jobs()
    letter = next(each for each in mail.outbox if "Pay for your visit" in each.subject)
    assert "/pay/" in letter.body
    assert "S$\xa065.00" in client.get(url).content.decode()
    assert pay()["redirect"] == url
    payment = Payment.objects.get()
    assert (payment.status, payment.bill.booking, payment.captured_cents) == ("paid", booking, 6500)
    run_jobs()
    assert bill_of(booking).status == Bill.Status.PAID
    assert "This is paid. Thank you." in client.get(url).content.decode()


def test_paid_once_whatever_is_clicked(pay, engine, client):
    first = pay()
    assert first["status"] == "paid"
    assert "paid already" in pay()["message"]
    deliver_all(client, engine)
    run_jobs()
    assert (len(engine.store.intents), captured(engine)) == (1, 6500)


def test_declined_then_another_card(pay, engine, booking):
    assert pay(engine.confirmation_token("card", "insufficient_funds"))["status"] == "failed"
    booking.refresh_from_db()
    assert booking.status == Booking.Status.BOOKED
    assert pay()["status"] == "paid"


def test_given_up_and_paid_later(pay, engine, booking):
    assert pay(engine.confirmation_token("card", "insufficient_funds"))["status"] == "failed"
    Payment.objects.update(updated_at=F("updated_at") - dt.timedelta(hours=1))
    reconcile.sweep()
    assert Payment.objects.get().status == "canceled"
    booking.refresh_from_db()
    assert booking.status == Booking.Status.BOOKED
    assert pay()["status"] == "paid"
    assert captured(engine) == 6500


def test_sweeper_lets_the_patient_finish(pay, engine):
    pay(engine.confirmation_token("card", "insufficient_funds"))
    reconcile.sweep()
    assert Payment.objects.get().status == "failed"


def test_nothing_is_charged_for_a_cancelled_visit(pay, booking, engine, client, url):
    cancel(booking)
    assert "cancelled" in pay()["message"]
    assert not engine.store.intents
    assert "nothing to pay" in client.get(url).content.decode()


@pytest.mark.parametrize("verb", ["confirm", "capture"])
def test_cancelled_in_the_middle_no_money_is_kept(pay, booking, engine, double, verb):
    def cancel_now(call):
        if call.verb == verb and not Booking.objects.filter(status="cancelled").exists():
            cancel(booking)

    double.before = cancel_now
    pay()
    double.before = None
    run_jobs()
    for payment in Payment.objects.all():
        payments.resume(payment.pk)
    run_jobs()
    assert kept(engine) == 0
    assert bill_of(booking).status in (Bill.Status.VOID, Bill.Status.REFUNDED)


def test_paid_at_the_counter_in_the_middle_goes_back(pay, booking, engine, double, receptionist):
    """The desk is refused while an attempt is being made, so this takes a payment that nobody was at for long."""
    pay(engine.confirmation_token("card", "insufficient_funds"))
    counter.take_payment(
        bill_id=bill_of(booking).pk, amount_cents=6500, method="cash", reference="", by=receptionist
    )
    assert "paid already" in pay()["message"]
    run_jobs()
    assert bill_of(booking).status == Bill.Status.PAID
    assert captured(engine) == 0


def test_capture_refused_leaves_the_visit(pay, booking, engine, double):
    from billing.gateway import InvalidRequest

    real = payments.outside

    class Refusing:
        def __getattr__(self, name):
            return getattr(real(), name)

        def capture(self, ref, *, key):
            raise InvalidRequest("expired")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payments, "outside", Refusing)
        assert pay()["status"] == "failed"
    booking.refresh_from_db()
    assert booking.status == Booking.Status.BOOKED
    assert bill_of(booking).due_cents == 6500
    assert pay()["status"] == "paid"


def test_paid_then_cancelled_is_paid_back(pay, booking, engine):
    pay()
    cancel(booking)
    run_jobs()
    assert Payment.objects.get().status == "refunded"
    assert (kept(engine), bill_of(booking).status) == (0, Bill.Status.REFUNDED)


def test_links_are_signed_and_run_out(client, booking, url, engine):
    assert client.get(url[:-3] + "x/").status_code == 404
    old = paylinks.path(bill_of(booking), database_now())
    over = client.get(old)
    assert (over.status_code, "This link has run out" in over.content.decode()) == (410, True)
    assert f"tel:{booking.clinic.phone}" in over.content.decode()
    fields = {"confirmation_token": engine.confirmation_token()}
    assert "run out" in answer(client.post(f"{old}payment/", fields, headers=JSON))["message"]
    assert not engine.store.intents


def test_link_of_the_former_kind_still_works(client, booking):
    token = signing.dumps(booking.pk, salt=paylinks.SALT_OF_VISITS)
    assert "S$\xa065.00" in client.get(reverse("pay_link", args=[token])).content.decode()


def test_no_link_without_an_address(booking, receptionist, patient):
    patient.email = ""
    patient.save()
    with pytest.raises(paylinks.NoEmail):
        paylinks.send_link(bill_id=bill_of(booking).pk, by=receptionist)


def test_reconciler_finds_nothing_wrong(pay, engine):
    pay()
    assert [f for f in reconcile.reconcile(since=dt.timedelta(hours=1), fix=False) if not f.is_fixed] == []
