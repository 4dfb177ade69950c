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
        assert watch.flaws(page) == [], page.url

    return look


def choose(page, day):
    page.goto(f"/book/?service=consultation&date={DAY}")
    page.click('[data-status="available"]')
    page.wait_for_url("**/checkout/**")


def test_open_pages(page, look, day):
    for path in ("/", "/help/", "/privacy/", "/login/"):
        page.goto(path)
        look(page)
    page.goto("/nowhere/")
    look(page, status=404)


def test_times(page, look, day):
    for query in ("", "&clinic=tanjong-pagar", "&date=2099-01-01"):
        page.goto(f"/book/?service=consultation&date={DAY}{query}")
        page.wait_for_selector("[data-state=live]")
        look(page)
    choose(page, day)
    page.goto(f"/book/?service=consultation&date={DAY}")
    page.wait_for_selector(".slot-mine")
    look(page)


def test_details(page, look, day):
    choose(page, day)
    page.wait_for_selector("[role=timer]:not(:empty)")
    look(page)
    checkout = page.url
    page.click("#pay-button")
    page.wait_for_selector(".is-invalid")
    look(page, status=422)
    clock.run_out(hold_of(page))
    page.goto(checkout)
    page.wait_for_selector("text=has run out")
    look(page, status=410)


def test_payment_fields(page, look, slots):
    to_checkout(page)
    expect(card_fields(page).get_by_label("Security code")).to_be_visible()
    look(page)
    pay(page, DECLINED)
    expect(page.locator("#payment-error")).to_be_visible()
    look(page)
    card_fields(page).get_by_role("radio", name="PayNow").check()
    look(page)


def dialogue(page, title):
    return page.frame_locator(f"iframe[title='{title}']").get_by_role("button").first


def test_dialogue_of_paynow(page, look, slots):
    to_checkout(page)
    card_fields(page).get_by_role("radio", name="PayNow").check()
    pay_button(page).click()
    expect(dialogue(page, "Pay with PayNow")).to_be_visible()
    look(page)


def test_dialogue_of_the_bank_and_payment_that_takes_its_time(page, look, slots):
    to_checkout(page)
    pay(page, ASKS_BANK)
    expect(dialogue(page, "Confirm with your bank")).to_be_visible()
    look(page)
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


def test_time_that_was_taken(page, look, day, slots):
    page.route_web_socket("**/ws/**", lambda socket: None)  # says nothing of what happens
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        page.goto(f"/book/?service=consultation&date={DAY}")
    hold(slots[3], day.service)
    page.click(f'[data-slot="{slots[3].pk}"]')
    page.wait_for_selector("text=Someone else has just taken this time")
    look(page, status=409)


def test_own_pages(open_browser, look, day, patient):
    page = open_browser(patient.user)
    for name in ("booking", "cancellation"):
        page.goto(reverse(name, args=[day.reference]))
        look(page)
    page.goto(reverse("me"))
    look(page)
    Booking.objects.filter(pk=day.pk).update(free_cancel_hours=0)
    page.goto(f"/book/?service={day.service.slug}&date={DAY}&move={day.reference}")
    page.wait_for_selector("[data-state=live]")
    look(page)


def test_desk(open_browser, look, day, receptionist):
    page = open_browser(receptionist)
    for path in (f"?date={DAY}&list=1", f"bookings/{day.reference}/", "?date=2099-01-01"):
        page.goto(f"/desk/tanjong-pagar/{path}")
        look(page)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    page.wait_for_selector("[data-state=live]")
    page.wait_for_selector(f'[data-booking="{day.reference}"]')
    look(page)
    page.click(f'[data-booking="{day.reference}"]')
    page.wait_for_selector("dialog[open] >> text=Needs a ramp")
    look(page)
