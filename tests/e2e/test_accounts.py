"""Doors in a real browser: a code by mail, passkeys, the second factor, the switch at the desk, the end of a session."""

import re
from importlib import import_module

from django.conf import settings
from django.core import mail
from playwright.sync_api import expect

from clinic_booking.accounts import sessions
from scheduling.models import Membership
from tests import factories
from tests.factories import PASSWORD

KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def with_passkeys(page):
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})


def localhost(system):
    """Passkeys are for names: the browser refuses an address of numbers."""
    return system.url.replace("127.0.0.1", "localhost")


def session_of(page):
    cookies = {each["name"]: each["value"] for each in page.context.cookies()}
    store = import_module(settings.SESSION_ENGINE).SessionStore
    return store(cookies[settings.SESSION_COOKIE_NAME])


def test_code_and_passkey_of_a_patient(open_browser, system, watch):
    page, site = open_browser(), localhost(system)
    with_passkeys(page)
    page.goto(f"{site}/login/?next=/account/")
    page.get_by_label("E-mail").fill("passkey@example.com")
    page.get_by_role("button", name="Send me a code").click()
    expect(page.get_by_role("heading", name="Type the code")).to_be_visible()
    assert watch.flaws(page) == []
    letter = next(each for each in mail.outbox if each.to == ["passkey@example.com"])
    page.get_by_label("Code").fill(re.search(r"\d{3} \d{3}", letter.body)[0])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="My login")).to_be_visible()
    page.get_by_text("Add a passkey").click()
    page.get_by_label("Name of this device").fill("My phone")
    page.get_by_role("button", name="Add this device").click()
    expect(page.get_by_text("The passkey is added")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Log out", exact=True).first.click()
    page.goto(f"{site}/login/?next=/account/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("button", name="Remove My phone")).to_be_visible()


def test_staff_set_up_switch_and_stay(open_browser, system, watch, clinic):
    user = factories.MembershipFactory(clinic=clinic, role=Membership.Role.RECEPTIONIST).user
    page, site = open_browser(), localhost(system)
    with_passkeys(page)
    page.goto(f"{site}/login/?next=/account/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", name="Protect your login")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Make a passkey instead").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert watch.flaws(page) == []
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="My login")).to_be_visible()

    page.get_by_role("button", name="Switch user").click()
    page.get_by_role("link", name=user.username).click()
    assert watch.flaws(page) == []
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{site}/account/")

    page.clock.install()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    session = session_of(page)
    session[sessions.DOOR] = session[sessions.DOOR] | {"seen": session[sessions.DOOR]["seen"] - 14 * 60}
    session.save()
    page.clock.fast_forward(14 * 60 * 1000)
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("button", name="Stay logged in")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("heading", name="My login")).to_be_visible()
