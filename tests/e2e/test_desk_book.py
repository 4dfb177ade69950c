"""The receptionist books: with a few keys, by a click on an empty time, somebody new, paid by link, on top of a time."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from billing.models import Bill
from patients.models import Patient
from scheduling.models import Booking, Overbooking, Slot
from tests import factories
from tests.e2e.conftest import DAY
from tests.e2e.steps import book, fill_card
from tests.e2e.system import until


@pytest.fixture
def people(clinic):
    """A family that no other journey has: the database is shared, and never emptied."""
    family = f"Zö{uuid.uuid4().hex[:10]}"
    phone = f"+658{uuid.uuid4().int % 10**7:07d}"
    known = [
        factories.PatientFactory(name=f"Wilhelmina {family}", email="wilhelmina@example.com"),
        factories.PatientFactory(name=f"Wilhelm {family}", email="", phone=phone),
    ]
    return [factories.known(each, clinic) for each in known]


@pytest.fixture
def desk(open_browser, receptionist, slots, people):
    page = open_browser(receptionist)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    expect(page.get_by_text("Live – updates by itself")).to_be_visible()
    expect(page.locator(".ec-col-head").get_by_text("Dr Lim Wei Jie")).to_be_visible()
    return page


def plain(patient):
    """The family's name as it is typed in haste."""
    return patient.name.split()[-1].replace("ö", "o")[:9].upper()


def dialog(page):
    return page.get_by_role("dialog", name="New booking")


def options(page):
    return page.locator("[role=option][data-patient-pk]")


def visit(page, name):
    return page.get_by_role("button", name=re.compile(name))


def click_below(page, name):
    """The empty time under the visit."""
    box = visit(page, name).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] + 14)


def test_known_caller_is_booked_with_keys_only(desk, slots, people, watch):
    desk.keyboard.press("n")
    expect(dialog(desk).get_by_label("Patient", exact=True)).to_be_focused()
    expect(dialog(desk).get_by_text("This time is kept for you until")).to_be_visible()
    assert Slot.objects.get(pk=slots[0].pk).hold_id
    desk.keyboard.type(f"{plain(people[0])} wilhelmi")
    expect(options(desk)).to_have_count(1)
    assert watch.flaws(desk) == []
    desk.keyboard.press("Enter")
    expect(dialog(desk).get_by_role("button", name="Book", exact=True)).to_be_focused()
    desk.keyboard.press("Enter")
    expect(dialog(desk)).to_be_hidden()
    expect(desk.get_by_text(re.compile(f"{people[0].name} is booked: reference"))).to_be_visible()
    expect(visit(desk, people[0].name)).to_contain_text("09:00")
    made = Booking.objects.get(patient=people[0])
    assert (made.starts_at, made.session.request.source) == (slots[0].starts_at, "desk")
    # The next free time, then nothing after all: the time is given back.
    desk.keyboard.press("f")
    expect(dialog(desk).get_by_role("radio", checked=True).first).to_be_focused()
    expect(dialog(desk).get_by_text("This time is kept for you until")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(dialog(desk)).to_be_hidden()
    until(lambda: not Slot.objects.filter(pk=slots[1].pk, hold__isnull=False).exists(), "given back")


def test_click_on_an_empty_time_somebody_new(desk, pay_at_clinic, slots, service, people, watch):
    watch.allow("status of 4(09|22)")
    book(slots[0], service, people[0])
    expect(visit(desk, people[0].name)).to_be_visible()
    click_below(desk, people[0].name)
    expect(dialog(desk).get_by_text("09:20")).to_be_visible()
    new_name = f"Wilhelm X{uuid.uuid4().hex[:8]} {plain(people[1])}"
    desk.keyboard.type(new_name)
    expect(desk.get_by_role("option", name="Register")).to_be_visible()
    desk.keyboard.press("Enter")
    new = dialog(desk)
    expect(new.get_by_label("Full name")).to_have_value(new_name)
    expect(new.get_by_label("Mobile phone")).to_be_focused()
    desk.keyboard.type(people[1].phone)
    new.get_by_label("The patient agrees").check()
    new.get_by_role("button", name="Book", exact=True).click()
    expect(new.get_by_text("Is it one of these?")).to_be_visible()
    assert watch.flaws(desk) == []
    assert not Patient.objects.filter(name=new_name).exists()
    new.get_by_label("It is another person").check()
    new.get_by_role("button", name="Book", exact=True).click()
    expect(dialog(desk)).to_be_hidden()
    expect(visit(desk, new_name)).to_contain_text("09:20")
    assert Patient.objects.get(name=new_name).consents.get().channel == "desk"


def test_phone_booking_is_paid_by_link(desk, page, system, people, watch):
    desk.get_by_role("link", name="New booking").click()
    expect(dialog(desk).get_by_label("Patient", exact=True)).to_be_focused()
    desk.keyboard.type(f"wilhelmina {plain(people[0])}")
    expect(options(desk)).to_have_count(1)
    slow, ways = [], re.compile("part=ways")
    desk.route(ways, lambda route: slow.append(route))
    with desk.expect_request(ways):
        desk.keyboard.press("Enter")
    by_link = dialog(desk).get_by_label("By link")
    by_link.check()
    with desk.expect_response(ways):
        slow.pop().continue_()
    expect(by_link, "who is quicker than the page keeps the choice").to_be_checked()
    dialog(desk).get_by_role("button", name="Book", exact=True).click()
    expect(desk.get_by_text("The link to pay is on its way to wilhelmina@example.com.")).to_be_visible()
    made = Booking.objects.filter(patient=people[0]).latest("pk")

    def links():
        mine = [
            m.get_body(("plain",)).get_content()
            for m in system.letters()
            if "Pay for your visit" in m["subject"]
        ]
        return [found[0] for text in mine if (found := re.search(r"http\S+/pay/\S+/", text))]

    until(links, "the letter has come")
    page.goto(links()[-1])
    assert watch.flaws(page) == []
    fill_card(page)
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    expect(page.get_by_text("This is paid. Thank you.")).to_be_visible()
    until(lambda: Bill.objects.get(booking=made).status == Bill.Status.PAID, "the bill is paid")


def test_overbooking_is_on_purpose(
    pay_at_clinic, open_browser, desk, clinic, practitioner, station, slots, service, people, watch
):
    hours = factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, overbook_limit=1
    )
    Slot.objects.filter(pk__in=[slot.pk for slot in slots]).update(template=hours)
    taken = book(slots[0], service, people[0])
    page = open_browser(factories.MembershipFactory(clinic=clinic, role="manager").user)
    page.goto(f"/desk/tanjong-pagar/overbook/?slot={slots[0].pk}")
    expect(page.get_by_text("0 of 1 such places")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_label("Reason").fill("In pain, cannot wait")
    page.get_by_label("Patient", exact=True).fill(people[1].phone)
    expect(options(page)).to_have_count(1)
    page.get_by_label("Patient", exact=True).press("Enter")
    page.get_by_role("button", name="Add this visit").click()
    expect(page.get_by_text("is added to a time that was taken")).to_be_visible()
    assert Overbooking.objects.get(booking__patient=people[1]).booking.starts_at == taken.starts_at
    expect(visit(desk, people[1].name)).to_be_visible()
