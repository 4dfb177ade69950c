"""Staff give money back: all or a part, once, never more than was paid, never of a disputed charge."""

import functools
import uuid

import pytest
from django.core import mail
from django.db import connection, transaction
from django.urls import reverse

from billing import (
    bills,
    book_checks,
    consistency,
    counter,
    desk_refunds,
    disputes,
    once,
    paylinks,
    payments,
    refunds,
)
from billing.gateway import PaymentProviderDown
from billing.models import Bill, CounterRefund, CreditNote, DeskRefund, Dispute, LedgerEntry, Payment, Refund
from scheduling import consistency as checks
from scheduling.booking import confirm_hold, hold_slots
from tests import factories
from tests.billing.steps import cancel, deliver, run_jobs
from tests.race import together

pytestmark = pytest.mark.django_db
Reason = DeskRefund.Reason
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def money_agrees(db):
    yield
    assert not [each for each in checks.broken() if each.name in book_checks.CHECKS | consistency.CHECKS]


@pytest.fixture
def bill(slots, service, patient, receptionist, double):
    held = hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="desk")
    with transaction.atomic():
        made = confirm_hold(hold_id=held.pk, patient=patient, by=receptionist)
    return bills.keep_bill(made.pk)


@pytest.fixture
def no_old_jobs(db):
    """Left by tests whose transactions were real: their events are gone."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


@pytest.fixture
def manager(clinic):
    return factories.MembershipFactory(clinic=clinic, role="manager").user


@pytest.fixture
def online(bill, engine):
    """Pay what is due by link."""

    def online(token=None):
        paylinks.pay(
            bill_id=bill.pk,
            confirmation_token=token or engine.confirmation_token(),
            return_url="http://testserver/",
        )
        run_jobs()
        return Payment.objects.get()

    return online


@pytest.fixture
def cash(bill, receptionist):
    return functools.partial(
        counter.take_payment, bill_id=bill.pk, method="cash", reference="", by=receptionist
    )


@pytest.fixture
def refund(bill, receptionist):
    def refund(cents, *, key="", **options):
        asked = {"reason": Reason.GOODWILL, "note": "", "by": receptionist} | options
        return desk_refunds.refund_bill(bill_id=bill.pk, amount_cents=cents, idempotency_key=key, **asked)

    return refund


def now(bill):
    return Bill.objects.get(pk=bill.pk)


def back(engine):
    return [r["amount"] for r in engine.store.refunds.values() if r["status"] != "failed"]


def test_part_of_an_online_payment_goes_back_online(bill, online, refund, engine, receptionist):
    online()
    made = refund(2000, note="Waited long")
    assert (made.counter_cents, made.online_cents, made.given_by) == (0, 2000, receptionist)
    run_jobs()
    assert back(engine) == [2000]
    assert (now(bill).status, now(bill).paid_cents, now(bill).net_cents) == ("paid", 4500, 4500)
    note = CreditNote.objects.get()
    assert (note.reason, note.note, note.issued_by) == ("goodwill", "Waited long", receptionist)
    assert Payment.objects.get().status == "paid"
    [letter] = [each for each in mail.outbox if "refund" in each.subject or "credit" in each.subject]
    assert "S$\xa020.00 goes back the way you paid" in letter.body
    assert f"Credit note {note.serial} is attached." in letter.body
    assert [name for name, _content, _type in letter.attachments] == [f"{note.serial}.pdf"]


def test_mail_about_a_mistake_has_no_credit_note(bill, cash, refund):
    cash(amount_cents=6500)
    refund(6500, reason=Reason.MISTAKE)
    run_jobs()
    [letter] = [each for each in mail.outbox if "refund" in each.subject or "credit" in each.subject]
    assert "was given back to you at the clinic" in letter.body
    assert ("Credit note" in letter.body, letter.attachments) == (False, [])


def test_all_of_it_goes_back_and_the_payment_says_so(bill, online, refund, engine):
    online()
    refund(6500)
    run_jobs()
    assert (back(engine), now(bill).status, Payment.objects.get().status) == ([6500], "refunded", "refunded")


def test_online_first_then_the_counter(bill, cash, online, refund, engine):
    cash(amount_cents=4000)
    online()
    made = refund(3000)
    assert (made.online_cents, made.counter_cents) == (2500, 500)
    run_jobs()
    assert (back(engine), CounterRefund.objects.get().amount_cents) == ([2500], 500)
    assert (now(bill).due_cents, now(bill).owed_cents) == (0, 0)


def test_goodwill_leaves_what_is_still_due(bill, cash, refund):
    cash(amount_cents=4000)
    refund(1000)
    assert (now(bill).net_cents, now(bill).paid_cents, now(bill).due_cents) == (5500, 3000, 2500)


def test_taken_by_mistake_is_due_again(bill, cash, refund):
    cash(amount_cents=6500)
    refund(6500, reason=Reason.MISTAKE)
    assert (now(bill).status, now(bill).due_cents, CreditNote.objects.count()) == ("issued", 6500, 0)
    cash(amount_cents=6500)
    assert now(bill).status == "paid"


@pytest.mark.parametrize("cents", [0, 6501])
def test_never_above_what_was_paid(bill, online, refund, engine, cents):
    online()
    with pytest.raises(desk_refunds.AboveWhatIsPaid):
        refund(cents)
    assert not Refund.objects.exists()


def test_twice_is_the_first_result(online, refund, engine):
    online()
    key = uuid.uuid4().hex
    first = refund(2000, key=key)
    assert refund(2000, key=key) == first
    with pytest.raises(once.OtherRequest):
        refund(2100, key=key)
    run_jobs()
    assert back(engine) == [2000]


def test_a_key_is_free_again_when_nothing_was_done(online, refund):
    online()
    key = uuid.uuid4().hex
    with pytest.raises(desk_refunds.AboveWhatIsPaid):
        refund(9999, key=key)
    assert refund(2000, key=key).amount_cents == 2000


def test_disputed_charge_is_not_refunded(bill, online, refund, engine, client):
    payment = online()
    engine.dispute(payment.provider_ref)
    for event in engine.undelivered():
        deliver(client, event)
    run_jobs()
    with pytest.raises(desk_refunds.DisputedCharge):
        refund(2000)
    assert (back(engine), CreditNote.objects.count(), now(bill).paid_cents) == ([], 0, 6500)


def test_receptionists_up_to_a_limit_managers_above(bill, online, refund, manager, monkeypatch):
    online()
    monkeypatch.setattr(desk_refunds, "RECEPTIONIST_CENTS", 3000)
    refund(2000)
    with pytest.raises(desk_refunds.AboveLimit):
        refund(1001)
    assert refund(1001, by=manager).amount_cents == 1001


def test_provider_down_in_the_middle(bill, online, refund, engine, double):
    """The refund is written down, the provider's answer is lost: asked again with the same key, it is one refund."""
    online()
    refund(2000)
    double.fail_next("refund", "lose_answer", times=9)
    with pytest.raises(PaymentProviderDown):
        payments.finalize(Payment.objects.get().pk)
    assert Refund.objects.get().status == "submitting"
    double.faults.clear()
    run_jobs()
    assert (back(engine), Refund.objects.get().status) == ([2000], "succeeded")


