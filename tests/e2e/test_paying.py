"""Paying while the time is kept: every way that ends in a visit, and every refusal on the way."""

import pytest
from django.db import connection
from playwright.sync_api import expect

from billing.models import Bill, Payment
from tests.clock import run_out
from tests.e2e.steps import (
    ASKS_BANK,
    ASKS_BANK_THEN_DECLINED,
    DECLINED,
    answer_bank,
    booked,
    card_fields,
    fill_card,
    find_times,
    hold,
    hold_of,
    pay,
    pay_button,
    to_checkout,
)
from tests.e2e.system import until

pytestmark = pytest.mark.usefixtures("slots")


@pytest.fixture
def checkout(page):
    to_checkout(page)
    return page


def problem(page):
    return page.locator("#payment-error")


def choose_paynow(page):
    card_fields(page).get_by_role("radio", name="PayNow").check()
    pay_button(page).click()
    return page.frame_locator("iframe[title='Pay with PayNow']")


def test_pays_with_a_card(checkout, system):
    pay(checkout)
    booking = booked(checkout)
    assert Payment.objects.get(booking=booking).captured_cents == booking.price_cents
    expect(checkout.get_by_text("paid.")).to_be_visible()
    system.until_quiet()
    assert Bill.objects.get(booking=booking).status == Bill.Status.PAID
    checkout.reload()
    expect(checkout.get_by_role("link", name="Receipt")).to_be_visible()


def test_bank_agrees(checkout):
    pay(checkout, ASKS_BANK)
    answer_bank(checkout, "Complete")
    booked(checkout)


def test_bank_refuses_then_another_card(checkout):
    pay(checkout, ASKS_BANK)
    answer_bank(checkout, "Fail")
    expect(problem(checkout)).to_be_visible()
    pay(checkout)
    booked(checkout)


def test_bank_agrees_but_there_is_no_money(checkout):
    pay(checkout, ASKS_BANK_THEN_DECLINED)
    answer_bank(checkout, "Complete")
    expect(problem(checkout)).to_contain_text("enough funds")
    pay(checkout)
    booked(checkout)


def test_declined_then_another_card(checkout):
    pay(checkout, DECLINED)
    expect(problem(checkout)).to_be_visible()
    expect(checkout.get_by_label("Full name")).to_have_value("Siti Rahmah")
    pay(checkout)
    booked(checkout)


def test_pays_with_paynow(checkout):
    choose_paynow(checkout).get_by_role("button", name="Simulate scan").click()
    booked(checkout)


def test_closes_paynow_and_takes_a_card(checkout):
    choose_paynow(checkout).get_by_role("button", name="Close").click()
    expect(problem(checkout)).to_be_visible()
    card_fields(checkout).get_by_role("radio", name="Card").check()
    pay(checkout)
    booked(checkout)


def test_closed_tab_is_booked_when_paynow_arrives(checkout, system):
    kept = hold_of(checkout)
    code = choose_paynow(checkout)
    expect(code.get_by_role("img", name="PayNow QR code")).to_be_visible()
    checkout.close()
    system.double.engine.scan(Payment.objects.get(hold=kept).provider_ref)
    until(lambda: Payment.objects.get(hold=kept).status == "paid", "the webhook is heard")
    assert Payment.objects.get(hold=kept).booking.status == "booked"


def test_incomplete_card_is_not_sent(checkout):
    pay_button(checkout).click()
    expect(card_fields(checkout).get_by_text("Enter your card number.")).to_be_visible()
    expect(problem(checkout)).to_be_visible()
    expect(pay_button(checkout)).to_be_enabled()
    assert not Payment.objects.filter(hold=hold_of(checkout), attempt__gt=0).exists()


def test_missing_details_are_asked_for(page, watch):
    watch.allow("status of 422")
    find_times(page)
    page.get_by_role("button", name="09:00").click()
    fill_card(page)
    pay_button(page).click()
    expect(page.get_by_text("Please enter the name of the patient.")).to_be_visible()
    expect(page.get_by_label("Full name")).to_be_focused()
    page.get_by_label("Full name").fill("Siti Rahmah")
    page.get_by_label("E-mail").fill("siti@example.com")
    page.get_by_label("Mobile phone").fill("9123 4567")
    page.get_by_label("I agree").check()
    pay_button(page).click()
    booked(page)


