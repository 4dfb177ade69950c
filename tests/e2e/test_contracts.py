"""A course is sold, confirmed, paid, seen on the calendar and by its patient, and ended."""

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


def test_staff_draws_up_a_contract_without_a_mouse_or_scripts(
    open_browser, receptionist, clinic, mornings, service
):
    patient = factories.known(factories.PatientFactory(name="Zubaidah Kassim"), clinic)
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


def test_contract_in_instalments_is_paid_and_ended(desk, draft, look, system):
    """Planned in three parts, confirmed, the first paid at the counter, ended with the refund shown before."""
    Contract.objects.filter(pk=draft.pk).update(billing="instalments")
    open_contract(desk, draft)
    desk.get_by_role("link", name="Plan the instalments").click()
    desk.get_by_label("Number of instalments").fill("4")
    desk.get_by_role("button", name="Work out monthly parts").click()
    expect(desk.get_by_label("Amount (S$)").nth(3)).to_have_value("75.00")
    look(desk)
    desk.get_by_label("Amount (S$)").nth(0).fill("150.00")
    desk.get_by_role("button", name="Save the instalments").click()
    expect(
        desk.get_by_text("add up to S$\u00a0375.00, but the contract costs S$\u00a0300.00")
    ).to_be_visible()
    look(desk, status=422)
    desk.get_by_label("Amount (S$)").nth(3).fill("")
    desk.get_by_label("Due on", exact=True).nth(3).fill("")
    desk.get_by_role("button", name="Save the instalments").click()
    expect(desk.locator("[data-part]")).to_have_count(3)
    desk.get_by_role("button", name="Confirm and plan all sessions").click()
    first = desk.locator('[data-part="1"]')
    expect(first.get_by_text("To be paid", exact=True)).to_be_visible()
    look(desk)

    first.get_by_text("Take payment").click()
    first.get_by_label("Amount (S$)").fill("100.00")
    look(desk)
    first.get_by_role("button", name="Record the payment").click()
    expect(first.get_by_text("50.00 to be paid")).to_be_visible()

    desk.get_by_role("link", name="Cancel the contract").click()
    refund = desk.locator("[data-refund]")
    expect(refund).to_have_text("S$\u00a070.00")
    desk.get_by_role("radio", name="Keep it").nth(0).check()
    expect(refund).to_have_text("S$\u00a025.00")
    for number in range(1, 6):
        desk.get_by_role("radio", name="Cancel it").nth(number).check()
    expect(desk.get_by_text("5 unused sessions worth")).to_be_visible()
    look(desk)
    desk.get_by_role("button", name="Cancel the contract").click()
    expect(first.get_by_text("S$\u00a025.00 is to be given back.")).to_be_visible()
    look(desk)
    first.get_by_role("button", name="Record: the money was given back").click()
    expect(desk.get_by_text("Recorded: the money was given back.")).to_be_visible()
    expect(desk.locator("[data-part]")).to_have_count(1)
