"""The desk's calendar as it is looked at; and what it does when clocks, lines and rights fail."""

import datetime as dt
import re
from urllib.parse import urlsplit

import pytest
from django.db import transaction
from playwright.sync_api import expect

from clinic_booking.asgi import application
from scheduling import booking, consumers
from scheduling.models import Booking, Membership
from tests import factories
from tests.e2e.conftest import DAY
from tests.e2e.steps import book, hold
from tests.servers import serve

pytestmark = pytest.mark.usefixtures("pay_at_clinic")


@pytest.fixture
def other(clinic, service, slots):
    """Another practitioner of the clinic with the same hours, in another room."""
    practitioner = factories.PractitionerFactory(name="Dr Anjali Rao")
    service.practitioners.add(practitioner)
    factories.make_slots(
        practitioner, factories.StationFactory(clinic=clinic, name="Room 2"), slots[0].starts_at
    )
    return practitioner


@pytest.fixture
def visit(slots, service, patient):
    return book(slots[0], service, patient)


def show(page, query="", wait=".ec-main"):
    page.goto(f"/desk/tanjong-pagar/?date={DAY}{query}")
    page.wait_for_selector("[data-state=live]")
    page.wait_for_selector(f"#desk[data-shown]:not([aria-busy]) {wait}")
    return page


def heads(page):
    return page.locator(".ec-col-head b")


def box(page, visit):
    return page.locator(f'.visit-box[data-booking="{visit.reference}"]')


def cancel(visit, user):
    with transaction.atomic():
        booking.cancel_booking(booking_id=visit.pk, by=user, reason="desk")


PRETEND = """(now) => {
  const known = window.pretended !== undefined;
  window.pretended = now;
  if (known) return;
  const real = window.fetch;
  window.fetch = async (address, ...rest) => {
    const answer = await real(address, ...rest);
    if (!String(address).includes("dataset.json")) return answer;
    return new Response(JSON.stringify({ ...(await answer.json()), now: window.pretended }));
  };
}"""


def pretend(page, instant):
    """The server's clock as the page will see it."""
    page.add_init_script(f"({PRETEND})({int(instant.timestamp() * 1000)})")


def fetch_again(page, instant=None):
    if instant:
        page.evaluate(PRETEND, int(instant.timestamp() * 1000))
    page.evaluate("() => dispatchEvent(new Event('online'))")


def test_views_and_filters_are_in_the_address(
    open_browser, receptionist, visit, other, other_patient, clinic, service, watch
):
    second = factories.ClinicFactory(slug="bedok", name="Bedok", payment_policy="pay_at_clinic")
    factories.MembershipFactory(clinic=second, user=receptionist)
    goh = factories.PractitionerFactory(name="Dr Goh")
    service.practitioners.add(goh)
    there = factories.make_slots(goh, factories.StationFactory(clinic=second), visit.starts_at)
    elsewhere = book(there[0], service, other_patient)
    page = show(open_browser(receptionist))
    expect(heads(page)).to_have_text(["Dr Anjali Rao", "Dr Lim Wei Jie"])
    assert watch.flaws(page) == []

    page.keyboard.press("s")
    expect(page).to_have_url(re.compile(rf"\?view=stations&date={DAY}$"))
    expect(heads(page)).to_have_text(["Room 1", "Room 2"])
    expect(box(page, visit)).to_be_visible()
    assert watch.flaws(page) == []

    page.keyboard.press("c")
    expect(heads(page)).to_have_text(["Dr Goh", "Dr Anjali Rao", "Dr Lim Wei Jie"])
    expect(box(page, elsewhere)).to_be_visible()
    box(page, elsewhere).click()
    expect(page.get_by_role("dialog")).to_contain_text(elsewhere.reference)
    page.keyboard.press("Escape")
    assert watch.flaws(page) == []

    page.get_by_label("Practitioner").select_option("Dr Lim Wei Jie")
    page.get_by_role("link", name="Week", exact=True).click()
    expect(heads(page)).to_have_count(7)
    expect(box(page, visit)).to_be_visible()
    expect(page.locator(".ec-col-head small").first).to_have_text("Dr Lim Wei Jie")
    assert watch.flaws(page) == []

    page.go_back()
    page.go_back()
    expect(heads(page)).to_have_count(3)
    page.locator("[data-view=day]").click()
    page.keyboard.press("/")
    page.keyboard.type("nobody")
    expect(page).to_have_url(re.compile("who=nobody"))
    expect(box(page, visit)).to_have_class(re.compile("dimmed"))
    page.reload()
    expect(box(page, visit)).to_have_class(re.compile("dimmed"))
    page.get_by_role("link", name="List", exact=True).click()
    expect(page.get_by_text("No visits on this day.")).to_be_visible()
    page.get_by_role("link", name="All visits").click()
    expect(page.get_by_role("link", name=visit.patient.name)).to_be_visible()