def test_without_scripts_says_how_to_book(open_browser, clinic, watch):
    page = open_browser(java_script_enabled=False)
    to_checkout(page)
    expect(page.locator("noscript p")).to_be_visible()
    pay_button(page).click()
    watch.allow("status of 422")
    expect(page.get_by_role("alert")).to_contain_text("call the clinic")


# -- The time runs out while paying --------------------------------------------------------------


def test_paying_after_the_time_ran_out(checkout, watch):
    watch.allow("status of 410")
    kept = hold_of(checkout)
    fill_card(checkout)
    run_out(kept)
    pay_button(checkout).click()
    expect(checkout.get_by_role("heading", name="The time kept for you has run out")).to_be_visible()
    assert not Payment.objects.filter(hold=kept, provider_ref__isnull=False).exists()
    # It is still free, so it is offered again.
    checkout.get_by_role("button", name="09:00").click()
    expect(checkout.get_by_role("heading", name="Your details")).to_be_visible()


def test_paying_after_another_took_the_time(checkout, slots, service, watch):
    watch.allow("status of 410")
    kept = hold_of(checkout)
    fill_card(checkout)
    lose(checkout, slots, service)
    pay_button(checkout).click()
    expect(checkout.get_by_role("heading", name="The time kept for you has run out")).to_be_visible()
    expect(checkout.get_by_role("button", name="09:20")).to_be_visible()
    expect(checkout.get_by_role("button", name="09:00")).to_have_count(0)
    assert not Payment.objects.filter(hold=kept, provider_ref__isnull=False).exists()


@pytest.fixture
def no_sweeper(system):
    """A job that waits stands in the place of the sweeper's: else it may end the hold, and the payment, first."""
    lock = "queueing_lock = 'expire_holds'"
    with connection.cursor() as cursor:

        def is_away():
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, status, scheduled_at)"
                " VALUES ('ops', 'expire_holds', 'expire_holds', '{}', 'todo', now() + interval '1 hour')"
                " ON CONFLICT DO NOTHING"
            )
            cursor.execute(
                f"SELECT count(*) FROM procrastinate_jobs WHERE {lock} AND (status = 'doing'"  # noqa: S608
                " OR (status = 'todo' AND scheduled_at IS NULL))"
            )
            return cursor.fetchone()[0] == 0

        until(is_away, "the sweeper is away")
        yield
        cursor.execute(f"UPDATE procrastinate_jobs SET status = 'cancelled' WHERE {lock} AND status = 'todo'")  # noqa: S608


def test_bank_agrees_late_but_the_time_is_free(checkout, no_sweeper):
    pay(checkout, ASKS_BANK)
    wait_for_bank(checkout)
    run_out(hold_of(checkout))
    answer_bank(checkout, "Complete")
    booked(checkout)


def test_bank_agrees_late_and_the_time_is_taken(checkout, slots, service, watch, no_sweeper):
    watch.allow("status of 409")
    pay(checkout, ASKS_BANK)
    wait_for_bank(checkout)
    lose(checkout, slots, service)
    answer_bank(checkout, "Complete")
    expect(checkout.get_by_text("You have not been charged")).to_be_visible()
    checkout.get_by_role("button", name="09:20").click()
    expect(checkout.get_by_role("heading", name="Your details")).to_be_visible()


def test_paynow_arrives_late_and_is_paid_back(checkout, slots, service, system, watch, no_sweeper):
    watch.allow("status of 409")
    code = choose_paynow(checkout)
    expect(code.get_by_role("button", name="Simulate scan")).to_be_enabled()
    kept = hold_of(checkout)
    lose(checkout, slots, service)
    code.get_by_role("button", name="Simulate scan").click()
    expect(checkout.get_by_text("You get all of it back")).to_be_visible()
    until(lambda: Payment.objects.get(hold=kept).status == "refunded", "the money is back")


def wait_for_bank(page):
    challenge = page.frame_locator("iframe[title='Confirm with your bank']")
    expect(challenge.get_by_role("button", name="Complete")).to_be_enabled()


def lose(page, slots, service):
    """The time runs out, and somebody else keeps it."""
    run_out(hold_of(page))
    hold(slots[0], service)
