"""A course is sold, confirmed, seen on the calendar and by its patient."""

import datetime as dt

import pytest
from playwright.sync_api import expect

from billing.models import Contract
from scheduling.models import Booking
from tests import factories
from tests.billing.courses import WEEKLY, make_draft, make_mornings


@pytest.fixture
def look(watch):
    """Asserts that nothing is wrong with the page as it is."""

    def look(page, status=200):
        page.wait_for_selector("html[data-ready]")
        watch.allow(f"status of {status} ")
        assert watch.flaws(page) == []

    return look


@pytest.fixture
def mornings(practitioner, station, service):
    return make_mornings(practitioner, station, weeks=7)


@pytest.fixture
def draft(mornings, clinic, patient, service):
    contract = make_draft(clinic, patient, service, patterns=[WEEKLY], price_cents=5000)
    Contract.objects.filter(pk=contract.pk).update(no_show="return")
    return contract


@pytest.fixture
def desk(open_browser, receptionist):
    return open_browser(receptionist)


def open_contract(desk, contract):
    desk.goto("/desk/tanjong-pagar/contracts/")
    desk.get_by_role("link", name=contract.reference).click()
    expect(desk.get_by_role("heading", name=contract.patient.name)).to_be_visible()


def confirm(desk, contract):
    open_contract(desk, contract)
    desk.get_by_role("button", name="Confirm and plan all sessions").click()
    expect(desk.get_by_text("The contract is confirmed")).to_be_visible()


def test_staff_confirms_a_contract_and_sees_six_sessions_on_the_calendar(desk, draft, patient, look):
    confirm(desk, draft)
    sessions = desk.locator("[data-session]")
    expect(sessions).to_have_count(6)
    expect(desk.locator("[data-session][data-status=scheduled]")).to_have_count(6)
    look(desk)
    contract = desk.url
    first = factories.tomorrow_at(9).date()
    for week in range(6):
        desk.goto(contract)
        desk.locator("[data-session]").nth(week).get_by_role("link", name="Day").click()
        desk.wait_for_url(f"**date={first + dt.timedelta(weeks=week)}")
        visit = desk.locator(".ec-event[role=button]")
        expect(visit).to_have_count(1)
        expect(visit).to_contain_text(patient.name)


def test_staff_draws_up_a_contract_without_a_mouse_or_scripts(open_browser, receptionist, mornings, service):
    patient = factories.PatientFactory(name="Zubaidah Kassim")
    page = open_browser(receptionist, java_script_enabled=False)
    page.goto("/desk/tanjong-pagar/contracts/")
    page.get_by_role("link", name="New contract").press("Enter")
    page.get_by_label("Find the patient").fill("Zubaidah")
    page.keyboard.press("Enter")
    page.locator(f'[name="patient"][value="{patient.pk}"]').check()
    page.get_by_role("button", name="Make the draft").press("Enter")
    page.get_by_role("link", name="Add a line").press("Enter")
    page.get_by_label("Service").select_option(label=service.name)
    page.get_by_label("Sessions").fill("6")
    page.get_by_label("At least days apart").fill("7")
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    expect(page.get_by_text("6 × General consultation")).to_be_visible()
    page.get_by_role("button", name="Confirm and plan").press("Enter")
    expect(page.locator("[data-session][data-status=scheduled]")).to_have_count(6)


def test_rule_that_cannot_be_met_is_said_at_entry(desk, draft, look, watch):
    watch.allow("status of 422")
    open_contract(desk, draft)
    look(desk)
    desk.get_by_role("link", name="Add a line").click()
    desk.get_by_label("Service").select_option(label="General consultation")
    desk.get_by_label("Not before").fill("18:00")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("Visits are possible between 09:00 and 10:00 only.")).to_be_visible()
    look(desk, status=422)
    desk.get_by_label("Not before").fill("09:20")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("09:20 or later")).to_be_visible()


def test_cancelling_decides_each_visit(desk, draft, look):
    confirm(desk, draft)
    desk.get_by_role("link", name="Cancel the contract").click()
    look(desk)
    for number in range(6):
        choice = "Keep it" if number == 0 else "Cancel it"
        desk.get_by_role("radio", name=choice).nth(number).check()
    desk.get_by_role("button", name="Cancel the contract").click()
    expect(desk.get_by_text("The contract is cancelled.")).to_be_visible()
    assert Booking.objects.live().filter(session__request__contract=draft.reference).count() == 1


def test_list_and_forms_look_well(desk, draft, look):
    for path in ("", "new/?q=Aisyah", f"{draft.reference}/lines/new/", f"{draft.reference}/details/"):
        desk.goto(f"/desk/tanjong-pagar/contracts/{path}")
        look(desk)


def test_patient_finds_a_time_for_an_open_session(desk, open_browser, draft, patient, look):
    confirm(desk, draft)
    page = open_browser(patient.user)
    page.goto("/me/")
    expect(page.get_by_text("0 of 6 sessions done.")).to_be_visible()
    last = Booking.objects.filter(session__request__contract=draft.reference).latest("starts_at")
    page.goto(f"/bookings/{last.reference}/cancellation/")
    page.get_by_role("button", name="Yes, cancel it").click()
    page.goto("/me/")
    expect(page.get_by_text("Session 6 has no time yet.")).to_be_visible()
    look(page)

    page.get_by_role("link", name="Choose myself").click()
    expect(page.get_by_text("Choose the time of session 6 of 6")).to_be_visible()
    look(page)
    page.goto("/me/")
    page.get_by_role("button", name="Find a time for me").click()
    expect(page.get_by_text("1 session has a time now.")).to_be_visible()


def test_patient_chooses_the_time_of_a_session_and_pays_nothing(desk, open_browser, draft, patient):
    confirm(desk, draft)
    last = Booking.objects.filter(session__request__contract=draft.reference).latest("starts_at")
    page = open_browser(patient.user)
    page.goto(f"/bookings/{last.reference}/cancellation/")
    page.get_by_role("button", name="Yes, cancel it").click()
    page.goto("/me/")
    page.get_by_role("link", name="Choose myself").click()
    page.goto(f"{page.url}&date={last.starts_at.astimezone(last.clinic.zone):%Y-%m-%d}")
    page.locator('[data-status="available"]').first.click()
    expect(page.get_by_text("Prepaid")).to_be_visible()
    page.get_by_label("I agree").check()
    page.get_by_role("button", name="Confirm booking").click()
    expect(page.get_by_role("heading", name="Your visit is booked")).to_be_visible()
    assert last.session.bookings.live().get().price_cents == 0
