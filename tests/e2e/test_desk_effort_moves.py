"""The table of docs/desk.md, for what is moved, cancelled and blocked: counted as in `test_desk_effort`."""

import datetime as dt

import pytest
from playwright.sync_api import expect

from scheduling.models import Booking, Slot
from tests import factories
from tests.e2e.conftest import DAY
from tests.e2e.steps import book
from tests.e2e.test_desk_effort import Hand, check
from tests.e2e.test_desk_moves import box, pick_up, put_down, sweep, toast


@pytest.fixture
def booking(pay_at_clinic, slots, service, patient):
    return book(slots[0], service, patient)


@pytest.fixture
def desk(open_browser, receptionist, booking):
    page = open_browser(receptionist, viewport={"width": 1280, "height": 900})
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    expect(page.get_by_text("Live – updates by itself")).to_be_visible()
    expect(page.locator("#desk[data-shown]")).to_be_visible()
    return page


def test_changing_the_plan_takes_so_many_acts(desk, booking, slots, practitioner, station, patient):
    mouse = Hand(desk)
    pick_up(desk, patient.name)
    put_down(desk, "Dr Lim", "09:40")
    mouse.drags += 1
    expect(toast(desk)).to_contain_text("Moved")

    keys = Hand(desk)
    box(desk, patient.name).focus()
    keys.press("m")
    expect(desk.locator("#act [data-first]")).to_be_focused()
    keys.press("Enter")
    expect(box(desk, patient.name)).to_contain_text("09:00")
    check("Move a visit within the day", mouse=mouse, keys=keys)

    mouse = Hand(desk)
    sweep(desk, "Dr Lim", "10:20", "10:40")
    mouse.drags += 1
    mouse.click(desk.locator("#act").get_by_role("textbox", name="Reason"))
    mouse.type("Lunch")
    mouse.press("Enter")
    expect(desk.locator(".ec-event.st-blocked")).to_have_count(1)
    assert Slot.objects.filter(practitioner=practitioner, is_blocked=True, block_reason="Lunch").exists()
    check("Block an hour, with a reason", mouse=mouse)

    tomorrow = slots[0].starts_at + dt.timedelta(1)
    factories.make_slots(practitioner, station, tomorrow)
    mouse = Hand(desk)
    mouse.click(box(desk, patient.name))
    mouse.click(desk.get_by_role("link", name="Move", exact=True))
    desk.locator("#move-day").fill(f"{DAY + dt.timedelta(1)}")
    mouse.words += 1
    first = desk.locator(f"#act [data-first][value*='{DAY + dt.timedelta(1)}']")
    mouse.click(first)
    expect(box(desk, patient.name)).to_have_count(0)
    booking.refresh_from_db()
    assert booking.starts_at == tomorrow
    check("Move a visit to another day", mouse=mouse)

    desk.goto(f"/desk/tanjong-pagar/?date={DAY + dt.timedelta(1)}")
    mouse = Hand(desk)
    mouse.click(box(desk, patient.name))
    mouse.click(desk.get_by_role("link", name="Cancel the visit"))
    mouse.click(desk.get_by_role("button", name="Cancel the visit"))
    expect(toast(desk)).to_contain_text("cancelled")
    booking.refresh_from_db()
    assert booking.status == Booking.Status.CANCELLED
    check("Cancel a visit", mouse=mouse)
