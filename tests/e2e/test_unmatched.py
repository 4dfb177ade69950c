"""Staff look at the sessions that have no time, and let all of them be planned."""

import re

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from scheduling import matching
from scheduling.matching import job
from scheduling.models import SessionTicket, Slot
from tests import factories
from tests.e2e.conftest import DAY


@pytest.fixture
def courses(slots, service):
    """One that can be planned, one whose session 2 has no time, with its reason."""
    first = factories.BookingRequestFactory(
        service=service, quantity=2, patient=factories.PatientFactory(name="Salmah binte Idris"), urgency=1
    )
    second = factories.BookingRequestFactory(
        service=service, quantity=2, patient=factories.PatientFactory(name="Quek Boon Teck")
    )
    for request in (first, second):
        for number in (1, 2):
            factories.SessionTicketFactory(request=request, number=number)
    weekdays = [DAY.isoweekday()]
    factories.BookingPatternFactory(request=second, is_hard=True, weekdays=weekdays, min_gap_days=7)
    matching.autofill(request_id=second.pk, by=None)
    cache.delete(job.KEY)
    yield first, second
    Slot.objects.filter(pk__in=[slot.pk for slot in slots], booking=None, hold=None).update(is_blocked=True)
    mine = SessionTicket.objects.filter(request__in=(first, second), status="planned")
    mine.update(status="cancelled", unplaced_reason="")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_all_sessions_are_planned_with_one_click(open_browser, watch, courses, receptionist, width, scheme):
    page = open_browser(receptionist, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto("/desk/tanjong-pagar/unmatched/")
    page.wait_for_selector("html[data-ready]")
    rows = page.locator("[data-session]")  # other journeys may have left some
    planned, unplanned = rows.filter(has_text="Salmah binte Idris"), rows.filter(has_text="Quek Boon Teck")
    expect(planned).to_have_count(2)
    expect(unplanned).to_have_count(1)
    expect(page.get_by_text("Times are made until")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Plan all").click()
    done = re.compile(r"Last planning: \d+ sessions got a time, \d+ have none\.")
    expect(page.get_by_text(done)).to_be_visible()
    page.get_by_role("link", name="Show the list again").click()
    expect(planned).to_have_count(0)
    expect(unplanned).to_have_count(1)
    assert watch.flaws(page) == []
    unplanned.get_by_role("button", name="Find a time").click()
    expect(page.get_by_role("main")).to_contain_text("Times are made until")
