"""Every page at the width of a phone and of a desk, light and dark: no barrier, no overflow, no complaint."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from scheduling.models import Booking
from tests import clock
from tests.e2e.conftest import DAY
from tests.e2e.steps import (
    ASKS_BANK,
    DECLINED,
    book,
    booked,
    card_fields,
    hold,
    hold_of,
    pay,
    pay_button,
    to_checkout,
)


@pytest.fixture
def day(pay_at_clinic, slots, service, patient):
    """A day with every kind of time on it."""
    hold(slots[1], service)
    return book(slots[2], service, patient, note="Needs a ramp")


@pytest.fixture
def look(watch):
    """Asserts that nothing is wrong with the page as it is. The browser reports the `status` of the page itself."""

    def look(page, status=200):
        page.wait_for_selector("html[data-ready]")
        watch.allow(f"status of {status} ")
        assert watch.flaws(page) == []

    return look


def choose(page, day):
    page.goto(f"/book/?service=consultation&date={DAY}")
    page.click('[data-status="available"]')
    page.wait_for_url("**/checkout/**")


@pytest.mark.parametrize("path", ["/", "/help/", "/privacy/", "/login/"])
def test_open_page(page, look, day, path):
    page.goto(path)
    look(page)


@pytest.mark.parametrize("query", ["", "&clinic=tanjong-pagar", "&date=2099-01-01"])
def test_times(page, look, day, query):
    page.goto(f"/book/?service=consultation&date={DAY}{query}")
    page.wait_for_selector("[data-state=live]")
    look(page)


def test_own_time(page, look, day):
    choose(page, day)
    page.goto(f"/book/?service=consultation&date={DAY}")
    page.wait_for_selector(".slot-mine")
    look(page)


def test_details(page, look, day):
    choose(page, day)
    page.wait_for_selector("[role=timer]:not(:empty)")
    look(page)


def test_details_with_errors(page, look, day):
    choose(page, day)
    page.click("#pay-button")
    page.wait_for_selector(".is-invalid")
    look(page, status=422)


def test_payment_fields(page, look, slots):
    to_checkout(page)
    expect(card_fields(page).get_by_label("Security code")).to_be_visible()
    look(page)
    pay(page, DECLINED)
    expect(page.locator("#payment-error")).to_be_visible()
    look(page)
    card_fields(page).get_by_role("radio", name="PayNow").check()
    look(page)


@pytest.mark.parametrize(("card", "title"), [(ASKS_BANK, "Confirm with your bank"), ("", "Pay with PayNow")])
def test_dialogue_of_the_bank(page, look, slots, card, title):
    to_checkout(page)
    if card:
        pay(page, card)
    else:
        card_fields(page).get_by_role("radio", name="PayNow").check()
        pay_button(page).click()
    expect(page.frame_locator(f"iframe[title='{title}']").get_by_role("button").first).to_be_visible()
    look(page)


def test_payment_that_takes_its_time(page, look, slots):
    to_checkout(page)
    pay(page, ASKS_BANK)
    expect(
        page.frame_locator("iframe[title='Confirm with your bank']").get_by_role("button").first
    ).to_be_visible()
    page.goto(page.url + "status/")
    expect(page.get_by_role("heading", name="One moment, please")).to_be_visible()
    look(page)


def test_paid_visit_and_its_cancellation(open_browser, look, slots, patient):
    page = open_browser(patient.user)
    to_checkout(page)
    pay(page)
    booked(page)
    look(page)
    page.get_by_role("link", name="Cancel the visit").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_role("heading", name="Your visit is cancelled")).to_be_visible()
    look(page)


def test_time_that_ran_out(page, look, day):
    choose(page, day)
    clock.run_out(hold_of(page))
    page.reload()
    page.wait_for_selector("text=has run out")
    look(page, status=410)


def test_time_that_was_taken(page, look, day, slots):
    page.route_web_socket("**/ws/**", lambda socket: None)  # says nothing of what happens
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        page.goto(f"/book/?service=consultation&date={DAY}")
    hold(slots[3], day.service)
    page.click(f'[data-slot="{slots[3].pk}"]')
    page.wait_for_selector("text=Someone else has just taken this time")
    look(page, status=409)


@pytest.mark.parametrize("name", ["booking", "cancellation", "me"])
def test_own_visit(open_browser, look, day, patient, name):
    page = open_browser(patient.user)
    page.goto(reverse(name, args=[] if name == "me" else [day.reference]))
    look(page)


def test_moving_a_visit(open_browser, look, day, patient):
    Booking.objects.filter(pk=day.pk).update(free_cancel_hours=0)
    page = open_browser(patient.user)
    page.goto(f"/book/?service={day.service.slug}&date={DAY}&move={day.reference}")
    page.wait_for_selector("[data-state=live]")
    look(page)


def test_missing_page(page, look, day):
    page.goto("/nowhere/")
    look(page, status=404)


def test_desk(open_browser, look, day, receptionist):
    page = open_browser(receptionist)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    page.wait_for_selector(f'[data-booking="{day.reference}"]')
    page.wait_for_selector("[data-state=live]")
    look(page)


def test_desk_with_details(open_browser, look, day, receptionist):
    page = open_browser(receptionist)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    page.click(f'[data-booking="{day.reference}"]')
    page.wait_for_selector("dialog[open] >> text=Needs a ramp")
    look(page)


@pytest.mark.parametrize("path", ["?date={day}&list=1", "bookings/{reference}/", "?date=2099-01-01"])
def test_desk_page(open_browser, look, day, receptionist, path):
    page = open_browser(receptionist)
    page.goto("/desk/tanjong-pagar/" + path.format(day=DAY, reference=day.reference))
    look(page)
