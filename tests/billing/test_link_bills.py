"""By link for any open bill: what was booked together, without a hold, a remaining part, a contract's instalment."""

import functools
import re

import pytest
from django.core import mail
from django.urls import reverse

from billing import (
    bills,
    book_checks,
    consistency,
    contracts,
    counter,
    paylinks,
    payments,
    reconcile,
    winning,
)
from billing.gateway import gateway
from billing.models import Bill, Payment
from clinic_booking.models import AuditEvent, Event
from scheduling import booking as bookings
from scheduling import consistency as checks
from scheduling.booking import database_now
from scheduling.models import Booking
from tests import factories
from tests.billing.courses import make_draft
from tests.billing.steps import answer, cancel, run_jobs
from tests.proxies.given import given
from tests.race import together

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def money_agrees(db, double):
    yield
    assert not [each for each in checks.broken() if each.name in book_checks.CHECKS | consistency.CHECKS]


@pytest.fixture
def bill(slots, service, patient):
    """Of a visit that the desk booked without a hold."""
    booking = factories.book(slots[:1], service=service, patient=patient)
    assert booking.hold is None
    return bills.keep_bill(booking.pk)


@pytest.fixture
def pay(engine):
    def pay(bill, *options):
        return paylinks.pay(
            bill_id=bill.pk,
            confirmation_token=engine.confirmation_token(*options),
            return_url="http://testserver/",
        )

    return pay


@pytest.fixture
def cash(receptionist):
    return functools.partial(counter.take_payment, method="cash", reference="", by=receptionist)


def now(bill):
    return Bill.objects.get(pk=bill.pk)


def kept(engine):
    back = sum(r["amount"] for r in engine.store.refunds.values() if r["status"] != "failed")
    return sum(i["amount_received"] for i in engine.store.intents.values()) - back


def settle():
    run_jobs()
    for payment in Payment.objects.all():
        payments.resume(payment.pk)


def test_visit_without_a_hold(bill, pay, engine):
    pay(bill)
    assert (now(bill).status, kept(engine)) == ("paid", bill.total_cents)
    run_jobs()
    assert now(bill).status == "paid"


def test_visits_held_together_are_paid_one_by_one(slots, service, patient, pay, engine):
    parts = [bookings.Part(slot.pk, service.pk) for slot in (slots[0], slots[2])]
    held = bookings.hold_together(parts=parts, owner="desk", patient=patient)
    bookings.confirm_hold(hold_id=held[0].pk, patient=patient)
    both = [bills.keep_bill(booking.pk) for booking in Booking.objects.order_by("pk")]
    assert len(both) == 2
    for bill in both:
        pay(bill)
        assert now(bill).status == "paid"
    assert kept(engine) == sum(bill.total_cents for bill in both)


def test_the_rest_after_a_part(client, bill, pay, cash, engine):
    cash(bill_id=bill.pk, amount_cents=2500)
    path = paylinks.path(bill, database_now() + paylinks.VALID)
    page = client.get(path).content.decode()
    assert "Paid already" in page
    assert "Pay S$\xa040.00" in page
    fields = {"confirmation_token": engine.confirmation_token()}
    assert answer(client.post(f"{path}payment/", fields, headers=JSON))["status"] == "paid"
    assert (Payment.objects.get().amount_cents, now(bill).status) == (4000, "paid")


def test_rest_is_offered_on_the_patients_own_page(client, bill, cash, patient):
    cash(bill_id=bill.pk, amount_cents=2500)
    client.force_login(factories.UserFactory())
    patient.user = factories.UserFactory()
    patient.save()
    client.force_login(patient.user)
    page = client.get(reverse("booking", args=[bill.booking.reference])).content.decode()
    assert "Pay the rest now: S$\xa040.00" in page


def test_fee_of_a_late_cancellation_is_paid_by_link(bill, pay, engine):
    Booking.objects.filter(pk=bill.booking_id).update(late_cancel_fee_cents=2000)
    cancel(bill.booking)
    Booking.objects.filter(pk=bill.booking_id).update(fee_cents=2000)
    run_jobs()
    assert now(bill).due_cents == 2000
    pay(bill)
    assert (now(bill).status, kept(engine)) == ("paid", 2000)


@pytest.mark.usefixtures("slots")
def test_contract_is_paid_by_the_link_that_the_desk_sends(
    client, clinic, patient, service, receptionist, engine
):
    draft = make_draft(clinic, patient, service, patterns=[])
    contract = contracts.confirm_contract(reference=draft.reference, by=receptionist, plan=False)
    bill = contract.bills.get()
    client.force_login(receptionist)
    client.post(reverse("contract_pay_link", args=[clinic.slug, contract.reference, bill.pk]))
    run_jobs()
    [letter] = [each for each in mail.outbox if each.subject.startswith("Pay your bill")]
    path = re.search(r"/pay/[^/\s]+/", letter.body)[0]
    client.logout()
    assert "Pay S$\xa01,200.00" in client.get(path).content.decode()
    fields = {"confirmation_token": engine.confirmation_token()}
    assert answer(client.post(f"{path}payment/", fields, headers=JSON))["status"] == "paid"
    run_jobs()
    assert (now(bill).status, kept(engine)) == ("paid", 120000)
    assert bill.serial in mail.outbox[-1].body
    assert mail.outbox[-1].subject.startswith("Your receipt")
    assert "This is paid" in client.get(path).content.decode()


def test_less_due_meanwhile_asks_for_the_rest_anew(bill, pay, cash, engine):
    pay(bill, "card", "insufficient_funds")
    cash(bill_id=bill.pk, amount_cents=2500)
    pay(bill)
    first, second = Payment.objects.order_by("created_at")
    assert (first.status, first.failure_code) == ("canceling", "amount_changed")
    assert (second.status, second.amount_cents) == ("paid", 4000)
    settle()
    assert (Payment.objects.get(pk=first.pk).status, kept(engine)) == ("canceled", 4000)


