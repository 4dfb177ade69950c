"""Staff look at the sessions that have no time, and let all of them be planned."""

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
        service=service, quantity=2, patient=factories.PatientFactory(name="Siti Rahmah"), urgency=1
    )
    second = factories.BookingRequestFactory(
        service=service, quantity=2, patient=factories.PatientFactory(name="Lim Boon Keng")
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
    expect(page.locator("[data-session]")).to_have_count(3)
    expect(page.get_by_text("Times are made until")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Plan all").click()
    expect(page.get_by_text("Last planning: 2 sessions got a time, 1 have none.")).to_be_visible(
        timeout=30_000
    )
    page.get_by_role("link", name="Show the list again").click()
    expect(page.locator("[data-session]")).to_have_count(1)
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Find a time").click()
    expect(page.get_by_role("main")).to_contain_text("Times are made until")