def test_keys_lead_through_days_and_visits(open_browser, receptionist, slots, service, visit, other_patient):
    later = book(slots[2], service, other_patient)
    page = show(open_browser(receptionist))
    page.keyboard.press("j")
    expect(page.locator(f".ev-b{visit.reference}")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(f".ev-b{later.reference}")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Visit")).to_contain_text(visit.reference)
    page.keyboard.press("]")  # not in a dialog
    page.keyboard.press("Escape")
    expect(page.locator(f".ev-b{visit.reference}")).to_be_focused()
    page.keyboard.press("]")
    expect(page.locator("h1")).to_contain_text(f"{DAY + dt.timedelta(1):%B %Y}")
    expect(page).to_have_url(re.compile(f"date={DAY + dt.timedelta(1)}"))
    page.keyboard.press("Shift+ArrowLeft")
    expect(box(page, visit)).to_be_visible()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    keys.get_by_label("Single letters are keys").uncheck()
    keys.get_by_role("button", name="Close").click()
    page.keyboard.press("s")
    page.keyboard.press("?")
    expect(keys).to_be_visible()
    expect(page).not_to_have_url(re.compile("view="))


def test_a_lost_visit_does_not_lose_the_focus(open_browser, receptionist, visit):
    page = show(open_browser(receptionist))
    page.keyboard.press("j")
    expect(page.locator(f".ev-b{visit.reference}")).to_be_focused()
    cancel(visit, receptionist)
    expect(box(page, visit)).to_have_count(0)
    expect(page.locator(".ec-main")).to_be_focused()


def test_day_is_printed_as_tables(open_browser, receptionist, visit, other):
    page = show(open_browser(receptionist))
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    tables = page.locator("#desk-print table")
    expect(tables).to_have_count(2)
    expect(tables.nth(1)).to_contain_text("Dr Lim Wei Jie")
    expect(tables.nth(1)).to_contain_text(f"09:00–09:20{visit.patient.name}General consultationBooked")
    for button in page.get_by_role("button").all():
        expect(button).to_be_hidden()
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    expect(tables).to_have_count(0)


def test_computer_in_another_zone_with_a_wrong_clock(open_browser, receptionist, visit, slots, service):
    """Ten minutes ahead, in New York: a hold of five minutes is not over, and now is the clinic's."""
    hold(slots[4], service)
    page = open_browser(receptionist, timezone_id="America/New_York")
    page.clock.install(time=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10))
    show(page)
    expect(page.locator(".ec-event.st-held")).to_contain_text("10:20–10:40")
    pretend(page, slots[2].starts_at)
    show(page)
    line = page.locator(".ec-bg-event.st-now").bounding_box()
    row = page.locator(f".ev-b{visit.reference}").bounding_box()
    assert line["y"] == pytest.approx(row["y"] + 2 * 42, abs=3)  # two slots below 09:00
    expect(page.get_by_role("link", name="Today")).to_have_attribute("aria-current", "date")


def test_states_are_words_not_colours_alone(open_browser, receptionist, visit, slots, service, other_patient):
    called = book(slots[3], service, other_patient)
    now = slots[1].starts_at
    Booking.objects.filter(pk=called.pk).update(
        status="arrived", arrived_at=now - dt.timedelta(minutes=12), called_at=now
    )
    page = open_browser(receptionist)
    pretend(page, now)
    show(page)
    expect(box(page, visit)).to_contain_text("Late 20 min")
    expect(box(page, called)).to_contain_text("Called")
    Booking.objects.filter(pk=called.pk).update(called_at=None)
    fetch_again(page)
    expect(box(page, called)).to_contain_text("Waiting 12 min")
    expect(box(page, called).locator("svg")).to_have_count(1)


def test_tab_left_open_over_midnight_says_so(open_browser, receptionist, visit):
    page = open_browser(receptionist)
    pretend(page, visit.starts_at)
    show(page)
    notice = page.get_by_text("It is a new day")
    expect(notice).to_be_hidden()
    fetch_again(page, visit.starts_at + dt.timedelta(days=1))
    expect(notice).to_be_visible()
    page.get_by_role("button", name="Show today").click()
    expect(notice).to_be_hidden()
    expect(page.locator("h1")).to_contain_text(f"{DAY + dt.timedelta(1):%B %Y}")


def test_desk_is_right_again_when_the_server_is_back(open_browser, receptionist, visit, watch):
    watch.allow(
        "WebSocket connection to", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"
    )
    page = open_browser(receptionist)
    with serve(application) as url:
        page.goto(f"{url}/desk/tanjong-pagar/?date={DAY}")
        page.wait_for_selector("[data-state=live]")
        expect(box(page, visit)).to_be_visible()
    expect(page.get_by_text("No connection")).to_be_visible()
    cancel(visit, receptionist)
    with serve(application, port=urlsplit(url).port):
        expect(box(page, visit)).to_have_count(0)
        expect(page.get_by_text("Live – updates by itself")).to_be_visible()
        page.goto("about:blank")


def test_who_is_no_longer_staff_sees_no_names(open_browser, receptionist, visit, watch, monkeypatch):
    watch.allow("status of 40[34]", "WebSocket connection to")
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.2)
    page = show(open_browser(receptionist))
    box(page, visit).click()
    expect(page.get_by_role("dialog", name="Visit")).to_contain_text(visit.patient.name)
    Membership.objects.filter(user=receptionist).delete()
    expect(page.get_by_role("alert")).to_contain_text(
        "You no longer have access to the desk of Tanjong Pagar"
    )
    expect(page.get_by_text(visit.patient.name)).to_have_count(0)
    expect(page.get_by_role("dialog", name="Visit")).to_be_hidden()


def test_who_is_logged_out_is_asked_to_log_in(open_browser, receptionist, visit, watch, monkeypatch):
    watch.allow("WebSocket connection to")
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.2)
    page = show(open_browser(receptionist))
    elsewhere = page.context.new_page()
    elsewhere.goto("/")
    elsewhere.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("alert")).to_contain_text("You have been logged out")
    expect(page.get_by_text(visit.patient.name)).to_have_count(0)
