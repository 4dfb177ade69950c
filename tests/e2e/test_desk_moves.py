"""Visits are moved by mouse, finger and keyboard, by two receptionists at once, and with a server that goes away."""

import datetime as dt
import re

import pytest
from playwright.sync_api import expect

from clinic_booking.models import Event
from scheduling.models import Booking, ChangePlan, Slot
from tests import factories
from tests.e2e.conftest import AHEAD, DAY
from tests.e2e.steps import book

ROW = 42  # px of 20 minutes


@pytest.fixture
def booking(pay_at_clinic, slots, service, patient):
    return book(slots[0], service, patient)


@pytest.fixture
def other_slots(service, clinic):
    """Dr Chua's, from nine on as well."""
    doctor = factories.PractitionerFactory(name="Dr Chua Bee Hoon")
    service.practitioners.add(doctor)
    room = factories.StationFactory(clinic=clinic, name="Room 2")
    return factories.make_slots(doctor, room, factories.tomorrow_at(9) + AHEAD - dt.timedelta(1))


@pytest.fixture
def colleague(clinic):
    who = {"user__first_name": "Mei", "user__last_name": "Lin"}
    return factories.MembershipFactory(clinic=clinic, **who).user


@pytest.fixture
def open_desk(open_browser):
    def open_desk(user, **options):
        page = open_browser(user, **({"viewport": {"width": 1280, "height": 900}} | options))
        page.goto(f"/desk/tanjong-pagar/?date={DAY}")
        expect(page.get_by_text("Live – updates by itself")).to_be_visible()
        expect(page.locator("#desk[data-shown]")).to_be_visible()
        return page

    return open_desk


def box(page, name):
    return page.locator(".ec-event[role=button]").filter(has_text=name)


def toast(page):
    return page.locator("#toasts")


def spot(page, doctor, time):
    """Where in the doctor's column the time begins, a little below."""
    head = page.locator(".ec-col-head").filter(has_text=doctor).bounding_box()
    top = page.locator(".ec-body").bounding_box()["y"]
    hours, minutes = time.split(":")
    return head["x"] + head["width"] / 2, top + (int(hours) * 60 + int(minutes) - 540) / 20 * ROW + 8


def pick_up(page, name, time="09:00", doctor="Dr Lim"):
    expect(box(page, name)).to_be_visible()
    x, y = spot(page, doctor, time)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 4, y + 8)
    expect(page.locator(".drop-here").first).to_be_attached()


def put_down(page, doctor, time):
    page.mouse.move(*spot(page, doctor, time), steps=5)
    page.mouse.up()


def barriers_of(watch, page):
    """Of an open dialog; how the page behind it fits is asked in test_desk.py."""
    return [flaw for flaw in watch.flaws(page) if "too wide" not in flaw]


def is_at(slot, booking):
    booking.refresh_from_db()
    own = list(Slot.objects.filter(booking=booking).values_list("pk", flat=True))
    return (booking.practitioner_id, booking.starts_at, own) == (
        slot.practitioner_id,
        slot.starts_at,
        [slot.pk],
    )


def moves(booking):
    return Event.objects.filter(topic="appointment.moved", subject=f"booking:{booking.pk}").count()


def test_mouse_moves_and_undoes_live(
    open_desk, receptionist, colleague, booking, slots, other_slots, patient
):
    desk, other = open_desk(receptionist), open_desk(colleague)
    pick_up(desk, patient.name)
    expect(desk.locator(".drop-here")).to_have_count(12)
    put_down(desk, "Dr Chua", "10:00")
    expect(toast(desk)).to_contain_text(
        "10:00, Dr Chua Bee Hoon. The patient is told by e-mail in 3 minutes."
    )
    expect(desk.locator(".drop-here")).to_have_count(0)
    for page in (desk, other):
        expect(box(page, patient.name)).to_contain_text("10:00 · General consultation")
    assert is_at(other_slots[3], booking)
    expect(box(desk, patient.name)).to_be_focused()
    toast(desk).get_by_role("button", name="Undo").click()
    for page in (desk, other):
        expect(box(page, patient.name)).to_contain_text("09:00 · General consultation")
    assert is_at(slots[0], booking)
    expect(toast(desk)).to_contain_text("Undone")
    pick_up(desk, patient.name)
    put_down(desk, "Dr Lim", "10:20")
    expect(box(other, patient.name)).to_contain_text("10:20")
    expect(toast(desk).get_by_role("button", name="Undo")).to_be_visible()
    desk.keyboard.press("Control+z")
    expect(box(other, patient.name)).to_contain_text("09:00")
    assert is_at(slots[0], booking)


