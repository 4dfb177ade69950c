"""The time that is kept: how it is told, prolonged, given up and lost."""

import re

import pytest
from playwright.sync_api import expect

from tests import clock
from tests.e2e.steps import booked, choose, confirm, fill_details, find_times, hold_of, time, to_checkout

pytestmark = pytest.mark.usefixtures("pay_at_clinic", "slots")


def test_page_says_by_itself_that_time_is_up(page):
    to_checkout(page)
    clock.advance(hold_of(page), seconds=297)
    page.reload()
    expect(page.get_by_role("timer")).to_have_text(re.compile("^0:0"))
    heading = page.get_by_role("heading", name="The time kept for you has run out")
    expect(heading).to_be_visible()
    expect(heading).to_be_focused()
    expect(page.get_by_role("heading", name="Nearest free times")).to_be_visible()
    page.get_by_role("button", name="09:20").click()
    fill_details(page)
    confirm(page)
    booked(page)


def test_countdown_speaks_three_times(page):
    page.clock.install()
    to_checkout(page)
    said = page.locator("#hold-timer [role=status]")
    sentences = {100: "", 85: "2 minutes left", 55: "1 minute left", 30: "30 seconds left"}
    for seconds, sentence in sentences.items():
        page.clock.run_for(seconds * 1000)
        expect(said).to_have_text(re.compile(f"^{sentence}"))


def test_more_time_twice(page):
    to_checkout(page)
    kept = hold_of(page)
    for _ in range(2):
        clock.advance(kept, seconds=200)
        page.reload()
        expect(page.get_by_role("timer")).to_have_text(re.compile("^1:[34]"))
        page.get_by_role("button", name="I need more time").click()
        expect(page.get_by_role("timer")).to_have_text(re.compile("^4:5"))
    expect(page.get_by_role("button", name="I need more time")).to_be_hidden()


def test_times_show_what_this_browser_keeps(page):
    to_checkout(page)
    kept = hold_of(page)
    page.goto("/")
    find_times(page)
    expect(page.get_by_text("You are keeping")).to_contain_text("Dr Lim Wei Jie")
    page.get_by_role("link", name="Continue with it").click()
    assert hold_of(page) == kept


# -- Two for one time ----------------------------------------------------------------------------


def test_of_two_browsers_one_gets_the_time(page, open_browser, watch):
    watch.allow("status of 409")
    slow = open_browser()
    slow.route_web_socket("**/ws/**", lambda socket: None)  # hears nothing
    with slow.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        find_times(slow)
    to_checkout(page)
    time(slow, "09:00").click()
    expect(slow.get_by_role("heading", name="Someone else has just taken this time")).to_be_visible()
    expect(slow.get_by_role("button", name="09:00")).to_have_count(0)
    slow.get_by_role("button", name="09:20").click()
    fill_details(slow, "Arjun Pillai", "arjun@example.com")
    for each in (page, slow):
        confirm(each)
    first, second = booked(page), booked(slow)
    assert first.starts_at < second.starts_at


def test_taken_time_greys_out_elsewhere(page, open_browser):
    other = open_browser()
    find_times(other)
    expect(other.get_by_text("Live – times update by themselves")).to_be_visible()
    find_times(page)
    choose(page)
    expect(time(other, "09:00")).to_have_text("09:00On hold", timeout=1000)
    expect(time(other, "09:00")).to_be_disabled()
    fill_details(page)
    confirm(page)
    booked(page)
    expect(time(other, "09:00")).to_have_text("09:00Taken", timeout=1000)


def test_patient_goes_on_in_another_browser(open_browser, patient):
    """One time for each patient: the new choice gives the first one up."""
    home, office = open_browser(patient.user), open_browser(patient.user)
    find_times(home)
    choose(home)
    find_times(office)
    choose(office, "10:00")
    expect(office.get_by_label("Full name")).to_have_value(patient.name)
    fill_details(office)
    confirm(office)
    assert booked(office).patient == patient
