"""From "Prepare your visit" to the counter: the number is typed, found, checked, and whole for half a minute only."""

from playwright.sync_api import expect

from tests.e2e.steps import book
from tests.vault.keys import number


def test_number_from_the_patient_to_the_counter(
    open_browser, pay_at_clinic, slots, service, patient, receptionist, watch
):
    visit, whole = book(slots[0], service, patient), number("S", f"{patient.pk:07d}")
    masked, asked = f"•••••{whole[-4:]}", []
    page = open_browser(patient.user)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/bookings/{visit.reference}/")
    page.get_by_role("link", name="Prepare your visit").click()
    assert watch.flaws(page) == []
    page.get_by_label("Number").fill(whole)
    page.get_by_label("Gender").select_option("Female")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(masked)).to_be_visible()
    assert whole not in page.content()

    desk = open_browser(receptionist)
    desk.on("request", lambda request: asked.append(request.url))
    desk.clock.install()
    desk.goto("/desk/tanjong-pagar/book/")
    desk.get_by_role("combobox", name="Patient").press_sequentially(whole)
    expect(desk.get_by_role("option", name=patient.name)).to_be_visible()

    desk.goto(f"/desk/tanjong-pagar/bookings/{visit.reference}/")
    desk.get_by_role("link", name="Check the identity").click()
    assert whole not in desk.content()
    desk.get_by_text("Show the whole number").click()
    assert watch.flaws(desk) == []
    desk.get_by_role("button", name="Show for 30 seconds").click()
    expect(desk.get_by_text(whole)).to_be_visible()
    desk.clock.fast_forward(31_000)
    expect(desk.get_by_text(whole)).to_be_hidden()
    expect(desk.get_by_text(masked)).to_be_visible()

    desk.get_by_label("Number").fill(whole)
    desk.get_by_label("I have the document").check()
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Document seen")).to_be_visible()
    assert [url for url in asked if whole[1:8] in url] == []