def test_drop_that_cannot_be_goes_back(
    open_desk, receptionist, booking, slots, other_slots, service, patient, watch
):
    watch.allow("status of 4(09|22)")
    Slot.objects.filter(pk=slots[2].pk).update(is_blocked=True, block_reason="Lunch")
    book(other_slots[1], service)
    desk = open_desk(receptionist)
    for doctor, time, words in (("Dr Chua", "09:20", "is taken"), ("Dr Lim", "09:40", "is blocked")):
        pick_up(desk, patient.name)
        put_down(desk, doctor, time)
        expect(toast(desk)).to_contain_text(words)
        expect(box(desk, patient.name)).to_contain_text("09:00")
        x, y = spot(desk, "Dr Lim", "09:00")
        own = box(desk, patient.name).bounding_box()
        assert own["x"] < x < own["x"] + own["width"]
        assert own["y"] < y < own["y"] + own["height"]
    assert is_at(slots[0], booking)
    assert moves(booking) == 0


def test_two_receptionists_move_the_same_visit(
    open_desk, receptionist, colleague, booking, slots, other_slots, patient, watch
):
    watch.allow("status of 409")
    desk, other = open_desk(receptionist), open_desk(colleague)
    pick_up(desk, patient.name)
    pick_up(other, patient.name)
    put_down(other, "Dr Chua", "10:20")
    expect(toast(other)).to_contain_text("Moved")
    put_down(desk, "Dr Lim", "10:00")
    expect(toast(desk)).to_contain_text("Mei Lin changed this visit just now. It is: ")
    expect(toast(desk)).to_contain_text("10:20, Dr Chua Bee Hoon")
    for page in (desk, other):
        expect(box(page, patient.name)).to_contain_text("10:20")
    assert is_at(other_slots[4], booking)
    assert moves(booking) == 1


def test_lost_answers_neither_lose_nor_double_a_move(open_desk, receptionist, booking, slots, patient, watch):
    """The server restarts in mid-drag: the first try never arrives, of the second only the answer is lost."""
    watch.allow("Failed to load resource", "request: net::ERR_FAILED POST")
    desk = open_desk(receptionist)
    tries = []

    def lose(route):
        tries.append(route.request.post_data)
        if len(tries) == 2:
            route.fetch()
        if len(tries) < 3:
            return route.abort()
        return route.continue_()

    desk.route(re.compile(rf"/moves/{booking.reference}/$"), lose)
    pick_up(desk, patient.name)
    put_down(desk, "Dr Lim", "10:00")
    expect(toast(desk).get_by_role("button", name="Undo")).to_be_visible()
    expect(box(desk, patient.name)).to_contain_text("10:00")
    assert len(set(tries)) == 1
    assert (is_at(slots[3], booking), moves(booking)) == (True, 1)


def test_permission_lost_in_mid_drag(open_desk, receptionist, booking, slots, patient, watch):
    watch.allow("status of 40[34]")
    desk = open_desk(receptionist)
    pick_up(desk, patient.name)
    receptionist.memberships.all().delete()
    put_down(desk, "Dr Lim", "10:00")
    expect(desk.get_by_text("You no longer have access to the desk")).to_be_visible()
    assert is_at(slots[0], booking)


def test_finger_moves_after_a_long_press(open_desk, receptionist, booking, slots, patient):
    desk = open_desk(receptionist, has_touch=True, viewport={"width": 820, "height": 1180})
    expect(box(desk, patient.name)).to_be_visible()
    finger = desk.context.new_cdp_session(desk)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    (x, y), there = spot(desk, "Dr Lim", "09:00"), spot(desk, "Dr Lim", "10:20")
    touch("touchStart", (x, y + 10))
    expect(desk.locator(".ec-preview, .ec-ghost, .ec-dragging").first).to_be_attached()
    touch("touchMove", (x, y + 30))
    expect(desk.locator(".drop-here").first).to_be_attached()
    touch("touchMove", (there[0], there[1] + 10))
    touch("touchEnd")
    expect(box(desk, patient.name)).to_contain_text("10:20")
    assert is_at(slots[4], booking)


