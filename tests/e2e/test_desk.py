"""The receptionist watches the day; nobody touches that window."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DAY
from tests.e2e.steps import book, booked, confirm, pay, to_checkout

SECOND = 1000


@pytest.fixture
def desk(open_browser, receptionist, slots):
    """In New York: the times are the clinic's wherever the computer thinks it is."""
    page = open_browser(receptionist, timezone_id="America/New_York")
    page.goto("/")
    page.get_by_role("link", name="Desk").click()
    page.wait_for_selector("#desk[data-shown]:not([aria-busy])")  # its scripts have run
    page.get_by_label("Go to date").fill(DAY.isoformat())
    expect(page.get_by_text("Live – updates by itself")).to_be_visible()
    expect(page.locator(".ec-col-head").get_by_text("Dr Lim Wei Jie")).to_be_visible()
    return page


def visit(desk, name):
    return desk.get_by_role("button", name=re.compile(name))


def test_desk_sees_a_paid_visit_within_a_second(page, desk, record_property):
    to_checkout(page, "09:40", name="Siti Rahmah")
    expect(desk.locator(".ec-event").get_by_text("On hold")).to_be_visible(timeout=SECOND)
    pay(page)
    expect(page.get_by_role("heading", name="Your visit is booked")).to_be_visible()
    started = time.monotonic()
    expect(visit(desk, "Siti Rahmah")).to_be_visible(timeout=SECOND)
    record_property("seconds_to_the_desk", round(time.monotonic() - started, 3))
    expect(visit(desk, "Siti Rahmah")).to_contain_text("09:40 · General consultation")
    assert booked(page).practitioner.name == "Dr Lim Wei Jie"


def test_desk_sees_an_unpaid_visit_within_a_second(page, desk, pay_at_clinic):
    to_checkout(page, name="Siti Rahmah")
    confirm(page)
    expect(page.get_by_role("heading", name="Your visit is booked")).to_be_visible()
    expect(visit(desk, "Siti Rahmah")).to_be_visible(timeout=SECOND)


def test_desk_opens_a_visit_by_mouse_and_keyboard(desk, pay_at_clinic, slots, service, patient):
    made = book(slots[0], service, patient, note="Needs a ramp")
    details = desk.get_by_role("dialog")
    visit(desk, patient.name).click()
    for text in ("Needs a ramp", "+65 9000", made.reference, "09:00–09:20"):
        expect(details).to_contain_text(text)
    details.get_by_role("button", name="Close").click()
    expect(details).to_be_hidden()
    for key in ("Enter", " "):
        expect(visit(desk, patient.name)).to_be_focused()
        desk.keyboard.press(key)
        expect(details).to_contain_text("Needs a ramp")
        desk.keyboard.press("Escape")
        expect(details).to_be_hidden()


def test_desk_without_scripts_is_a_list(open_browser, receptionist, pay_at_clinic, slots, service, patient):
    book(slots[0], service, patient)
    page = open_browser(receptionist, java_script_enabled=False)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    page.get_by_role("link", name="List", exact=True).click()
    page.get_by_role("link", name=patient.name).click()
    expect(page.get_by_text(patient.email)).to_be_visible()


def test_desk_is_for_its_staff(open_browser, patient, receptionist, slots, watch):
    watch.allow("status of 40[34]")
    stranger = open_browser()
    stranger.goto(f"/desk/tanjong-pagar/?date={DAY}")
    expect(stranger.get_by_role("heading", name="Log in")).to_be_visible()
    assert open_browser(patient.user).goto("/desk/tanjong-pagar/").status == 404
