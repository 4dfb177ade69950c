"""From the front page to the confirmation, for visits that are paid at the clinic."""

import re
from urllib.parse import urlsplit

import pytest
from icalendar import Calendar
from playwright.sync_api import expect

from scheduling.models import Booking
from tests import factories
from tests.e2e.steps import booked, choose, confirm, fill_details, find_times, time, to_checkout

pytestmark = pytest.mark.usefixtures("pay_at_clinic", "slots")


def test_books_without_paying_now_and_for_nobody_else(page, slots, open_browser, watch):
    find_times(page)
    choose(page, "09:20")
    fill_details(page)
    confirm(page)
    booking = booked(page)
    assert (booking.patient.name, booking.starts_at) == ("Siti Rahmah", slots[1].starts_at)
    expect(page.get_by_text("to be paid at the clinic")).to_be_visible()
    assert_calendar_file_holds(page, booking)
    watch.allow("status of 404")
    stranger = open_browser()
    for path in (f"/bookings/{booking.reference}/", f"/bookings/{booking.reference}.ics"):
        assert stranger.goto(path).status == 404


def test_books_without_scripts(open_browser):
    page = open_browser(java_script_enabled=False)
    to_checkout(page)
    confirm(page)
    booked(page)


def assert_calendar_file_holds(page, booking):
    with page.expect_download() as download:
        page.get_by_role("link", name="Add to calendar").click()
    (event,) = Calendar.from_ical(download.value.path().read_bytes()).walk("VEVENT")
    assert booking.reference in download.value.suggested_filename
    assert (event.start, event.end) == (booking.starts_at, booking.ends_at)


def test_letter_has_the_reference_and_opens_the_visit(page, open_browser, system):
    to_checkout(page, email="siti.rahmah@example.com")
    confirm(page)
    booking = booked(page)
    system.until_quiet()
    (letter,) = [each for each in system.letters() if each["To"] == "siti.rahmah@example.com"]
    text = letter.get_body(["plain"]).get_content()
    assert booking.reference in text
    link = re.search(rf"{re.escape(system.url)}\S+", text)[0]
    elsewhere = open_browser()
    elsewhere.goto(link)
    assert booked(elsewhere) == booking
    assert not urlsplit(elsewhere.url).query  # the key does not stay in the address


def test_any_clinic_shows_where_each_time_is(page, clinic):
    page.goto("/")
    page.get_by_role("radio", name="Any clinic").check()
    page.get_by_role("button", name="General consultation").click()
    expect(page.locator(".card-times")).to_contain_text(clinic.name)
    choose(page)


def test_missing_details_are_asked_for(page, watch):
    watch.allow("status of 422")
    find_times(page)
    choose(page)
    confirm(page)
    expect(page.get_by_text("Please enter the name of the patient.")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_focused()
    fill_details(page)
    confirm(page)
    booked(page)


def test_card_number_in_the_wrong_field_is_refused(page, watch):
    watch.allow("status of 422")
    to_checkout(page)
    page.get_by_label("Note for the clinic").fill("4242 4242 4242 4242")
    confirm(page)
    expect(page.get_by_role("alert")).to_contain_text("Please do not write card numbers here.")
    expect(page.get_by_label("Note for the clinic")).to_have_value("")


def test_time_is_given_back_by_choosing_another(page, open_browser, slots):
    to_checkout(page)
    other = open_browser()
    find_times(other)
    expect(time(other, "09:00")).to_be_disabled()
    page.get_by_role("button", name="Choose another time").click()
    expect(time(other, "09:00")).to_be_enabled()
    choose(page, "10:00")
    expect(time(other, "10:00")).to_be_disabled()
    slots[0].refresh_from_db()
    assert slots[0].hold_id is None


def test_second_visit_at_the_same_hour_is_refused(page, slots, service, watch):
    watch.allow("status of 409")
    to_checkout(page)
    confirm(page)
    first = booked(page)
    first_of_second_doctor = second_doctor(service, slots)[0]
    find_times(page)
    page.locator(f"[data-slot='{first_of_second_doctor.pk}']").click()
    fill_details(page)
    confirm(page)
    expect(page.get_by_role("alert")).to_contain_text("already have a visit at this time")
    assert Booking.objects.filter(patient=first.patient).count() == 1


def second_doctor(service, slots):
    doctor = factories.PractitionerFactory(name="Dr Priya Krishnan")
    service.practitioners.add(doctor)
    station = factories.StationFactory(clinic=slots[0].clinic)
    return factories.make_slots(doctor, station, slots[0].starts_at)
