"""A deposit, a part at the counter, cancelled late: what is charged is shown before, and is what happens."""

import pytest
from playwright.sync_api import expect

from billing.models import Bill, Payment
from scheduling.models import Booking
from tests.e2e.steps import booked, fill_card, pay_button, to_checkout
from tests.e2e.system import until

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def deposits(clinic):
    """Of 65 dollars 19.50 when booking, 32.50 if cancelled in the last week."""
    clinic.payment_policy = "deposit"
    clinic.free_cancel_hours, clinic.late_cancel_percent, clinic.no_show_percent = 24 * 7, 50, 80
    clinic.save()
    return clinic


def test_deposit_then_counter_then_cancelled_late(
    open_browser, watch, deposits, slots, patient, receptionist
):
    page = open_browser(patient.user, viewport=PHONE)
    to_checkout(page)
    expect(page.get_by_text("S$\u00a019.50 now, S$\u00a045.50 at the clinic").first).to_be_visible()
    expect(
        page.get_by_text("If you cancel, S$\u00a032.50 is charged; S$\u00a052.00 if you do not come.")
    ).to_be_visible()
    assert watch.flaws(page) == []
    fill_card(page)
    expect(pay_button(page)).to_contain_text("S$\u00a019.50")
    pay_button(page).click()
    booking = booked(page)
    until(
        lambda: Bill.objects.filter(booking=booking, status="part_paid").exists(),
        "the deposit is on the bill",
    )

    desk = open_browser(receptionist)
    desk.goto(f"/desk/{deposits.slug}/bookings/{booking.reference}/")
    desk.get_by_text("Take payment").click()
    desk.get_by_role("button", name="Record the payment").click()
    expect(desk.get_by_text("taken at the counter")).to_be_visible()
    assert Bill.objects.get(booking=booking).status == "paid"

    page.reload()
    page.get_by_role("link", name="Cancel the visit").click()
    expect(page.get_by_text("S$\u00a032.50 is charged.")).to_be_visible()
    expect(page.get_by_text("S$\u00a019.50 goes back to the card")).to_be_visible()
    expect(page.get_by_text("S$\u00a013.00 is given back at the clinic.")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_role("heading", name="Your visit is cancelled")).to_be_visible()
    until(lambda: Payment.objects.get(booking=booking).status == "refunded", "the deposit is back")
    page.reload()
    expect(
        page.get_by_text("S$\u00a032.50 is charged, because the visit was cancelled late.")
    ).to_be_visible()
    expect(page.get_by_text("S$\u00a013.00 will be given back to you at the clinic.")).to_be_visible()

    desk.goto(f"/desk/{deposits.slug}/work/")
    desk.get_by_role("button", name="Given back").click()
    expect(desk.get_by_text("Nobody is to get money back at the counter.")).to_be_visible()
    desk.goto(f"/desk/{deposits.slug}/bookings/{booking.reference}/")
    desk.get_by_text("Waive the fee of S$\u00a032.50").click()
    desk.get_by_label("Why").last.fill("was in hospital")
    assert watch.flaws(desk) == []
    desk.get_by_role("button", name="Waive the fee").click()
    expect(desk.get_by_text("was in hospital")).to_be_visible()
    assert Booking.objects.get(pk=booking.pk).fee_cents == 0
