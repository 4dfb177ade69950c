"""Back, refresh, double click, two tabs, a lost line: one visit or none, and never a charge without one."""

import pytest
from playwright.sync_api import expect

from billing.models import Payment
from scheduling.models import Booking
from tests.e2e.steps import (
    ASKS_BANK,
    booked,
    choose,
    confirm,
    fill_card,
    fill_details,
    find_times,
    hold_of,
    pay,
    pay_button,
    time,
    to_checkout,
)
from tests.e2e.system import until
from tests.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("slots")
PAYMENT = "**/payment/"


@pytest.fixture
def checkout(page):
    to_checkout(page)
    return page


def test_back_after_paying_shows_the_visit(checkout):
    pay(checkout)
    booking = booked(checkout)
    checkout.go_back()
    assert booked(checkout) == booking
    assert Booking.objects.filter(patient=booking.patient).count() == 1


def test_refresh_and_back_after_confirming_show_the_visit(page, pay_at_clinic):
    to_checkout(page)
    confirm(page)
    booking = booked(page)
    page.reload()
    assert booked(page) == booking
    page.go_back()
    assert booked(page) == booking


def test_back_from_the_checkout_and_another_time(checkout, slots):
    checkout.go_back()
    expect(checkout.get_by_text("You are keeping")).to_be_visible()
    choose(checkout, "09:40")
    fill_details(checkout)
    pay(checkout)
    booking = booked(checkout)
    slots[0].refresh_from_db()
    assert (booking.starts_at, slots[0].hold_id) == (slots[2].starts_at, None)


def test_back_shows_the_page_and_not_its_part(page):
    """The times come again from the same address; the browser must not take that answer for the page."""
    to_checkout(page)  # from now on the browser sends the same cookies
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        find_times(page)
    choose(page, "09:20")
    page.go_back()
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_text("You are keeping")).to_be_visible()


def test_double_click_pays_once(checkout, system):
    kept = hold_of(checkout)
    fill_card(checkout)
    pay_button(checkout).dblclick()
    booked(checkout)
    assert Payment.objects.get(hold=kept).attempt == 1
    assert Booking.objects.filter(hold=kept).count() == 1


def test_double_click_on_a_time_keeps_it_once(page, pay_at_clinic):
    find_times(page)
    time(page, "09:00").dblclick()
    expect(page.get_by_role("heading", name="Your details")).to_be_visible()
    fill_details(page)
    page.get_by_role("button", name="Confirm booking").dblclick()
    booking = booked(page)
    assert Booking.objects.filter(clinic=booking.clinic).count() == 1


def test_refresh_keeps_the_time(checkout):
    kept = hold_of(checkout)
    checkout.reload()
    assert hold_of(checkout) == kept
    fill_details(checkout)
    pay(checkout)
    assert booked(checkout).hold == kept


def test_refresh_while_the_bank_asks(checkout):
    pay(checkout, ASKS_BANK)
    challenge = checkout.frame_locator("iframe[title='Confirm with your bank']")
    expect(challenge.get_by_role("button", name="Complete")).to_be_enabled()
    checkout.reload()
    expect(checkout.get_by_label("Full name")).to_have_value("Siti Rahmah")
    fill_details(checkout)
    pay(checkout)
    booked(checkout)


def test_second_tab_of_the_same_checkout(checkout):
    other = checkout.context.new_page()
    other.goto(checkout.url)
    fill_details(other)
    fill_card(other)
    pay(checkout)
    booking = booked(checkout)
    pay_button(other).click()
    assert booked(other) == booking


def test_second_tab_takes_another_time(checkout, watch):
    watch.allow("status of 410")
    first = hold_of(checkout)
    other = checkout.context.new_page()
    to_checkout(other, "09:40")
    pay(checkout)
    expect(checkout.get_by_role("heading", name="The time kept for you has run out")).to_be_visible()
    assert not Payment.objects.filter(hold=first, provider_ref__isnull=False).exists()
    pay(other)
    booked(other)


def test_answer_lost_after_the_server_paid(checkout, watch):
    watch.allow("ERR_INTERNET_DISCONNECTED|ERR_FAILED")

    def lose_answer(route):
        route.fetch()
        route.abort("internetdisconnected")

    checkout.route(PAYMENT, lose_answer)
    pay(checkout)
    booked(checkout)


def test_request_lost_before_the_server(checkout, watch):
    watch.allow("ERR_INTERNET_DISCONNECTED|ERR_FAILED")
    kept = hold_of(checkout)
    checkout.route(PAYMENT, lambda route: route.abort("internetdisconnected"), times=1)
    pay(checkout)
    expect(checkout.locator("#payment-error")).to_be_visible()
    assert not Payment.objects.filter(hold=kept, provider_ref__isnull=False).exists()
    expect(pay_button(checkout)).to_be_enabled()
    pay_button(checkout).click()
    booked(checkout)


def test_line_comes_back_after_the_server_paid(checkout, watch):
    watch.allow("ERR_INTERNET_DISCONNECTED|ERR_FAILED")

    def drop_line(route):
        route.fetch()
        checkout.context.set_offline(True)
        route.abort("internetdisconnected")

    checkout.route(PAYMENT, drop_line)
    pay(checkout)
    expect(checkout.locator("#payment-error")).to_contain_text("connection")
    checkout.context.set_offline(False)
    booked(checkout)


def test_tab_closed_while_paying(checkout):
    """Before the answer comes, the server has decided; with it closed nobody asks, and the visit is there."""
    kept = hold_of(checkout)
    checkout.route(PAYMENT, lambda route: (route.fetch(), checkout.close()))
    fill_card(checkout)
    with checkout.expect_event("close"):
        pay_button(checkout).click(no_wait_after=True)
    until(lambda: Booking.objects.filter(hold=kept).exists(), "the visit is booked")


def test_log_in_between_keeps_the_time(checkout, patient):
    """Django changes the session at login; what the browser holds stays with it."""
    kept = hold_of(checkout)
    other = checkout.context.new_page()
    other.goto("/login/")
    other.get_by_label("Username").fill(patient.user.username)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Log in", exact=True).click()
    expect(other.get_by_role("button", name="Log out")).to_be_visible()
    checkout.reload()
    assert hold_of(checkout) == kept
    expect(checkout.get_by_label("Full name")).to_have_value(patient.name)
    fill_details(checkout)
    pay(checkout)
    assert booked(checkout).patient == patient
