"""A patient logs in with Singpass for the first time, says how to be reached, books, and is known the next time."""

import re

import pytest
from playwright.sync_api import expect

from clinic_booking.local import singpass as local
from patients.models import SingpassIdentity
from tests.e2e import steps
from tests.singpass.counterpart import Counterpart, jwks

PHONE = {"width": 390, "height": 844}
PERSONA = {"sub": "e2e-somebody-new", "label": "Somebody new"}


@pytest.fixture
def singpass(system, settings, tmp_path):
    """The stand-in, and our side of it as in the demo."""
    if local.node() is None:
        pytest.skip("Node with oidc-provider is missing")
    with local.running(tmp_path / "counterpart.log", [PERSONA]) as url:
        settings.SINGPASS_CLIENT_ID = "T" * 32
        settings.SINGPASS_REDIRECT_URI = f"{system.url}/oidc/callback/"
        settings.SINGPASS_SIGNING_KEYS, settings.SINGPASS_ENCRYPTION_KEYS = jwks("sig-1"), jwks("enc-1")
        settings.SINGPASS_ISSUER = f"{url}/fapi"
        ours = {"redirect_uri": settings.SINGPASS_REDIRECT_URI, "personas": [PERSONA]}
        Counterpart(url).change("fapi", **ours)
        yield settings


def test_first_login_books_and_is_known_again(open_browser, singpass, slots, pay_at_clinic, watch):
    page = open_browser(viewport=PHONE)
    page.goto("/login/")
    log_in = page.get_by_role("link", name="Log in with Singpass")
    log_in.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Login not completed")).to_be_visible()

    log_in.click()
    page.get_by_role("button", name="Somebody new").click()
    expect(page.get_by_role("heading", name="Your details")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("link", name="Code for the counter").click()
    page.get_by_role("button", name="Show a code").click()
    expect(page.locator(".linking-code")).to_contain_text(re.compile(r"[A-Z2-9]{4}-[A-Z2-9]{4}"))
    assert watch.flaws(page) == []
    page.get_by_role("link", name="I have not been here before").click()
    steps.fill_details(page, name="Ong Bee Choo", email="ong.bee.choo@example.com")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("heading", name="My visits")).to_be_visible()

    steps.find_times(page)
    steps.choose(page)
    expect(page.get_by_label("Full name")).to_have_value("Ong Bee Choo")
    page.get_by_label("I agree").check()
    steps.confirm(page)
    reference = steps.booked(page).reference

    again = open_browser(viewport=PHONE)
    again.goto("/login/?next=/me/")
    again.get_by_role("link", name="Log in with Singpass").click()
    again.get_by_role("button", name="Somebody new").click()
    again.locator(f"a[href*='{reference}']").click()
    expect(again.get_by_text(reference, exact=True)).to_be_visible()
    identity = SingpassIdentity.objects.get(sub=PERSONA["sub"])
    assert identity.user.patient.bookings.get().reference == reference
