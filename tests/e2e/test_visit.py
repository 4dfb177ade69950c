"""Consultation and x-ray as one visit: proposed together, held together, paid once, moved and cancelled as one."""

import pytest
from playwright.sync_api import expect

from billing.models import Payment, Refund
from scheduling.models import Booking, Clinic
from tests import factories
from tests.e2e.steps import booked, fill_details, hold_of, pay, pay_button
from tests.e2e.system import until


@pytest.fixture(autouse=True)
def xray_slots(clinic, slots):
    """At the same clinic, on the same morning."""
    doctor = factories.PractitionerFactory(name="Koh Zhi Wei", specialty="Radiography")
    factories.ServiceFactory(
        slug="x-ray", name="X-ray", station_kind="x-ray", price_cents=8500, practitioners=[doctor]
    )
    room = factories.StationFactory(clinic=clinic, name="X-ray", kind="x-ray")
    return factories.make_slots(doctor, room, slots[0].starts_at)


def plan(page):
    page.goto("/")
    page.get_by_role("link", name="Plan several visits").click()
    page.get_by_label("First").select_option(label="General consultation · 20 min · S$\u00a065.00")
    page.get_by_label("Then").select_option(label="X-ray · 20 min · S$\u00a085.00")
    page.get_by_role("button", name="Find times").click()


def hold(page, time="09:00"):
    proposal(page, time).get_by_role("button", name="Hold this").click()
    expect(page.get_by_role("heading", name="Your details")).to_be_visible()


def proposal(page, time):
    return page.get_by_role("article").filter(has=page.get_by_role("heading", name=time))


def stops(page):
    return page.locator(".stop")


@pytest.fixture
def paid(open_browser, patient):
    """The page of a patient who is logged in and has paid for both."""
    page = open_browser(patient.user)
    plan(page)
    hold(page)
    fill_details(page)
    expect(pay_button(page)).to_contain_text("S$\u00a0150.00")
    pay(page)
    booked(page)
    return page


def test_books_consultation_and_xray_as_one_visit(paid, patient, slots, xray_slots, system):
    expect(stops(paid)).to_have_count(2)
    expect(stops(paid).first).to_contain_text("General consultation")
    expect(stops(paid).last).to_contain_text("X-ray")
    expect(paid.get_by_text("20 min between, 2 min on foot")).to_be_visible()
    made = Booking.objects.filter(patient=patient).order_by("starts_at")
    assert [b.starts_at for b in made] == [slots[0].starts_at, xray_slots[2].starts_at]
    payment = Payment.objects.get(patient=patient)
    assert (payment.captured_cents, payment.booking) == (15000, made[0])
    system.until_quiet()
    texts = [(each["Subject"], each.get_body(["plain"]).get_content()) for each in system.letters()]
    booked = [text for subject, text in texts if subject == "Your 2 appointments are booked"]
    assert [made[0].reference in text and made[1].reference in text for text in booked].count(True) == 1
    assert list(made.values_list("bill__status", flat=True)) == ["paid", "paid"]


def test_moves_the_visit_as_one(paid, patient, slots, xray_slots):
    paid.get_by_role("link", name="Move the whole visit").click()
    proposal(paid, "10:00").get_by_role("button", name="Move it here").click()
    expect(paid.get_by_text("Your visit is moved.")).to_be_visible()
    expect(stops(paid)).to_have_count(2)
    made = Booking.objects.filter(patient=patient).order_by("starts_at")
    assert [b.starts_at for b in made] == [slots[3].starts_at, xray_slots[5].starts_at]
    for slot in (slots[0], xray_slots[2]):
        slot.refresh_from_db()
        assert slot.status == "available"


def test_cancels_the_visit_as_one_and_gets_all_back(paid, patient):
    paid.get_by_role("link", name="Cancel the visit").click()
    paid.get_by_role("button", name="Yes, cancel all 2 appointments").click()
    expect(paid.get_by_role("heading", name="Your visit is cancelled")).to_be_visible()
    assert set(Booking.objects.filter(patient=patient).values_list("status", flat=True)) == {"cancelled"}
    until(lambda: Payment.objects.get(patient=patient).status == "refunded", "the money is back")
    assert (
        sum(Refund.objects.filter(payment__patient=patient).values_list("amount_cents", flat=True)) == 15000
    )
    paid.reload()
    expect(paid.get_by_text("paid back")).to_have_count(2)


def test_cancels_one_of_two_and_gets_its_price_back(paid, patient):
    paid.get_by_role("link", name="Cancel the visit").click()
    paid.get_by_role("button", name="Only General consultation").click()
    expect(paid.get_by_role("heading", name="Your visit is cancelled")).to_be_visible()
    until(lambda: Payment.objects.get(patient=patient).refunded_cents == 6500, "its price is back")
    until(lambda: Payment.objects.get(patient=patient).status == "paid", "the rest stays paid")


def test_part_that_is_gone_is_said_before_anything_is_held(page, open_browser, watch):
    watch.allow("status of 409")
    plan(page)
    other = open_browser()
    plan(other)
    hold(other)
    proposal(page, "09:00").get_by_role("button", name="Hold this").click()
    expect(page.get_by_role("alert")).to_contain_text("Someone else has just taken this time")
    expect(page.get_by_role("alert")).to_be_focused()
    hold(page, "09:20")
    assert hold_of(page).followers.count() == 1


def test_without_scripts(open_browser, pay_at_clinic):
    page = open_browser(java_script_enabled=False)
    plan(page)
    hold(page)
    fill_details(page)
    page.get_by_role("button", name="Confirm booking").click()
    booked(page)
    expect(stops(page)).to_have_count(2)


def test_desk_plans_for_a_patient(open_browser, receptionist, patient, clinic):
    page = open_browser(receptionist)
    page.goto(f"/desk/{clinic.slug}/")
    page.get_by_role("link", name="Plan visits").click()
    page.get_by_label("Name, phone, booking reference or identity number").fill(patient.phone[3:])
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("link", name=patient.name).first.click()
    page.get_by_label("First").select_option("consultation")
    page.get_by_label("Then").select_option("x-ray")
    page.get_by_role("button", name="Find times").click()
    proposal(page, "09:00").get_by_role("button", name="Hold this").click()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("The visit is booked.")).to_be_visible()
    assert Booking.objects.filter(patient=patient, status="booked").count() == 2


def test_nothing_is_wrong_with_the_pages(page, watch, pay_at_clinic):
    """At every step, at the width of a phone and of a desk, light and dark."""
    Clinic.objects.update(free_cancel_hours=0)
    watch.allow("status of 4")

    def look():
        page.wait_for_selector("html[data-ready]")
        assert watch.flaws(page) == []

    page.goto("/plan/")
    look()
    page.goto("/plan/?service=consultation&service=x-ray&min_wait=60&max_wait=30")
    look()
    page.goto("/plan/?service=consultation&service=x-ray&after=20:00")
    expect(page.get_by_text("if before 20:00 is allowed")).to_be_visible()
    look()
    plan(page)
    look()
    page.locator(".wish > summary").click()
    page.get_by_text("More wishes").click()
    look()
    proposal(page, "09:00").get_by_role("button", name="Hold this").click()
    page.wait_for_selector("[role=timer]:not(:empty)")
    look()
    fill_details(page)
    page.get_by_role("button", name="Confirm booking").click()
    booked(page)
    look()
    page.get_by_role("link", name="Move the whole visit").click()
    look()
    page.go_back()
    page.get_by_role("link", name="Cancel the visit").click()
    look()
