import os
from pathlib import Path

import pytest
from django.db import connections
from django.test import TransactionTestCase

from clinic_booking.topics import declare
from tests import chromium, clock, factories, savings, tables, template

declare("test", "test", {})  # for tests of the kernel, which are about no topic

savings.hash_passwords_quickly()
savings.look_for_static_files_once()

# Begun first, so that at the end no core waits for one long test.
LONG = (
    *("billing/test_payment_model.py", "killed/test_handlers.py", "test_crash.py", "test_stateful.py"),
    *("test_changes_hold.py", "access/test_table.py", "test_fuzz.py", "scheduling/test_races.py"),
    *("test_live.py", "e2e/test_desk_soak.py", "e2e/test_money_pages.py", "e2e/test_contracts.py"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """After those who shuffle."""
    items.sort(key=lambda item: not str(item.path).endswith(LONG))


def pytest_collection_finish():
    """No test's time is running yet."""
    savings.leave_what_stays_to_itself()
    if "TEST_TEMPLATE" in os.environ:
        template.wait(os.environ["DATABASE_URL"])


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    connections["default"].settings_dict["TEST"]["TEMPLATE"] = os.environ.get("TEST_TEMPLATE")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args, playwright):
    if system := chromium.of_the_system():
        return {**browser_type_launch_args, "executable_path": system, "args": chromium.FLAGS}
    if Path(playwright.chromium.executable_path).exists():
        return {**browser_type_launch_args, "args": chromium.FLAGS}
    if os.environ.get("CI") == "true":
        pytest.fail(chromium.MISSING, pytrace=False)
    pytest.skip(chromium.MISSING)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        tables.keep()
    TransactionTestCase._fixture_teardown = lambda case: tables.restore()


@pytest.fixture
def clinic(db):
    return factories.ClinicFactory(slug="tanjong-pagar", name="Tanjong Pagar")


@pytest.fixture
def patient(request, db):
    return _known(
        request, factories.PatientFactory(name="Nurul Aisyah", email="aisyah@example.com", with_login=True)
    )


@pytest.fixture
def other_patient(request, db):
    return _known(
        request, factories.PatientFactory(name="Arjun Pillai", email="arjun@example.com", with_login=True)
    )


def _known(request, patient):
    """At the clinic of the test, where it has one."""
    if "clinic" in request.fixturenames:
        factories.known(patient, request.getfixturevalue("clinic"))
    return patient


@pytest.fixture
def receptionist(clinic):
    return factories.MembershipFactory(clinic=clinic, user__username="receptionist@demo.example").user


@pytest.fixture
def practitioner(db):
    return factories.PractitionerFactory(name="Dr Lim Wei Jie")


@pytest.fixture
def station(clinic):
    return factories.StationFactory(clinic=clinic, name="Room 1")


@pytest.fixture
def service(practitioner):
    return factories.ServiceFactory(
        slug="consultation", name="General consultation", practitioners=[practitioner]
    )


@pytest.fixture
def slots(practitioner, station, service):
    """Six free slots of 20 minutes tomorrow from nine, all of one practitioner who offers `service`."""
    return factories.make_slots(practitioner, station, factories.tomorrow_at(9))


@pytest.fixture
def day_of_visit(monkeypatch):
    """For check-in, complete and no-show it is tomorrow at one, after all of `slots`."""
    clock.on_the_day(monkeypatch, factories.tomorrow_at(13))
