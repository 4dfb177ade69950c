"""All the pages on which money is seen, at a phone's and a desk's width, light and dark, with something on each."""

import datetime as dt
import uuid

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from billing import bills, contracts, counter, desk_refunds, paylinks
from billing.instalments import equal_parts
from billing.models import Bill, Contract, CreditNote, Dispute, Payment
from scheduling.booking import database_now
from tests import factories
from tests.billing.courses import make_draft
from tests.billing.steps import cancel
from tests.e2e.steps import book, card_fields, fill_card
from tests.e2e.system import until


@pytest.fixture
def look(watch):
    def look(page, path, words, status=200):
        """The page says so, and nothing is wrong with it."""
        watch.allow(f"status of {status} ")
        page.goto(path)
        page.wait_for_selector("html[data-ready]")
        expect(page.get_by_text(words).first).to_be_visible()
        assert watch.flaws(page) == []

    return look


@pytest.fixture
def manager(clinic):
    return factories.MembershipFactory(clinic=clinic, role="manager").user


@pytest.fixture
def bill(pay_at_clinic, slots, service, patient):
    return bills.keep_bill(book(slots[0], service, patient).pk)


@pytest.fixture
def given_back(pay_at_clinic, slots, service, patient, receptionist):
    """Paid at the counter; 10 dollars were given back as a goodwill."""
    bill = bills.keep_bill(book(slots[1], service, patient).pk)
    counter.take_payment(bill_id=bill.pk, amount_cents=6500, method="cash", reference="", by=receptionist)
    desk_refunds.refund_bill(
        bill_id=bill.pk,
        amount_cents=1000,
        reason="goodwill",
        note="Waited for an hour",
        by=receptionist,
        idempotency_key=uuid.uuid4().hex,
    )
    return bill


@pytest.fixture
def disputed(system, pay_at_clinic, slots, service, patient):
    """Paid by link; then the patient's bank asks for the money back."""
    bill = bills.keep_bill(book(slots[2], service, patient).pk)
    token = system.double.engine.confirmation_token()
    paylinks.pay(bill_id=bill.pk, confirmation_token=token, return_url=system.url)
    payment = Payment.objects.get(bill=bill)
    system.double.engine.dispute(payment.provider_ref)
    until(lambda: Dispute.objects.filter(payment=payment).exists(), "the webhook is heard")
    return bill


@pytest.fixture
def owed(pay_at_clinic, slots, service, patient, receptionist):
    """Paid at the counter, then cancelled: to be handed out."""
    visit = book(slots[3], service, patient)
    counter.take_payment(
        bill_id=bills.keep_bill(visit.pk).pk,
        amount_cents=6500,
        method="terminal",
        reference="",
        by=receptionist,
    )
    cancel(visit)
    bill = bills.keep_bill(visit.pk)
    assert bill.status == "refund_due"
    return bill


@pytest.fixture
def course(pay_at_clinic, clinic, patient, service, receptionist):
    draft = make_draft(clinic, patient, service, patterns=[])
    Contract.objects.filter(pk=draft.pk).update(billing="instalments")
    parts = equal_parts(draft.total_cents, count=3, first_on=clinic.today())
    contracts.put_instalments(contract_id=draft.pk, parts=parts, by=None)
    return contracts.confirm_contract(reference=draft.reference, by=receptionist, plan=False)


def test_pages_of_the_patient(page, open_browser, look, bill, given_back, course, patient, watch):
    path = paylinks.path(bill, database_now() + paylinks.VALID)
    page.goto(path)
    expect(card_fields(page).get_by_label("Security code")).to_be_visible()
    assert watch.flaws(page) == []
    fill_card(page)
    page.get_by_role("button", name="Pay S$\u00a065.00").click()
    expect(page.locator("[data-paid]")).to_be_visible()
    assert Bill.objects.get(pk=bill.pk).status == "paid"
    look(page, paylinks.path(bill, database_now() - dt.timedelta(1)), "This link has run out", 410)

    mine = open_browser(patient.user)
    look(mine, reverse("my_bills"), bill.serial)
    look(mine, reverse("bill", args=[given_back.pk]), "Given back at the clinic")
    look(mine, reverse("credit_note", args=[CreditNote.objects.get(bill=given_back).pk]), "Goodwill")
    look(mine, reverse("my_contract", args=[course.reference]), course.bills.get().serial)
    look(mine, reverse("my_messages"), "E-mail")


def test_pages_of_the_desk(
    open_browser, look, bill, given_back, disputed, owed, course, clinic, receptionist, manager, watch
):
    desk = open_browser(receptionist)
    desk.goto(reverse("desk_booking", args=[clinic.slug, bill.booking.reference]))
    desk.get_by_text("Take payment").click()
    desk.get_by_label("Amount").fill("20.00")
    assert watch.flaws(desk) == []
    desk.get_by_role("button", name="Record the payment").click()
    expect(desk.get_by_text("S$\u00a045.00").first).to_be_visible()
    assert watch.flaws(desk) == []
    look(desk, reverse("desk_refund", args=[clinic.slug, given_back.pk]), "Paid")
    look(desk, reverse("contract", args=[clinic.slug, course.reference]), course.bills.get().serial)
    look(desk, reverse("desk_work", args=[clinic.slug]), "Evidence until")

    boss = open_browser(manager)
    look(boss, reverse("desk_money", args=[clinic.slug]), "Taken at the counter")
    look(boss, reverse("desk_money_lists", args=[clinic.slug]), owed.patient.name)
    look(boss, reverse("desk_ledger", args=[clinic.slug]), "Closing")
