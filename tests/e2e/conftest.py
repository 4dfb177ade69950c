"""The running system, and browsers whose every complaint fails the test.

These tests run as their own process (`-m e2e`): Playwright keeps an event loop on the main thread. They share one
database, which is never emptied; what a test has made is put away at its end, so that names may be used again.
"""

import datetime as dt
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import F, Value
from django.db.models.functions import Cast, Concat
from django.test import Client
from playwright.sync_api import expect

from clinic_booking.models import User
from scheduling.models import Clinic, Service
from tests import factories
from tests.e2e.system import charges_and_bookings, whole_system
from tests.e2e.watch import Watch
from tests.invariants import broken

AHEAD = dt.timedelta(3)  # late enough to be cancelled free of charge, and in the first week shown
DAY = factories.tomorrow_at(9).date() + AHEAD - dt.timedelta(1)
PATIENCE_MS = 30_000  # a journey waits for what it needs, however busy the machine is
JOURNEY_SECONDS = 300


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(JOURNEY_SECONDS))


@pytest.fixture(scope="session")
def system(django_db_setup, django_db_blocker, playwright, tmp_path_factory):
    """Ends before `playwright`: without its event loop this thread has other database connections."""
    expect.set_options(timeout=PATIENCE_MS)
    with django_db_blocker.unblock(), whole_system(tmp_path_factory.mktemp("system") / "mail") as system:
        yield system


@pytest.fixture
def db(system):
    """In the place of pytest-django's: what a test makes is committed, for servers and browsers to see."""


@pytest.fixture(autouse=True)
def all_is_well(system, watch):
    """After every journey: no complaint, no failed job, no broken promise, no charge without a visit."""
    yield
    put_away()
    assert watch.unexpected() == []
    system.until_quiet()
    assert broken() == {}
    assert charges_and_bookings(system.double) == []


def put_away():
    number = Concat(Value("gone-"), Cast(F("pk"), User._meta.get_field("username")))
    Clinic.objects.filter(is_active=True).update(is_active=False, slug=number, name=number)
    Service.objects.exclude(slug__startswith="gone-").update(is_online=False, slug=number, name=number)
    User.objects.exclude(username__startswith="gone-").update(username=number)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def open_browser(browser, system, watch):
    """A page in a new browser, so to speak: its own cookies. `user` is logged in. Nothing moves."""
    contexts = []

    def open_browser(user=None, **options):
        context = browser.new_context(base_url=system.url, reduced_motion="reduce", locale="en-SG", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        watch.follow(context)
        if user:
            client = Client()
            client.force_login(user)
            cookie = {"name": settings.SESSION_COOKIE_NAME, "url": system.url}
            context.add_cookies([cookie | {"value": client.cookies[settings.SESSION_COOKIE_NAME].value}])
        return context.new_page()

    yield open_browser
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_browser):
    return open_browser()


@pytest.fixture
def slots(practitioner, station, service):
    """Six free slots of 20 minutes from nine on `DAY`."""
    return factories.make_slots(practitioner, station, factories.tomorrow_at(9) + AHEAD - dt.timedelta(1))


@pytest.fixture
def pay_at_clinic(clinic):
    clinic.payment_policy = Clinic.PaymentPolicy.PAY_AT_CLINIC
    clinic.save()
    return clinic
