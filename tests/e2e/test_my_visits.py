"""After the booking: the patient's own list, cancelling with the money back, moving."""

import pytest
from playwright.sync_api import expect

from billing.models import Payment
from tests.e2e.steps import booked, choose, pay, time, to_checkout
from tests.e2e.system import until


@pytest.fixture
def page(open_browser, patient, slots):
    """Of a patient who is logged in and has paid for nine o'clock."""
    page = open_browser(patient.user)
    to_checkout(page)
    expect(page.get_by_label("Mobile phone")).to_have_value("9123 4567")
    pay(page)
    booked(page)
    page.get_by_role("link", name="My visits").click()
    coming = page.get_by_role("region", name="Coming up")
    coming.get_by_role("link", name="General consultation").click()
    return page


def test_cancelled_visit_is_paid_back(page, open_browser, system, slots):
    booking = booked(page)
    payment = Payment.objects.get(booking=booking)
    other = open_browser()
    other.goto(f"/book/?service=consultation&clinic=tanjong-pagar&date={booking.starts_at:%Y-%m-%d}")
    expect(time(other, "09:00")).to_be_disabled()
    page.get_by_role("link", name="Cancel the visit").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_role("heading", name="Your visit is cancelled")).to_be_visible()
    expect(time(other, "09:00")).to_be_enabled()
    until(lambda: Payment.objects.get(pk=payment.pk).status == "refunded", "the money is back")
    (refund,) = refunds_of(system, payment)
    assert (refund["amount"], refund["status"]) == (payment.amount_cents, "succeeded")
    page.reload()
    expect(page.get_by_text("paid back")).to_be_visible()
    page.get_by_role("link", name="My visits").click()
    expect(page.get_by_role("region", name="Coming up")).to_contain_text("No visit is booked.")
    expect(page.get_by_role("region", name="Earlier and cancelled")).to_contain_text("Cancelled")


def refunds_of(system, payment):
    refunds = system.double.engine.store.refunds.values()
    return [refund for refund in refunds if refund["payment_intent"] == payment.provider_ref]


def test_kept_after_all(page):
    booking = booked(page)
    page.get_by_role("link", name="Cancel the visit").click()
    page.get_by_role("link", name="No, keep it").click()
    assert booked(page) == booking


def test_moved_visit_needs_no_second_payment(page, slots, system):
    booking = booked(page)
    page.get_by_role("link", name="Choose another time").click()
    expect(page.get_by_text("It stays yours until you choose a new time.")).to_be_visible()
    time(page, "09:40").click()
    expect(page.get_by_text("Your visit is moved.")).to_be_visible()
    moved = booked(page)
    slots[0].refresh_from_db()
    assert (moved, moved.starts_at) == (booking, slots[2].starts_at)
    assert slots[0].status == "available"
    system.until_quiet()
    subjects = [letter["Subject"] for letter in system.letters() if letter["To"] == booking.patient.email]
    assert [s for s in subjects if "is moved to" in s and "09:40" in s]


def test_time_for_the_move_is_taken_meanwhile(page, open_browser, watch):
    watch.allow("status of 409")
    booking = booked(page)
    page.route_web_socket("**/ws/**", lambda socket: None)
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        page.get_by_role("link", name="Choose another time").click()
    to_checkout(open_browser(), "09:40")
    time(page, "09:40").click()
    expect(page.get_by_role("heading", name="Someone else has just taken this time")).to_be_visible()
    page.get_by_role("button", name="10:00").click()
    moved = booked(page)
    assert (moved, moved.version) == (booking, 2)


def test_back_after_the_cancellation(page):
    page.get_by_role("link", name="Cancel the visit").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_role("heading", name="Your visit is cancelled")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("cancelled")).not_to_have_count(0)
    expect(page.get_by_role("button", name="Yes, cancel it")).to_have_count(0)


def test_another_visit_of_the_same_patient(page):
    page.get_by_role("link", name="Book another visit").click()
    page.get_by_role("button", name="General consultation").click()
    choose(page, "10:00")
    expect(page.get_by_label("Full name")).to_have_value("Nurul Aisyah")