def test_refund_that_failed_can_be_given_again(bill, online, refund, engine):
    online()
    refund(2000)
    run_jobs()
    (row,) = engine.store.refunds.values()
    engine.settle_refund(row["id"], "failed")
    refunds.adopt(Payment.objects.get().pk)
    with pytest.raises(desk_refunds.EarlierRefundFailed):
        refund(1000)
    assert refunds.retry_refund(Payment.objects.get().pk)
    payments.finalize(Payment.objects.get().pk)
    assert back(engine) == [2000]


@pytest.mark.django_db(transaction=True)
def test_two_receptionists_at_once(no_old_jobs, bill, online, refund, engine):
    online()
    outcomes = together(lambda: refund(4000), lambda: refund(4000))
    assert sorted(type(each).__name__ for each in outcomes) == ["AboveWhatIsPaid", "DeskRefund"]
    run_jobs()
    assert back(engine) == [4000]


@pytest.mark.django_db(transaction=True)
def test_one_click_that_arrives_twice_at_once(no_old_jobs, bill, online, refund, engine):
    online()
    key = uuid.uuid4().hex
    outcomes = together(*[lambda: refund(2000, key=key)] * 3)
    assert len({each.pk for each in outcomes}) == 1
    run_jobs()
    assert back(engine) == [2000]


# -- Disputes ------------------------------------------------------------------------------------


def hear(client, engine):
    for event in engine.undelivered():
        deliver(client, event)
    run_jobs()


