"""A reminder comes by mail; one tap says that the patient comes, another that they want no more of them."""

import datetime as dt
import re

from playwright.sync_api import expect

from patients.messages import allowed_channels
from scheduling.models import Booking, ReminderRule
from scheduling.reminders import send_due
from tests.e2e.conftest import DAY
from tests.e2e.steps import book


def test_reminder_is_answered_with_one_tap(
    system, open_browser, receptionist, pay_at_clinic, slots, service, patient, watch
):
    made = book(slots[0], service, patient)
    ReminderRule.objects.create(clinic=pay_at_clinic, minutes_before=120)
    assert send_due(made.starts_at - dt.timedelta(hours=2)) == 1
    system.until_quiet()
    [letter] = [each for each in system.letters() if "answer/?key=" in each.as_string(maxheaderlen=0)]
    text = letter.get_body(("plain",)).get_content()

    phone = open_browser(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    phone.goto(re.search(r"http\S+/answer/\?key=\S+", text)[0])
    expect(phone.get_by_role("heading", name="Are you coming?")).to_be_visible()
    assert not Booking.objects.get(pk=made.pk).is_confirmed
    phone.get_by_role("button", name="Yes, I am coming").click()
    expect(phone.get_by_role("heading", name="You are coming. Thank you!")).to_be_visible()

    desk = open_browser(receptionist)
    desk.goto(f"/desk/tanjong-pagar/?date={DAY}")
    expect(desk.locator(f"[data-booking='{made.reference}'] svg")).to_be_visible()
    desk.goto(f"/desk/tanjong-pagar/?date={DAY}&list=1")
    expect(desk.get_by_text("Confirmed", exact=True)).to_be_visible()

    reader = open_browser()
    reader.goto(re.search(r"http\S+/messages/stop/\S+", text)[0])
    assert watch.flaws(reader) == []
    reader.get_by_role("button", name="No more by e-mail").click()
    expect(reader.get_by_role("heading", name="You get no reminders")).to_be_visible()
    assert allowed_channels(patient, "reminders") == set()

    own = open_browser(patient.user)
    own.goto("/me/")
    own.get_by_role("link", name="Reminders and language").click()
    assert watch.flaws(own) == []
    own.get_by_label("Reminders by e-mail").check()
    own.get_by_label("Language of the messages").select_option("ms")
    own.get_by_role("button", name="Save").click()
    expect(own.get_by_text("Saved.")).to_be_visible()
    patient.refresh_from_db()
    assert (patient.language, allowed_channels(patient, "reminders")) == ("ms", {"email"})
    own.goto(f"/bookings/{made.reference}/answer/")
    assert watch.flaws(own) == []
