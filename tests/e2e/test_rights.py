"""A patient looks, takes a copy and asks; the privacy officer answers. No barrier on any of these pages."""

import json

from django.urls import reverse
from playwright.sync_api import expect

from clinic_booking.models import User
from patients.models import PrivacyRequest
from tests import factories
from tests.e2e.steps import book


def test_patient_takes_a_copy_and_the_officer_answers(
    open_browser, system, watch, pay_at_clinic, slots, service, patient
):
    booking = book(slots[0], service, patient)
    page = open_browser(patient.user)
    flaws = {}
    for name in ("my_privacy", "my_data", "my_copies", "my_details", "my_accesses", "ask_privacy"):
        page.goto(reverse(name))
        flaws[name] = watch.flaws(page)
    page.goto(reverse("my_consent", args=["research"]))
    flaws["consent"] = watch.flaws(page)
    page.click("text=I agree")
    expect(page.locator("li", has_text="Use my record for research").locator(".chip")).to_have_text("Yes")

    page.goto(reverse("my_copies"))
    page.click("text=For computers (JSON)")
    system.until_quiet()  # the worker has made it
    page.goto(reverse("my_copies"))
    page.click("a:has-text('Fetch')")
    flaws["copy"] = watch.flaws(page)
    with page.expect_download() as download:
        page.click("text=Fetch it now")
    given = json.loads(download.value.path().read_text())
    assert given["parts"]["visits"]["rows"][0]["reference"] == booking.reference

    page.goto(reverse("ask_privacy") + "?kind=correction")
    page.fill("[name=text]", "My birthday is wrong.")
    page.click("button:has-text('Send')")
    asked = PrivacyRequest.objects.get(patient=patient)
    expect(page.locator(".notice-success")).to_contain_text(asked.reference)

    office = open_browser(factories.UserFactory(office=User.Office.PRIVACY_OFFICER))
    office.goto(reverse("privacy_office"))
    flaws["office"] = watch.flaws(office)
    office.click(f"text={asked.reference}")
    flaws["request"] = watch.flaws(office)
    office.click("summary:has-text('Decide')")
    office.select_option("[name=status]", "granted")
    office.click("button:has-text('Decide')")
    expect(office.locator("h1 + .chip")).to_have_text("Done as asked")
    office.goto(reverse("privacy_complaint"))
    flaws["complaint"] = watch.flaws(office)
    assert {name: found for name, found in flaws.items() if found} == {}
