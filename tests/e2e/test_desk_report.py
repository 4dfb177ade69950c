"""What is to be done, and what it took: the two pages of the desk that are no calendar."""

import datetime as dt

import pytest
from playwright.sync_api import expect

from clinic_booking.models import Notification
from scheduling.models import Booking, DeskNote, Membership
from tests import factories
from tests.e2e.steps import book
from tests.e2e.system import until


@pytest.fixture
def notes(pay_at_clinic, slots, service, patient):
    made = book(slots[0], service, patient)
    doctor = factories.UserFactory()
    return [
        DeskNote.objects.create(booking=made, text=text, written_by=doctor) for text in ("First", "Second")
    ]


@pytest.fixture
def failed(system, notes):
    """A message that the mail server refused; the mail of the booking itself has been sent."""
    system.until_quiet()
    note = Notification.objects.get(event__data__booking=notes[0].booking_id)
    Notification.objects.filter(pk=note.pk).update(
        status="failed", sent_at=None, attempts=10, error="SMTPServerBusy"
    )
    return note


def test_rows_are_done_by_keyboard_and_focus_goes_on(open_browser, receptionist, notes, failed, watch):
    page = open_browser(receptionist)
    page.goto("/desk/tanjong-pagar/work/")
    total = page.locator("#work-total")
    expect(total).to_contain_text("3")
    assert watch.flaws(page) == []

    list_of_notes = page.get_by_role("region", name="Notes to the desk")
    list_of_notes.get_by_role("button", name="Done · First").focus()
    page.keyboard.press("Enter")

    expect(list_of_notes.get_by_role("button", name="Done · Second")).to_be_focused()
    expect(list_of_notes.get_by_text("First")).to_be_hidden()
    expect(total).to_contain_text("2")
    page.keyboard.press("Enter")
    expect(list_of_notes.get_by_role("heading", name="Notes to the desk")).to_be_focused()
    expect(page.get_by_text("No note waits.")).to_be_visible()

    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Every message was sent.")).to_be_visible()
    expect(page.locator("#work-said")).to_have_text("It is sent once more.")
    until(lambda: Notification.objects.get(pk=failed.pk).status == "sent", "the message is sent")


def test_contact_is_put_right_on_its_row(open_browser, receptionist, notes, patient, watch):
    watch.allow("status of 422")
    type(patient).objects.filter(pk=patient.pk).update(email="")
    page = open_browser(receptionist)
    page.goto("/desk/tanjong-pagar/work/")
    row = page.locator(f"#contacts-{patient.pk}")
    row.get_by_text("Put right").click()
    row.get_by_label("Mobile phone").fill("12")
    row.get_by_role("button", name="Save").click()
    expect(row.get_by_text("Please enter a phone number such as 9123 4567.")).to_be_visible()
    assert watch.flaws(page) == []
    row.get_by_label("Mobile phone").fill("9123 4567")
    row.get_by_label("E-mail").fill("aisyah@example.com")
    row.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Everybody who comes can be reached.")).to_be_visible()
    patient.refresh_from_db()
    assert (patient.phone, patient.email) == ("+6591234567", "aisyah@example.com")


def test_work_is_done_without_scripts(open_browser, receptionist, notes):
    page = open_browser(receptionist, java_script_enabled=False)
    page.goto("/desk/tanjong-pagar/work/")
    page.get_by_role("button", name="Done · First").click()

    expect(page.get_by_text("Done.", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Done · First")).to_be_hidden()
    assert page.url.endswith("/desk/tanjong-pagar/work/#work-notes")


def test_report_is_read_and_downloaded(open_browser, receptionist, notes, watch):
    Membership.objects.filter(user=receptionist).update(role=Membership.Role.MANAGER)
    made = notes[0].booking
    Booking.objects.filter(pk=made.pk).update(created_at=made.created_at - dt.timedelta(8))
    page = open_browser(receptionist)
    page.goto("/desk/tanjong-pagar/work/")
    page.get_by_role("link", name="Report", exact=True).click()

    expect(page.get_by_role("heading", name="Effort report")).to_be_visible()
    expect(page.get_by_role("img", name="Bookings by week and channel")).to_be_visible()
    assert page.locator(".chart rect").count() == 1
    assert watch.flaws(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("Clinic,Week from,Bookings")
    assert any(line.startswith("Tanjong Pagar,") for line in lines[1:])
