"""Open pages follow what others do, without being touched."""

import pytest
from django.db import transaction

from scheduling import booking, holds
from tests import clock, factories
from tests.e2e.conftest import DAY
from tests.e2e.steps import book, confirm_hold, hold, hold_of

SECOND = 1000

pytestmark = pytest.mark.usefixtures("pay_at_clinic")


@pytest.fixture
def times(page, slots):
    page.goto(f"/book/?service=consultation&date={DAY}")
    page.wait_for_selector("[data-state=live]")
    return page


@pytest.fixture
def desk(open_browser, receptionist, slots):
    page = open_browser(receptionist)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    page.wait_for_selector("[data-state=live]")
    page.wait_for_selector(".ec-main")
    return page


def state(slot, status):
    return f'[data-slot="{slot.pk}"][data-status="{status}"]'


def test_time_taken_by_another_greys_out_and_is_free_again(times, slots, service, patient):
    made = hold(slots[0], service)
    times.wait_for_selector(state(slots[0], "held") + "[disabled] >> text=On hold", timeout=SECOND)
    confirm_hold(made, patient)
    times.wait_for_selector(state(slots[0], "booked") + " >> text=Taken", timeout=SECOND)
    assert times.locator("[data-free-of]").inner_text() == "5 free"
    made = hold(slots[1], service)
    times.wait_for_selector(state(slots[1], "held"))
    holds.release_hold(hold_id=made.pk, owner=made.owner)
    times.wait_for_selector(state(slots[1], "available") + ":not([disabled])", timeout=SECOND)
    lapses = hold(slots[2], service)
    times.wait_for_selector(state(slots[2], "held"))
    clock.run_out(lapses)
    times.reload()  # the rows were changed without a push
    times.wait_for_selector(state(slots[2], "available"))


def test_long_service_greys_out_every_start_it_needs(page, slots, service, practitioner):
    long = factories.ServiceFactory(double=True, practitioners=[practitioner])
    page.goto(f"/book/?service={long.slug}&date={DAY}")
    page.wait_for_selector("[data-state=live]")
    made = hold(slots[2], service)
    for slot in slots[1:3]:
        page.wait_for_selector(state(slot, "held"), timeout=SECOND)
    holds.release_hold(hold_id=made.pk, owner=made.owner)
    for slot in slots[1:3]:
        page.wait_for_selector(state(slot, "available"), timeout=2 * SECOND)


def test_desk_sees_hold_visit_and_cancellation_within_a_second(desk, slots, service, patient, receptionist):
    made = hold(slots[0], service)
    desk.wait_for_selector(".st-held >> text=09:00–09:20", timeout=SECOND)
    visit = confirm_hold(made, patient)
    desk.wait_for_selector(f'[data-booking="{visit.reference}"] >> text=Nurul Aisyah', timeout=SECOND)
    assert desk.locator(".st-held").count() == 1  # the legend
    with transaction.atomic():
        booking.cancel_booking(booking_id=visit.pk, by=receptionist, reason="clinic")
    desk.wait_for_selector(f'[data-booking="{visit.reference}"]', state="detached", timeout=SECOND)


def test_desk_is_used_by_keyboard(open_browser, receptionist, slots, patient, service):
    first, second = book(slots[0], service, patient), book(slots[3], service)
    page = open_browser(receptionist)
    page.goto(f"/desk/tanjong-pagar/?date={DAY}")
    page.locator(f".ev-b{first.reference}").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f".ev-b{second.reference}:focus")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"dialog[open] >> text={second.patient.name}")
    page.keyboard.press("Escape")
    page.wait_for_selector(f".ev-b{second.reference}:focus")
    assert page.locator('.ec-event[tabindex="0"]').count() == 1


def test_more_time_keeps_what_was_typed_until_it_runs_out(times, watch):
    watch.allow("status of 410")
    times.click('[data-status="available"]')
    times.fill("[name=name]", "Siti Nurbaya")
    with times.expect_response("**/renewal/"):
        times.click("text=I need more time")
    times.wait_for_selector("[role=timer]:not(:empty)")
    assert times.input_value("[name=name]") == "Siti Nurbaya"
    assert hold_of(times).renewals == 1
    clock.run_out(hold_of(times))
    times.click("text=I need more time")
    times.wait_for_selector("[data-hold-ended] [data-slot]")


def test_back_from_the_checkout_shows_the_own_time(times):
    times.click('[data-status="available"]')
    times.wait_for_url("**/checkout/**")
    made = hold_of(times)
    times.go_back()
    times.wait_for_selector(".slot-mine")
    times.click(".slot-mine")
    times.wait_for_url(f"**/checkout/{made.pk}/")
