"""How many clicks and keys the common acts take, by a real mouse and keyboard: docs/desk.md must say the same."""

import re
import secrets
import string
from pathlib import Path

import pytest
from playwright.sync_api import expect

from scheduling.models import Booking, Clinic, WalkIn
from tests import factories
from tests.e2e.steps import book
from tests.scheduling.midday import minutes, now, zone_at_noon

DOCUMENT = (Path(__file__).parents[2] / "docs/desk.md").read_text()
ROW = re.compile(r"^\| (?P<act>[^|]+) \| (?P<mouse>[^|]+) \| (?P<keys>[^|]+) \|", re.MULTILINE)
SAID = {m["act"].strip(): (m["mouse"].strip(), m["keys"].strip()) for m in ROW.finditer(DOCUMENT)}


class Hand:
    """Counts clicks and keys; a word that is typed is a word, however long."""

    def __init__(self, page):
        self.page, self.clicks, self.keys, self.words, self.drags = page, 0, 0, 0, 0

    def click(self, locator):
        locator.click()
        self.clicks += 1

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def type(self, text):
        self.page.keyboard.type(text)
        self.words += 1

    def __str__(self):
        counted = [
            (self.drags, "drag", "drags"),
            (self.clicks, "click", "clicks"),
            (self.keys, "key", "keys"),
            (self.words, "word", "words"),
        ]
        return ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counted if n)


@pytest.fixture
def clinic(db):
    """At noon, whatever time it is here: the acts of the day are those of today."""
    return factories.ClinicFactory(
        slug="tanjong-pagar",
        name="Tanjong Pagar",
        time_zone=zone_at_noon(),
        payment_policy=Clinic.PaymentPolicy.PAY_AT_CLINIC,
    )


@pytest.fixture
def patient(clinic):
    return factories.known(factories.PatientFactory(name=f"Nurul {unheard_of()}"), clinic)


@pytest.fixture
def slots(practitioner, station, service):
    return factories.make_slots(practitioner, station, now() + minutes(20), slots=9)


@pytest.fixture
def desk(open_browser, receptionist, slots):
    page = open_browser(receptionist, viewport={"width": 1440, "height": 900})
    page.goto("/desk/tanjong-pagar/")
    expect(page.get_by_text("Live – updates by itself")).to_be_visible()
    return page


def box(page, made):
    return page.locator(f".ec-event:has([data-booking='{made.reference}'])")


def check(act, *, mouse=None, keys=None):
    """What the table says of the act, for the way that was tried."""
    by_mouse, by_keys = SAID[act]
    assert mouse is None or str(mouse) == by_mouse
    assert keys is None or str(keys) == by_keys


def test_booking_takes_so_many_keys(desk, slots, patient):
    keys = Hand(desk)
    keys.press("f")
    expect(desk.get_by_role("dialog").get_by_role("radio").first).to_be_focused()
    check("Find the next free time of a service", keys=keys)
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("dialog")).to_be_hidden()

    keys = Hand(desk)
    keys.press("n")
    find(desk, keys, patient.name, known(desk, patient))
    keys.press("Enter")
    expect(desk.locator("[data-submit]")).to_be_focused()
    keys.press("Enter")
    expect(desk.get_by_role("dialog")).to_be_hidden()
    assert Booking.objects.filter(patient=patient, slots__in=slots).exists()
    check("Book a caller who is known, next free time", keys=keys)

    keys, somebody = Hand(desk), f"Xin {unheard_of()}"
    keys.press("n")
    find(desk, keys, somebody, desk.get_by_role("option", name="as a new patient"))
    keys.press("Enter")
    expect(desk.get_by_label("Mobile phone")).to_be_focused()
    keys.type(no_ones_number())
    while not desk.locator("[name=consent]").evaluate("node => node === document.activeElement"):
        keys.press("Tab")
    keys.press("Space", "Enter")
    expect(desk.get_by_role("dialog")).to_be_hidden()
    assert Booking.objects.filter(patient__name=somebody).exists()
    check("Book somebody new", keys=keys)


def test_the_day_takes_so_many_acts(desk, slots, service, patient):
    made = book(slots[0], service, patient)
    box(desk, made).focus()
    keys = Hand(desk)
    keys.press("a")
    expect(desk.locator("#details .chip").first).to_contain_text("Waiting")
    check("Check in", keys=keys)
    keys = Hand(desk)
    keys.press("c")
    expect(desk.locator("#details .chip").first).to_contain_text("Called")
    check("Call the next", keys=keys)
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("dialog")).to_be_hidden()

    walks_in = factories.known(factories.PatientFactory(name=f"Hakim {unheard_of()}"), slots[0].clinic)
    mouse = Hand(desk)
    mouse.click(desk.get_by_role("link", name="New booking"))
    find(desk, mouse, walks_in.name, known(desk, walks_in))
    mouse.click(known(desk, walks_in))
    mouse.click(desk.get_by_role("button", name="Walk-in"))
    expect(desk.get_by_role("dialog")).to_be_hidden()
    assert WalkIn.objects.filter(visit__patient=walks_in).exists()
    check("Put a walk-in into the queue", mouse=mouse)


def test_by_mouse_it_takes_so_many_clicks(desk, slots, service, patient):
    mouse = Hand(desk)
    mouse.click(desk.get_by_role("link", name="New booking"))
    expect(desk.get_by_role("dialog").get_by_role("radio").first).to_be_visible()
    check("Find the next free time of a service", mouse=mouse)
    find(desk, mouse, patient.name, known(desk, patient))
    mouse.click(known(desk, patient))
    mouse.click(desk.locator("[data-submit]"))
    expect(desk.get_by_role("dialog")).to_be_hidden()
    check("Book a caller who is known, next free time", mouse=mouse)

    mouse, somebody = Hand(desk), f"Xin {unheard_of()}"
    mouse.click(desk.get_by_role("link", name="New booking"))
    find(desk, mouse, somebody, desk.get_by_role("option", name="as a new patient"))
    mouse.click(desk.get_by_role("option", name="as a new patient"))
    expect(desk.get_by_label("Mobile phone")).to_be_focused()
    mouse.type(no_ones_number())
    mouse.click(desk.locator("[name=consent]"))
    mouse.click(desk.locator("[data-submit]"))
    expect(desk.get_by_role("dialog")).to_be_hidden()
    assert Booking.objects.filter(patient__name=somebody).exists()
    check("Book somebody new", mouse=mouse)

    mouse = Hand(desk)
    mouse.click(box(desk, Booking.objects.get(patient=patient)))
    mouse.click(desk.locator("#details").get_by_role("button", name="Arrived"))
    expect(desk.locator("#details .chip").first).to_contain_text("Waiting")
    check("Check in", mouse=mouse)
    mouse = Hand(desk)
    mouse.click(desk.locator("#details").get_by_role("button", name="Call"))
    expect(desk.locator("#details .chip").first).to_contain_text("Called")
    check("Call the next", mouse=mouse)


def find(page, hand, typed, option):
    expect(page.locator("[data-q]")).to_be_focused()
    hand.type(typed)
    expect(option).to_be_visible()


def known(page, patient):
    return page.locator(f"[role=option][data-patient-pk='{patient.pk}']")


def unheard_of():
    """The database is shared: nobody else has this name."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(12)).title()


def no_ones_number():
    return f"8{secrets.randbelow(10**7):07}"
