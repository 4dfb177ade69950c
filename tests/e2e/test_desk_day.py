"""A visit's day at the desk, on the waiting room's screen and on the doctor's phone. At the clinic it is about noon."""

import re

import pytest
from django.db import transaction
from playwright.sync_api import expect

from scheduling import booking
from scheduling.models import Booking, Membership
from tests import factories
from tests.e2e.steps import book
from tests.e2e.watch import AXE, RULES, barriers, overflow
from tests.scheduling.midday import minutes, now, zone_at_noon


@pytest.fixture
def clinic(db):
    return factories.ClinicFactory(
        slug="tanjong-pagar", name="Tanjong Pagar", time_zone=zone_at_noon(), payment_policy="pay_at_clinic"
    )


@pytest.fixture
def practitioner(db):
    return factories.PractitionerFactory(name="Dr Lim Wei Jie", with_login=True)


@pytest.fixture
def slots(practitioner, station, service):
    return factories.make_slots(practitioner, station, now() + minutes(15))


@pytest.fixture
def visit(slots, service, patient):
    return book(slots[0], service, patient, note="Needs a ramp")


def row(page, name):
    return page.locator("[data-person]").filter(has_text=name)


def flaws_of_screen(page, watch):
    """It is always dark."""
    before = len(watch.complaints)
    page.evaluate(AXE)
    found = barriers(page, RULES) + overflow(page, 390) + overflow(page, 1280)
    del watch.complaints[before:]  # axe tries what the policy forbids
    return found


def test_from_check_in_to_done_on_two_screens(
    open_browser, receptionist, clinic, visit, service, other_patient, watch
):
    desk, screen = open_browser(receptionist), open_browser()
    screen.goto(f"/screen/{clinic.slug}/")
    expect(screen.get_by_text("Please wait until your number is called.")).to_be_visible()
    expect(screen.locator("[data-live-status]")).to_have_text("")
    desk.goto(f"/desk/{clinic.slug}/queue/")
    expect(desk.get_by_text("Live – updates by itself")).to_be_visible()
    # Somebody without a booking is taken in at another desk: this one sees it by itself.
    with transaction.atomic():
        booking.add_walk_in(clinic=clinic, patient=other_patient, service=service, by=receptionist)
    expect(row(desk, other_patient.name)).to_contain_text("A 001")

    row(desk, visit.patient.name).get_by_role("button", name="Arrived").click()
    expect(row(desk, visit.patient.name)).to_contain_text("A 002")
    expect(row(desk, visit.patient.name)).to_contain_text("min more")
    call = row(desk, visit.patient.name).get_by_role("button", name=re.compile("^Call"))
    expect(call).to_be_focused()
    desk.keyboard.press("Enter")
    expect(screen.locator(".latest")).to_have_text(re.compile(r"A 002\s*→\s*Room 1"))
    expect(screen.get_by_role("status").first).to_contain_text("Number A 002, please go to Room 1")
    assert flaws_of_screen(screen, watch) == []
    assert watch.flaws(desk) == []

    row(desk, visit.patient.name).get_by_role("button", name="Start").click()
    inside = desk.get_by_role("region", name=re.compile("^With the doctor"))
    expect(inside).to_contain_text(visit.patient.name)
    inside.get_by_role("button", name="Done").click()
    expect(inside).to_contain_text("Nobody.")
    desk.get_by_text("Done today").click()
    row(desk, visit.patient.name).get_by_role("button", name="Undo").click()
    expect(inside).to_contain_text(visit.patient.name)
    assert Booking.objects.get(pk=visit.pk).status == "arrived"


def test_calendar_checks_in_by_key_and_says_who_was_faster(open_browser, receptionist, clinic, visit, watch):
    watch.allow("status of 409")
    desk = open_browser(receptionist)
    desk.goto(f"/desk/{clinic.slug}/")
    box = desk.get_by_role("button", name=re.compile(visit.patient.name))
    box.focus()
    desk.keyboard.press("a")
    details = desk.get_by_role("dialog", name="Visit")
    expect(details).to_contain_text("A 001")
    expect(details.get_by_role("button", name=re.compile("^Call"))).to_be_focused()
    with transaction.atomic():
        booking.call(booking_id=visit.pk, by=receptionist)
    desk.keyboard.press("s")
    expect(details.get_by_role("alert")).to_contain_text("Someone changed this visit just now")
    desk.keyboard.press("s")
    expect(details).to_contain_text("With the doctor")
    desk.keyboard.press("Escape")
    expect(details).to_be_hidden()
    assert Booking.objects.get(pk=visit.pk).started_at


def test_doctor_on_a_phone(open_browser, practitioner, clinic, visit, receptionist, watch):
    factories.MembershipFactory(user=practitioner.user, clinic=clinic, role=Membership.Role.DOCTOR)
    phone = open_browser(practitioner.user, viewport={"width": 390, "height": 844}, has_touch=True)
    with transaction.atomic():
        booking.check_in(booking_id=visit.pk, by=receptionist)
    phone.goto("/doctor/")
    first = phone.get_by_role("region", name=re.compile("^Next – is here"))
    expect(first).to_contain_text(visit.patient.name)
    first.get_by_text("Note to the desk").click()
    first.get_by_label("What is the desk to do?").fill("Wants a follow-up in 2 weeks")
    first.get_by_role("button", name="Send").click()
    expect(phone.get_by_text("The desk has your note.")).to_be_visible()
    phone.get_by_role("region", name=re.compile("^Next")).get_by_role("button", name="Done").click()
    expect(phone.get_by_text(f"Done: {visit.patient.name}.")).to_be_visible()
    phone.get_by_role("button", name="Get an address").click()
    address = phone.locator("[data-feed-address]").inner_text()
    assert watch.flaws(phone) == []
    assert visit.reference in phone.request.get(address).text()

    desk = open_browser(receptionist)
    desk.goto(f"/desk/{clinic.slug}/bookings/{visit.reference}/")
    expect(desk.get_by_text("Wants a follow-up in 2 weeks")).to_be_visible()
    desk.get_by_role("link", name="A 001").click()
    expect(desk.get_by_role("heading", name="A 001")).to_be_visible()
    assert watch.flaws(desk) == []