def test_late_success_pays_what_is_due_and_the_rest_goes_back(bill, pay, cash, engine):
    """PayNow: the patient scans the code, the desk takes a part before the bank says so."""
    pay(bill, "paynow", "success")
    payment = Payment.objects.get()
    Payment.objects.update(status="failed")  # given up on the page
    cash(bill_id=bill.pk, amount_cents=2500)
    engine.scan(payment.provider_ref)
    payments.finalize(payment.pk)
    settle()
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_cents, kept(engine)) == ("paid", 2500, 4000)
    assert (now(bill).status, now(bill).paid_cents) == ("paid", 6500)


@pytest.mark.parametrize(("field", "value"), [("amount", 100), ("currency", "usd")])
def test_other_amount_or_currency_touches_nothing(bill, pay, engine, field, value):
    pay(bill, "card", "three_d_secure")
    payment = Payment.objects.get()
    engine.authenticate(payment.provider_ref)
    engine.store.intents[payment.provider_ref][field] = value
    payments.finalize(payment.pk)
    payment.refresh_from_db()
    assert (payment.status, payment.problem) == ("requires_action", f"{field}_differs")
    assert (now(bill).due_cents, kept(engine)) == (6500, 0)


def test_too_many_cards_are_refused(bill, pay):
    for _ in range(payments.MAX_ATTEMPTS):
        pay(bill, "card", "declined")
    with pytest.raises(payments.TooManyAttempts):
        pay(bill)


def test_desk_sees_that_a_link_was_sent(client, bill, receptionist, clinic):
    client.force_login(receptionist)
    url = reverse("desk_pay_link", args=[clinic.slug, bill.pk])
    client.post(url)
    page = client.get(reverse("desk_booking", args=[clinic.slug, bill.booking.reference])).content.decode()
    assert "It is good until" in page
    assert "A link was sent on" in page
    assert "E-mail the link to pay again" in page


def test_desk_makes_the_bill_that_is_missing(client, slots, service, patient, receptionist, clinic):
    booking = factories.book(slots[:1], service=service, patient=patient)
    client.force_login(receptionist)
    url = reverse("desk_bill", args=[clinic.slug, booking.reference])
    assert url in client.get(reverse("desk_booking", args=[clinic.slug, booking.reference])).content.decode()
    page = client.get(client.post(url)["Location"]).content.decode()
    assert (Bill.objects.get().booking, "S$\xa065.00 is due" in page) == (booking, True)


# -- At once -------------------------------------------------------------------------------------

at_once = pytest.mark.django_db(transaction=True)


@at_once
def test_two_tabs_pay_once(bill, pay, engine):
    together(*[lambda: pay(bill)] * 3)
    for payment in Payment.objects.all():
        payments.resume(payment.pk)
    assert (Payment.objects.get().status, kept(engine), now(bill).status) == ("paid", 6500, "paid")


@at_once
def test_link_meets_the_counter(bill, pay, cash, engine):
    outcomes = together(lambda: pay(bill), lambda: cash(bill_id=bill.pk, amount_cents=6500))
    for payment in Payment.objects.all():
        payments.resume(payment.pk)
    taken = sum(each.left_cents for each in now(bill).counter_payments.all())
    assert (now(bill).status, taken + kept(engine)) == ("paid", 6500)
    known = (winning.PaidAlready, winning.BeingPaid)
    assert all(isinstance(each, known) for each in outcomes if isinstance(each, Exception))


# -- The reconciler ------------------------------------------------------------------------------


def test_reconciler_compares_the_ledger_with_the_provider(bill, pay, engine):
    pay(bill)
    payment = Payment.objects.get()
    gateway().refund(payment.provider_ref, amount_cents=1500, key="by-hand")
    engine.store.intents[payment.provider_ref]["created"] -= 600
    found = reconcile.reconcile(since=payments.dt.timedelta(hours=2), fix=False)
    assert {finding.kind for finding in found} == {"refund_unknown", "ledger_differs"}
    found = reconcile.reconcile(since=payments.dt.timedelta(hours=2), fix=True)
    assert all(finding.is_fixed for finding in found)
    assert (now(bill).due_cents, kept(engine)) == (1500, 5000)
    assert reconcile.reconcile(since=payments.dt.timedelta(hours=2), fix=False) == []


def test_who_pays_for_whom_is_written_down(client, bill, engine, clinic):
    carer = given(bill.patient, relation="caregiver").user
    link = paylinks.path(bill, database_now() + paylinks.VALID)
    sent = {"confirmation_token": engine.confirmation_token()}
    client.force_login(carer)
    assert client.post(f"{link}payment/", sent, headers=JSON).json()["status"] == "paid"
    payment = Payment.objects.get()
    row = AuditEvent.objects.get(action="act_for", subject=f"payment:{payment.pk}")
    assert (row.actor_id, row.patient_id, row.clinic_id) == (carer.pk, bill.patient_id, clinic.pk)
    said = Event.objects.get(topic="payment.acted_for").data
    assert said == {
        "payment": str(payment.pk),
        "bill": bill.pk,
        "patient": bill.patient_id,
        "by": carer.pk,
    }


def test_whoever_has_the_link_pays_for_nobody(client, bill, engine, other_patient):
    link = paylinks.path(bill, database_now() + paylinks.VALID)
    client.force_login(other_patient.user)
    client.post(f"{link}payment/", {"confirmation_token": engine.confirmation_token()}, headers=JSON)
    assert Payment.objects.get().status == "paid"
    assert not AuditEvent.objects.filter(action="act_for").exists()