def test_keyboard_moves_and_cancels(
    open_desk, receptionist, booking, slots, other_slots, patient, service, watch
):
    book(other_slots[1], service, patient)
    desk = open_desk(receptionist)
    first, sheet, question = box(desk, "09:00"), desk.locator("#act"), desk.locator("#ask")
    first.focus()
    desk.keyboard.press("m")
    expect(sheet).to_contain_text(f"Move {patient.name}")
    expect(sheet.locator("[data-first]")).to_be_focused()
    assert barriers_of(watch, desk) == []
    sheet.locator("[data-first]").focus()
    desk.keyboard.press("Enter")
    expect(question).to_contain_text("another appointment that day: 09:20 General consultation")
    assert barriers_of(watch, desk) == []
    question.get_by_role("button", name="Leave it").focus()
    desk.keyboard.press("Enter")
    expect(box(desk, "09:00")).to_be_focused()
    desk.keyboard.press("m")
    sheet.get_by_label("With").select_option("Dr Chua Bee Hoon")
    expect(sheet.locator("fieldset")).to_have_count(1)
    sheet.get_by_role("button", name="10:40").focus()
    desk.keyboard.press("Enter")
    question.get_by_role("button", name="Move this appointment").press("Enter")
    expect(box(desk, "10:40")).to_be_focused()
    assert is_at(other_slots[5], booking)
    desk.keyboard.press("Enter")
    details = desk.locator("#details")
    details.get_by_role("link", name="Cancel the visit").press("Enter")
    sheet.get_by_label("The clinic cannot keep it").check()
    assert barriers_of(watch, desk) == []
    sheet.get_by_role("button", name="Cancel the visit").press("Enter")
    expect(toast(desk)).to_contain_text("is cancelled")
    expect(box(desk, "10:40")).to_have_count(0)
    booking.refresh_from_db()
    assert (booking.status, booking.cancel_reason) == ("cancelled", "clinic")


def sweep(page, doctor, first, last):
    page.mouse.move(*spot(page, doctor, first))
    page.mouse.down()
    page.mouse.move(*spot(page, doctor, last), steps=5)
    page.mouse.up()


def test_time_is_blocked_opened_and_added(open_desk, receptionist, booking, slots, other_slots, watch):
    watch.allow("status of 4(09|22)")
    desk = open_desk(receptionist)
    sheet = desk.locator("#act")
    sweep(desk, "Dr Chua", "09:40", "10:20")
    expect(sheet.get_by_label("Who")).to_have_value(str(other_slots[0].practitioner_id))
    assert barriers_of(watch, desk) == []
    sheet.get_by_role("textbox", name="Reason").fill("Team meeting")
    desk.keyboard.press("Enter")
    expect(toast(desk)).to_contain_text("Blocked: 09:40–10:40")
    blocked = desk.locator(".ec-event.st-blocked")
    expect(blocked).to_contain_text("09:40–10:40")
    toast(desk).get_by_role("button", name="Undo").click()
    expect(blocked).to_have_count(0)
    sweep(desk, "Dr Chua", "10:20", "10:40")
    sheet.get_by_role("textbox", name="Reason").fill("Lunch")
    desk.keyboard.press("Enter")
    expect(blocked).to_have_count(1)
    blocked.click()
    expect(sheet).to_contain_text("Lunch")
    sheet.get_by_role("button", name="Open this time again").click()
    expect(blocked).to_have_count(0)
    assert not Slot.objects.filter(practitioner=other_slots[0].practitioner_id, is_blocked=True).exists()
    expect(sheet).to_be_hidden()
    desk.keyboard.press("x")
    sheet.get_by_label("Add extra times").check()
    sheet.get_by_label("From").fill(f"{DAY}T11:00")
    sheet.get_by_label("Until").fill(f"{DAY}T11:40")
    sheet.get_by_label("Who").select_option("Dr Chua Bee Hoon")
    sheet.get_by_label("Where").select_option("Room 2")
    sheet.get_by_role("button", name="Save").click()
    expect(toast(desk)).to_contain_text("Extra times added: 2.")
    extra = Slot.objects.filter(exception__isnull=False, practitioner=other_slots[0].practitioner_id)
    assert extra.count() == 2
    desk.keyboard.press("Control+z")
    expect(toast(desk)).to_contain_text("gone again")
    assert extra.count() == 0


def test_blocking_a_visit_becomes_a_plan(open_desk, receptionist, booking, slots):
    desk = open_desk(receptionist)
    sheet = desk.locator("#act")
    desk.keyboard.press("x")
    sheet.get_by_label("From").fill(f"{DAY}T09:00")
    sheet.get_by_label("Until").fill(f"{DAY}T09:40")
    sheet.get_by_label("Who").select_option("Dr Lim Wei Jie")
    sheet.get_by_role("textbox", name="Reason").fill("Sick")
    sheet.get_by_role("button", name="Save").click()
    expect(desk.get_by_role("heading", name="Visits and their new times")).to_be_visible()
    plan = ChangePlan.objects.get(clinic=booking.clinic)
    assert (plan.kind, plan.status, plan.proposals.get().booking_id) == ("leave", "draft", booking.pk)
    assert Booking.objects.get(pk=booking.pk).version == 1
