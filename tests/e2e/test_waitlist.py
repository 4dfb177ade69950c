"""A cancellation turns into an accepted waitlist offer; and the pages around it look right."""

import re

import pytest
from django.db import transaction
from playwright.sync_api import expect

from patients.rights.notices import SHIPPED
from scheduling import booking, waitlist_offers
from scheduling.models import Slot, WaitlistEntry, WaitlistOffer
from tests import factories
from tests.e2e.conftest import DAY
from tests.e2e.steps import SERVICE, book, booked, confirm, find_times
from tests.e2e.system import until


@pytest.fixture
def plan(clinic, practitioner, station):
    return factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)


@pytest.fixture
def full(slots, service, plan, pay_at_clinic):
    """A day on which nothing is free: the first time is booked, the others are blocked."""
    Slot.objects.filter(pk__in=[slot.pk for slot in slots[1:]]).update(is_blocked=True)
    return book(slots[0], service)


@pytest.fixture
def look(watch):
    def look(page, status=200):
        page.wait_for_selector("html[data-ready]")
        watch.allow(f"status of {status} ")
        assert watch.flaws(page) == []

    return look


def join(page, look=None):
    find_times(page)
    page.goto(f"/book/?service=consultation&clinic=tanjong-pagar&date={DAY}")
    page.get_by_role("link", name="Join the waitlist").click()
    page.get_by_label("Full name").fill("Siti Rahmah")
    page.get_by_label("E-mail").fill("siti@example.com")
    page.get_by_label("Mobile phone").fill("9123 4567")
    page.get_by_label("I agree").check()
    if look:
        look(page)
    page.get_by_role("button", name="Join the waitlist").click()
    expect(page.get_by_role("heading", name="You are on the waitlist")).to_be_visible()


def letter(system, to, words):
    """The last one to them with these words in its subject."""

    def found():
        return [each for each in system.letters() if each["To"] == to and words in each["Subject"]]

    until(found, f"“{words}” is sent")
    return found()[-1].get_body(("plain",)).get_content()


def test_cancellation_becomes_an_accepted_offer(page, open_browser, system, full, look):
    join(page, look)
    look(page)
    with transaction.atomic():
        booking.cancel_booking(booking_id=full.pk, by=None, reason="patient")
    text = letter(system, "siti@example.com", "A time has become free")
    assert SERVICE not in text
    patient = open_browser()  # the e-mail is read elsewhere
    patient.goto(re.search(r"http\S+/waitlist/offers/\S+", text)[0])
    expect(patient.get_by_role("heading", name="A time has become free for you")).to_be_visible()
    look(patient)
    patient.get_by_role("button", name="Yes, I take it").click()
    visit = booked(patient)
    assert (visit.starts_at, visit.patient.name) == (full.starts_at, "Siti Rahmah")
    system.until_quiet()
    page.reload()
    expect(page.get_by_role("heading", name="Your visit is booked")).to_be_visible()
    assert WaitlistEntry.objects.get(session=visit.session).status == "booked"


def test_offer_is_paid_for_in_the_checkout(open_browser, slots, service, patient, system, look):
    from tests.e2e.steps import pay

    entry = factories.wait(service, patient=patient)
    offer = waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk)
    page = open_browser(patient.user)
    page.goto("/me/")
    page.get_by_role("region", name="On the waitlist").get_by_role("link").click()
    page.get_by_role("link", name="Look at it and answer").click()
    page.get_by_role("button", name="Yes, I take it").click()
    expect(page.get_by_role("heading", name="Your details")).to_be_visible()
    page.get_by_label("I agree").check()
    pay(page)
    assert booked(page).session == entry.session
    offer.refresh_from_db()
    assert offer.outcome == "accepted"


def test_declined_and_left(open_browser, slots, service, patient, look):
    entry = factories.wait(service, patient=patient)
    offer = waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk)
    page = open_browser(patient.user)
    page.goto(f"/waitlist/offers/{offer.pk}/")
    page.get_by_role("button", name="No, let somebody else have it").click()
    expect(page.get_by_role("heading", name="You have already declined this offer.")).to_be_visible()
    look(page, status=409)
    page.get_by_role("link", name="Your place on the waitlist").click()
    page.get_by_role("button", name="Leave the waitlist").click()
    expect(page.get_by_role("heading", name="You are no longer on this waitlist")).to_be_visible()


def test_staff_steer_the_waitlist(open_browser, slots, service, patient, receptionist, look, plan, watch):
    Slot.objects.filter(pk__in=[slot.pk for slot in slots[3:]]).update(is_blocked=True)
    other = factories.wait(service, patient=factories.PatientFactory(name="Arjun Pillai"), weekdays=[1, 3])
    entry = factories.wait(service, patient=patient, urgency=1, clinics=[slots[0].clinic])
    page = open_browser(receptionist)
    page.goto("/desk/tanjong-pagar/waitlist/")
    rows = page.locator("[data-entry]")
    expect(rows.first).to_contain_text("Nurul Aisyah")
    page.get_by_role("button", name="Move Arjun Pillai up").click()
    expect(page.locator(f'[data-entry="{other.pk}"]')).to_contain_text("Moved by 1")
    look(page)
    rows.first.get_by_role("link", name="Nurul Aisyah", exact=True).click()
    look(page)
    page.locator(f'[data-slot="{slots[1].pk}"]').click()
    expect(page.get_by_text("The time is kept for the patient")).to_be_visible()
    look(page)
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("The offer is withdrawn.")).to_be_visible()
    assert WaitlistOffer.objects.get(entry=entry).outcome == "withdrawn"
    page.goto("/desk/tanjong-pagar/waitlist/new/")
    look(page)


def test_staff_ask_why(open_browser, slots, service, receptionist, look, plan):
    Slot.objects.filter(pk=slots[1].pk).update(is_blocked=True, block_reason="Maintenance")
    page = open_browser(receptionist)
    page.goto("/desk/tanjong-pagar/explain/")
    look(page)
    page.get_by_label("Reason").select_option("consultation")
    page.get_by_label("Date").fill(str(DAY))
    page.get_by_label("Time").fill("09:20")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("09:20 is blocked: Maintenance.")).to_be_visible()
    look(page)


def test_waiting_then_paying_at_the_clinic_without_consent(open_browser, slots, service, pay_at_clinic, look):
    """Added by the desk long ago: what is missing is asked in the checkout, and the visit is still theirs."""
    guest = factories.PatientFactory(name="Tan Ah Kow", email="tan@example.com")
    entry = factories.wait(service, patient=guest)
    waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk)
    from scheduling.links import entry_url

    page = open_browser()
    page.goto(entry_url(entry))
    page.get_by_role("link", name="Look at it and answer").click()
    page.get_by_role("button", name="Yes, I take it").click()
    expect(page.get_by_label("Full name")).to_have_value("Tan Ah Kow")
    page.get_by_label("I agree").check()
    confirm(page)
    assert booked(page).patient == guest
    assert guest.consents.get().notice_version == SHIPPED
