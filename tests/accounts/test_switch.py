"""Fast user switch: colleagues of this device come with the second factor alone, on the same page."""

import time

import pytest
from django.test import Client

from clinic_booking.accounts import factors, sessions
from clinic_booking.models import AuditEvent
from tests import factories
from tests.accounts.conftest import App, is_in, log_in, pass_time

pytestmark = pytest.mark.django_db


@pytest.fixture
def colleague(clinic):
    return factories.MembershipFactory(clinic=clinic, user__username="second@demo.example").user


@pytest.fixture
def apps(receptionist, colleague):
    """Both logged in fully on the device of `client`; `receptionist` is in."""
    return {user: App(user) for user in (colleague, receptionist)}


@pytest.fixture
def desk(client, apps):
    for user, app in apps.items():
        client.post("/login/switch/lock/")
        log_in(client, user)
        client.post("/login/second/", {"code": app.code})
    return client


def fresh(app, user):
    """The app shows the next code."""
    factors.set_totp(user, app.secret, counter=0)
    return app.code


def switch_to(client, user, code):
    return client.post(f"/login/switch/?user={user.pk}", {"user": user.pk, "code": code})


def test_colleague_comes_on_the_same_page(desk, apps, receptionist, colleague):
    page = f"/desk/{'tanjong-pagar'}/?date=2030-01-07"
    assert desk.post("/login/switch/lock/", {"next": page}).headers["location"] == "/login/switch/"
    assert not is_in(desk)
    shown = desk.get("/login/switch/").text
    assert receptionist.username in shown
    assert colleague.username in shown
    done = switch_to(desk, colleague, fresh(apps[colleague], colleague))
    assert done.headers["location"] == page
    assert desk.session["_auth_user_id"] == str(colleague.pk)
    assert AuditEvent.objects.filter(actor_id=colleague.pk, reason="switch totp").exists()
    assert AuditEvent.objects.filter(actor_id=receptionist.pk, reason="switch", action="logout").exists()


def test_switch_wants_the_right_code(desk, apps, colleague):
    desk.post("/login/switch/lock/")
    assert switch_to(desk, colleague, apps[colleague].wrong).status_code == 422
    assert not is_in(desk)


def test_switch_is_locked_after_wrong_codes(desk, apps, colleague):
    desk.post("/login/switch/lock/")
    right = fresh(apps[colleague], colleague)
    answers = [switch_to(desk, colleague, apps[colleague].wrong).status_code for _try in range(6)]
    assert answers == [422] * 5 + [429]
    assert switch_to(desk, colleague, right).status_code == 429
    assert not is_in(desk)


def test_switch_gives_no_step_of_a_login(desk, apps, colleague):
    """Chosen without a password: only the switch itself takes their second factor."""
    desk.post("/login/switch/lock/")
    desk.get(f"/login/switch/?user={colleague.pk}")
    assert desk.get("/login/second/").headers["location"] == "/login/"
    assert desk.get("/login/setup/").headers["location"] == "/login/second/"


def test_only_on_this_device(apps, desk, colleague):
    assert Client().get("/login/switch/").headers["location"] == "/login/"
    elsewhere = Client()
    elsewhere.cookies["device"] = "forged"
    assert elsewhere.get("/login/switch/").headers["location"] == "/login/"


def test_not_longer_than_twelve_hours(desk, apps, colleague):
    desk.post("/login/switch/lock/")
    pass_time(11 * 3600)
    assert switch_to(desk, colleague, fresh(apps[colleague], colleague)).status_code == 302
    # Whoever goes on working is logged out an hour later, not after twelve.
    door = desk.session[sessions.DOOR] | {"seen": time.time() + 3600}
    assert 0 < sessions.seconds_left(door) <= 3600
    desk.post("/login/switch/lock/")
    pass_time(3600 + 1)
    assert desk.get("/login/switch/").headers["location"] == "/login/"


def test_who_logs_out_is_not_offered(desk, apps, receptionist, colleague):
    desk.post("/logout/")
    shown = desk.get("/login/switch/").text
    assert receptionist.username not in shown
    assert colleague.username in shown


def test_log_out_everywhere_and_reset_end_it(desk, receptionist, colleague):
    sessions.end_all(receptionist)
    factors.reset(colleague)
    assert desk.get("/login/switch/").headers["location"] == "/login/"


def test_other_people_cannot_be_chosen(desk, clinic):
    stranger = factories.MembershipFactory(clinic=clinic).user
    app = App(stranger)
    desk.post("/login/switch/lock/")
    switch_to(desk, stranger, app.code)
    assert not is_in(desk)
    assert "switching" not in desk.session
