"""What people do, in the words on their screens; and what somebody else does meanwhile, through the same verbs."""

import re
import uuid

from django.db import transaction
from playwright.sync_api import FrameLocator, Locator, Page, expect

from patients.models import Patient
from scheduling import booking, holds
from scheduling.models import Booking, Hold, Service, Slot
from tests import factories

GOOD, DECLINED = "4242 4242 4242 4242", "4000 0000 0000 0002"
ASKS_BANK, ASKS_BANK_THEN_DECLINED = "4000 0027 6000 3184", "4000 0082 6000 3178"
SERVICE = "General consultation"


def find_times(page: Page, clinic: str = "Tanjong Pagar") -> None:
    page.goto("/")
    page.get_by_role("radio", name=clinic).check()
    page.get_by_role("button", name=SERVICE).click()
    expect(page.get_by_role("heading", name="Choose a time")).to_be_visible()


def time(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=re.compile(rf"^{label}"))


def choose(page: Page, label: str = "09:00") -> None:
    time(page, label).click()
    expect(page.get_by_role("heading", name="Your details")).to_be_visible()


def fill_details(page: Page, name: str = "Siti Rahmah", email: str = "siti@example.com") -> None:
    page.get_by_label("Full name").fill(name)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Mobile phone").fill("9123 4567")
    page.get_by_label("I agree").check()


def to_checkout(page: Page, label: str = "09:00", **details: str) -> None:
    find_times(page)
    choose(page, label)
    fill_details(page, **details)


def card_fields(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title='Secure payment input frame']")


def fill_card(page: Page, number: str = GOOD) -> None:
    fields = card_fields(page)
    fields.get_by_label("Card number").fill(number)
    fields.get_by_label("Expiration date").fill("12 / 40")
    fields.get_by_label("Security code").fill("123")


def pay_button(page: Page) -> Locator:
    return page.get_by_role("button", name=re.compile("^Pay .* and book"))


def pay(page: Page, number: str = GOOD) -> None:
    fill_card(page, number)
    pay_button(page).click()


def answer_bank(page: Page, how: str) -> None:
    page.frame_locator("iframe[title='Confirm with your bank']").get_by_role("button", name=how).click()


def confirm(page: Page) -> None:
    """Where nothing is paid online."""
    page.get_by_role("button", name="Confirm booking").click()


def booked(page: Page) -> Booking:
    """What the confirmation page shows."""
    expect(page.get_by_role("heading", name="Your visit is booked")).to_be_visible()
    reference = page.locator("[data-booking]").get_attribute("data-booking")
    expect(page.get_by_text(reference, exact=True)).to_be_visible()
    return Booking.objects.get(reference=reference)


def hold_of(page: Page) -> Hold:
    """The hold of the checkout that the page shows."""
    return Hold.objects.get(pk=uuid.UUID(page.url.split("/checkout/")[1].split("/")[0]))


# -- Somebody else -------------------------------------------------------------------------------


def hold(slot: Slot, service: Service) -> Hold:
    return holds.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=uuid.uuid4().hex)


def book(slot: Slot, service: Service, patient: Patient | None = None, note: str = "") -> Booking:
    return confirm_hold(hold(slot, service), patient or factories.PatientFactory(), note)


def confirm_hold(hold: Hold, patient: Patient, note: str = "") -> Booking:
    with transaction.atomic():
        return booking.confirm_hold(hold_id=hold.pk, patient=patient, note=note)