def test_lost_dispute_is_a_loss(client, bill, online, engine, receptionist, clinic):
    payment = online()
    row = engine.dispute(payment.provider_ref)
    hear(client, engine)
    client.force_login(receptionist)
    work = reverse("desk_work", args=[clinic.slug])
    page = client.get(work).content.decode()
    assert "Evidence until" in page
    assert payment.patient.name in page
    engine.close_dispute(row["id"], "lost")
    hear(client, engine)
    dispute = Dispute.objects.get()
    assert (dispute.status, dispute.amount_cents, dispute.closed_at is None) == ("lost", 6500, False)
    losses = LedgerEntry.objects.filter(account="loss").values_list("amount_cents", flat=True)
    assert (list(losses), now(bill).status) == ([6500], "paid")
    payment.refresh_from_db()
    assert (payment.is_disputed, payment.problem) == (True, "")
    assert "Evidence until" not in client.get(work).content.decode()


def test_visit_called_off_after_a_lost_dispute_is_no_loss(client, bill, online, engine):
    payment = online()
    row = engine.dispute(payment.provider_ref)
    engine.close_dispute(row["id"], "lost")
    hear(client, engine)
    cancel(bill.booking)
    run_jobs()
    assert (now(bill).status, back(engine)) == ("refunded", [])
    assert sum(LedgerEntry.objects.filter(account="loss").values_list("amount_cents", flat=True)) == 0
    payment.refresh_from_db()
    assert payment.status == "refunded"


def test_won_dispute_lets_the_refund_go(client, bill, online, engine):
    payment = online()
    row = engine.dispute(payment.provider_ref)
    hear(client, engine)
    cancel(bill.booking)
    run_jobs()
    assert (now(bill).status, back(engine)) == ("refund_due", [])
    engine.close_dispute(row["id"], "won")
    hear(client, engine)
    assert (now(bill).status, back(engine)) == ("refunded", [6500])


def test_what_is_decided_stays_decided(bill, online, engine, monkeypatch):
    """An older answer of the provider that comes late changes nothing."""
    payment = online()
    row = engine.dispute(payment.provider_ref)
    before = disputes.outside().retrieve_dispute(row["id"])
    engine.close_dispute(row["id"], "lost")
    disputes.look(payment.pk, row["id"])
    monkeypatch.setattr("billing.gateway.Gateway.retrieve_dispute", lambda *_: before)
    disputes.look(payment.pk, row["id"])
    assert Dispute.objects.get().status == "lost"


# -- Pages ---------------------------------------------------------------------------------------


def test_refund_page(client, receptionist, bill, online, clinic, engine):
    online()
    client.force_login(receptionist)
    url = reverse("desk_refund", args=[clinic.slug, bill.pk])
    visit = reverse("desk_booking", args=[clinic.slug, bill.booking.reference])
    assert url in client.get(visit).content.decode()
    page = client.get(url)
    assert 'value="65.00"' in page.content.decode()
    form = {"amount": "20.00", "reason": "goodwill", "note": "", "idempotency_key": str(page.context["key"])}
    assert client.post(url, form)["Location"] == visit
    assert client.post(url, form)["Location"] == visit
    assert DeskRefund.objects.count() == 1
    other = client.post(url, form | {"amount": "21.00"})
    assert (other.status_code, "sent before with other details" in other.content.decode()) == (409, True)
    assert "S$\xa020.00 refunded by" in client.get(visit).content.decode()
    too_much = client.post(url, form | {"amount": "45.01", "idempotency_key": uuid.uuid4().hex})
    assert (too_much.status_code, "No more can be given back" in too_much.content.decode()) == (422, True)


def test_programs_send_the_key_in_the_header(client, receptionist, bill, clinic):
    client.force_login(receptionist)
    url = reverse("desk_counter", args=[clinic.slug, bill.pk])
    headers = JSON | {"Idempotency-Key": uuid.uuid4().hex}
    form = {"amount": "25.00", "method": "cash"}
    for _ in range(2):
        answer = client.post(url, form, headers=headers)
        assert (answer.status_code, answer.json()["due_cents"]) == (200, 4000)
    refused = client.post(url, form | {"amount": "26.00"}, headers=headers)
    assert (refused.status_code, "sent before" in refused.json()["error"]) == (409, True)
    bad = client.post(url, form, headers=JSON | {"Idempotency-Key": "a b"})
    assert bad.status_code == 400
    assert now(bill).paid_cents == 2500
