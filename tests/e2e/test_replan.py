"""A doctor is sick: the desk sees what that does, moves the visits with one click, and the patients answer."""

import datetime as dt
import re

import pytest
from playwright.sync_api import expect

from scheduling import changes, links
from scheduling.inventory import generate
from scheduling.models import Booking, ChangePlan, ChangeProposal, ScheduleException, Slot
from tests import factories
from tests.e2e.conftest import DAY
from tests.e2e.steps import book


@pytest.fixture
def hours(clinic, practitioner, station, service, pay_at_clinic):
    """Nine to noon for a week around the day; slots are made from it."""
    template = factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    generate(days=7, clinics=[clinic], first=DAY)
    return template


def slot(clinic, hour, day=DAY):
    return Slot.objects.get(clinic=clinic, starts_at=dt.datetime.combine(day, dt.time(hour), clinic.zone))


@pytest.fixture
def visits(clinic, hours, service, patient, other_patient):
    return [book(slot(clinic, 9), service, patient), book(slot(clinic, 10), service, other_patient)]


def link_to(system, made):
    texts = [letter.get_body(("plain",)).get_content() for letter in system.letters()]
    mine = [text for text in texts if made.reference in text and "/new-time/" in text]
    return re.search(r"http\S+key=\S+", mine[-1])[0]


def test_leave_with_replan(system, open_browser, page, receptionist, clinic, practitioner, visits, service):
    desk = open_browser(receptionist)
    desk.goto("/desk/tanjong-pagar/")
    desk.get_by_role("link", name="Hours", exact=True).click()
    desk.get_by_role("link", name="Enter leave").click()
    desk.get_by_label("Who").select_option(label=practitioner.name)
    desk.get_by_label("First day").fill(DAY.isoformat())
    desk.get_by_role("button", name="Show what changes").click()

    for made in visits:
        row = desk.locator(f"[data-proposal='{made.reference}']")
        expect(row).to_contain_text(made.patient.name)
        expect(row.get_by_role("checkbox")).to_be_checked()
    assert not ScheduleException.objects.filter(practitioner=practitioner).exists()
    desk.locator(f"[data-proposal='{visits[1].reference}']").get_by_role("link", name="Other time").click()
    desk.get_by_role("button", name="11:00").first.click()
    desk.get_by_role("button", name="Apply").click()
    expect(desk.get_by_text("2 visits have new times and their patients are told.")).to_be_visible()
    moved, other = (Booking.objects.get(pk=made.pk) for made in visits)
    assert clinic.local_date(moved.starts_at) != DAY
    assert other.starts_at.astimezone(clinic.zone).time() == dt.time(11)

    system.until_quiet()
    address = link_to(system, moved)
    page.goto(address)
    expect(page.get_by_role("heading", name="Is this new time good for you?")).to_be_visible()
    page.get_by_role("button", name="Yes, I will come").click()
    expect(page.get_by_role("heading", name="Thank you, this time is yours")).to_be_visible()
    page.goto(address)
    expect(page.get_by_role("heading", name="Thank you, this time is yours")).to_be_visible()
    assert ChangeProposal.objects.get(booking=moved).accepted_at
    desk.reload()
    expect(desk.locator(f"[data-proposal='{moved.reference}']")).to_contain_text("Accepted")


def test_patient_chooses_another_time(system, open_browser, page, receptionist, clinic, practitioner, visits):
    desk = open_browser(receptionist, java_script_enabled=False)
    desk.goto("/desk/tanjong-pagar/supply/new/leave/")
    desk.get_by_label("Who").select_option(label=practitioner.name)
    desk.get_by_label("First day").fill(DAY.isoformat())
    desk.get_by_role("button", name="Show what changes").click()
    desk.get_by_role("checkbox", name=f"Move {visits[1].patient.name}").uncheck()
    desk.get_by_role("checkbox", name="Ask patients").check()
    desk.get_by_role("button", name="Apply").click()
    expect(desk.get_by_text("1 still needs one.")).to_be_visible()

    system.until_quiet()
    page.goto(link_to(system, visits[1]))
    expect(page.get_by_role("heading", name="Please choose a new time")).to_be_visible()
    page.get_by_role("link", name="Choose another time").click()
    page.get_by_role("button", name=re.compile("^09:40")).click()
    expect(page.get_by_text("Your visit is moved.")).to_be_visible()
    desk.goto("/desk/tanjong-pagar/supply/")
    expect(desk.get_by_text("Visits that need a new time")).to_be_hidden()


def test_pages_are_for_everybody(open_browser, watch, receptionist, clinic, hours, visits):
    desk = open_browser(receptionist)
    start, end = clinic.day_bounds(DAY)
    payload = {"practitioner": hours.practitioner_id, "clinic": None, "station": None, "slot_minutes": 20}
    payload |= {"starts_at": start.isoformat(), "ends_at": end.isoformat(), "reason": "Course"}
    plan = changes.draft_plan(clinic=clinic, kind=ChangePlan.Kind.LEAVE, payload=payload, by=receptionist)
    other = visits[0].change_proposals.get()
    for path in (
        f"plans/{plan.pk}/",
        f"proposals/{other.pk}/",
        "",
        "new/hours/",
        "new/closure/",
        "new/extra/",
    ):
        see(desk, watch, path)
    changes.decide(plan_id=plan.pk, left_open=[other.pk], seen=plan.computed_at)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    for path in (f"plans/{plan.pk}/", "", f"visits/{visits[0].reference}/", f"hours/{hours.pk}/"):
        see(desk, watch, path)
    desk.goto(links.new_time_url(visits[1]))
    desk.wait_for_selector("html[data-ready]")
    assert watch.flaws(desk) == []


def see(desk, watch, path):
    desk.goto(f"/desk/tanjong-pagar/supply/{path}")
    desk.wait_for_selector("html[data-ready]")
    assert watch.flaws(desk) == []
