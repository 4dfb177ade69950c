"""Money taken at the desk: the whole bill, once, whatever is paid online meanwhile."""

import functools
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from billing import bills, book_checks, consistency, counter, ledger, once, paylinks, winning
from billing.models import Bill, CounterPayment, Payment
from clinic_booking.models import Event
from scheduling import consistency as checks
from scheduling.booking import confirm_hold, hold_slots
from scheduling.models import Booking
from tests.billing.steps import cancel, run_jobs
from tests.race import together

pytestmark = pytest.mark.django_db
Method = CounterPayment.Method


@pytest.fixture(autouse=True)
def money_agrees(db):
    yield
    assert not [each for each in checks.broken() if each.name in book_checks.CHECKS | consistency.CHECKS]


@pytest.fixture
def booking(slots, service, patient, receptionist):
    held = hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="desk")
    with transaction.atomic():
        return confirm_hold(hold_id=held.pk, patient=patient, by=receptionist)


@pytest.fixture
def take(booking, receptionist):
    return functools.partial(
        counter.take_payment,
        bill_id=bills.keep_bill(booking.pk).pk,
        amount_cents=6500,
        method=Method.CASH,
        reference="",
        by=receptionist,
    )


def bill_of(booking):
    return Bill.objects.get(booking=booking)


def test_taken_money_pays_the_bill(take, booking, receptionist):
    taken = take(method=Method.TERMINAL, reference="A-17")
    assert (taken.method, taken.reference, taken.taken_by) == ("terminal", "A-17", receptionist)
    assert bill_of(booking).status == Bill.Status.PAID
    event = Event.objects.get(topic="counter.paid")
    assert (event.data["by"], event.data["amount_cents"]) == (receptionist.pk, 6500)
    run_jobs()
    assert bill_of(booking).status == Bill.Status.PAID


def test_a_second_click_takes_nothing_twice(take):
    key = uuid.uuid4().hex
    assert take(idempotency_key=key) == take(idempotency_key=key)
    with pytest.raises(winning.PaidAlready):
        take(method=Method.PAYNOW)
    assert CounterPayment.objects.count() == 1


@pytest.mark.parametrize("amount", [0, 6501])
def test_never_more_than_is_due(take, amount):
    with pytest.raises(counter.WrongAmount):
        take(amount_cents=amount)


def test_paid_in_parts(take, booking):
    take(amount_cents=2500)
    assert (bill_of(booking).status, bill_of(booking).due_cents) == ("part_paid", 4000)
    with pytest.raises(counter.WrongAmount):
        take(amount_cents=4001)
    take(amount_cents=4000, method=Method.TERMINAL)
    assert (bill_of(booking).status, bill_of(booking).due_cents) == ("paid", 0)


def test_same_key_is_the_same_payment(take, booking):
    key = str(uuid.uuid4())
    first = take(amount_cents=2500, idempotency_key=key)
    assert take(amount_cents=2500, idempotency_key=key) == first
    with pytest.raises(once.OtherRequest):
        take(amount_cents=2600, idempotency_key=key)
    assert bill_of(booking).paid_cents == 2500


def test_card_numbers_are_not_kept(take):
    with pytest.raises(counter.CardNumber):
        take(reference="4242 4242 4242 4242")


def test_a_cancelled_visit_is_not_paid(take, booking):
    cancel(booking)
    with pytest.raises(winning.VisitOver):
        take()


def test_what_is_prepaid_is_not_paid_again(take, booking):
    Booking.objects.filter(pk=booking.pk).update(price_cents=0, no_show_fee_cents=0)
    with pytest.raises(winning.PaidAlready):
        take(amount_cents=0)
    Booking.objects.filter(pk=booking.pk).update(price_cents=bill_of(booking).total_cents)


def test_cancelled_after_paying_the_money_is_given_back(take, booking, receptionist):
    with pytest.raises(counter.NothingToReturn):
        counter.return_payment(bill_id=bill_of_made(booking).pk, by=receptionist)
    take()
    cancel(booking)
    run_jobs()
    assert bill_of(booking).status == Bill.Status.REFUND_DUE
    (given,) = counter.return_payment(bill_id=bill_of(booking).pk, by=receptionist)
    assert (given.amount_cents, given.given_by) == (6500, receptionist)
    assert counter.return_payment(bill_id=bill_of(booking).pk, by=receptionist) == []
    assert bill_of(booking).status == Bill.Status.REFUNDED


def bill_of_made(booking):
    return bills.keep_bill(booking.pk)


def test_not_while_the_patient_pays_online(take, booking):
    payment = Payment.objects.create(
        idempotency_key="pi:x",
        bill=bill_of_made(booking),
        patient=booking.patient,
        amount_cents=6500,
        currency="sgd",
        status="submitting",
    )
    with pytest.raises(winning.BeingPaid):
        take()
    Payment.objects.filter(pk=payment.pk).update(status="failed")
    take()
    with pytest.raises(winning.PaidAlready):
        paylinks.pay(
            bill_id=bill_of(booking).pk, confirmation_token="ctoken_x", return_url="http://testserver/"
        )


def test_database_refuses_more_than_the_bill(take, receptionist):
    taken = take()
    movement = ledger.taken(taken)._replace(key="counter:twice")
    with pytest.raises(IntegrityError, match="bill_paid_at_most_total"), transaction.atomic():
        ledger.post(movement)


@pytest.mark.django_db(transaction=True)
def test_two_at_the_counter_at_once(take):
    bill_of_made(Booking.objects.get())
    outcomes = together(take, functools.partial(take, method=Method.PAYNOW))
    assert sorted(type(each).__name__ for each in outcomes) == ["CounterPayment", "PaidAlready"]


# -- Pages ---------------------------------------------------------------------------------------


def test_taken_from_the_visit_on_the_desk(client, receptionist, booking, clinic):
    bills.keep_bill(booking.pk)
    client.force_login(receptionist)
    show = reverse("desk_booking", args=[clinic.slug, booking.reference])
    assert "Take payment" in client.get(show).content.decode()
    url = reverse("desk_counter", args=[clinic.slug, bill_of(booking).pk])
    assert client.post(url, {"method": "cash", "amount": "65.00"})["Location"] == show
    page = client.get(show).content.decode()
    assert "S$\xa065.00 taken: Cash." in page
    assert "Take payment" not in page
    cancel(booking)
    run_jobs()
    assert "the money was given back" in client.get(show).content.decode()
    back = reverse("desk_counter_return", args=[clinic.slug, bill_of(booking).pk])
    client.post(back)
    assert "S$\xa065.00 given back." in client.get(show).content.decode()


def test_paid_in_the_dialog(client, receptionist, clinic, slots, service, patient):
    client.force_login(receptionist)
    asked = {"act": "book", "slot": slots[1].pk, "service": service.slug, "patient": patient.pk}
    asked |= {"pay": "counter", "method": "paynow", "reference": "P-3"}
    answer = client.post(reverse("desk_book", args=[clinic.slug]), asked, headers={"hx-request": "true"})
    assert "S$\xa065.00 taken: PayNow." in answer.json()["sentence"]
    assert CounterPayment.objects.get().bill.booking.reference == answer.json()["reference"]


def test_doctors_take_no_money(client, clinic, booking):
    from tests import factories

    client.force_login(factories.MembershipFactory(clinic=clinic, role="doctor").user)
    bill = bill_of_made(booking)
    for name in ("desk_counter", "desk_counter_return", "desk_pay_link", "desk_refund"):
        assert client.post(reverse(name, args=[clinic.slug, bill.pk])).status_code == 404
