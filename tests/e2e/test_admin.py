import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories

PAGES = [
    "admin:index",
    "admin:clinic_booking_user_changelist",
    "admin:clinic_booking_user_add",
    "admin:clinic_booking_event_changelist",
    "admin:procrastinate_procrastinatejob_changelist",
]


@pytest.mark.parametrize("name", PAGES)
def test_admin_breaks_no_policy(db, open_browser, name):
    page = open_browser(factories.UserFactory(is_staff=True, is_superuser=True))
    page.goto(reverse(name))
    expect(page.get_by_text("Harbour Clinics").first).to_be_visible()
    page.wait_for_load_state("networkidle")
