"""Sessions end on the server: by idleness, after twelve hours, everywhere at once. Polls keep none alive."""

import pytest
from django.test import Client

from clinic_booking.accounts import sessions
from tests import factories
from tests.accounts.conftest import is_in, log_in

pytestmark = pytest.mark.django_db
BY_SCRIPT = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}


def age(client, seconds, *what):
    session = client.session
    door = session[sessions.DOOR]
    session[sessions.DOOR] = door | {name: door[name] - seconds for name in what or ("seen",)}
    session.save()


@pytest.mark.parametrize(("who", "minutes"), [("receptionist", 15), ("patient", 30)])
def test_idle_session_ends(client, request, who, minutes):
    user = request.getfixturevalue(who)
    client.force_login(getattr(user, "user", user))
    age(client, minutes * 60 - 20)
    assert client.get("/account/").status_code == 200
    age(client, minutes * 60 + 1)
    answer = client.get("/account/", follow=True)
    assert answer.redirect_chain == [("/login/?next=/account/", 302)]
    assert "nothing happened for a while" in answer.text
    assert not is_in(client)


def test_session_ends_after_twelve_hours_of_work(client, receptionist):
    client.force_login(receptionist)
    age(client, 12 * 3600 + 1, "since")
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize(
    "headers", [BY_SCRIPT, {"HX-Request": "true"}, {"HX-Request": "true", "Sec-Fetch-Mode": "cors"}]
)
def test_polls_keep_nobody_logged_in(client, receptionist, headers):
    client.force_login(receptionist)
    age(client, 14 * 60)
    before = client.session[sessions.DOOR]["seen"]
    client.get("/session/", headers=headers)
    assert client.session[sessions.DOOR]["seen"] == before


def test_pages_and_the_button_keep_one_logged_in(client, receptionist):
    client.force_login(receptionist)
    age(client, 14 * 60)
    assert client.get("/session/", headers=BY_SCRIPT).json()["left"] <= 60
    assert client.post("/session/", headers=BY_SCRIPT).json()["left"] > 14 * 60
    age(client, 14 * 60)
    client.get("/account/", headers={"Sec-Fetch-Mode": "navigate"})
    assert client.get("/session/", headers=BY_SCRIPT).json()["left"] > 14 * 60


def test_session_over_is_said_to_scripts(client, receptionist):
    client.force_login(receptionist)
    age(client, 15 * 60 + 1)
    assert client.get("/session/", headers=BY_SCRIPT).json() == {"left": 0}


def test_guests_have_no_such_clock(client):
    session = client.session
    session["bookings"] = ["ABC"]
    session.save()
    assert client.get("/login/").status_code == 200
    assert client.session["bookings"] == ["ABC"]


def test_log_out_everywhere_ends_the_others(client, patient):
    other = Client()
    other.force_login(patient.user)
    client.force_login(patient.user)
    client.post("/account/log-out-everywhere/")
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


def test_pages_of_people_are_in_no_cache(client, patient):
    client.force_login(patient.user)
    for page in ("/", "/me/", "/help/", "/account/"):
        assert "no-store" in client.get(page).headers["Cache-Control"], page
    assert "no-store" not in Client().get("/help/").headers.get("Cache-Control", "")


def test_session_that_passed_no_door_is_none(client, patient):
    client.force_login(patient.user)
    session = client.session
    del session[sessions.DOOR]
    session.save()
    assert client.get("/account/").status_code == 302


def test_patient_who_joins_the_staff_logs_in_as_staff(client, patient, clinic):
    log_in(client, patient.user)
    factories.MembershipFactory(clinic=clinic, user=patient.user)
    age(client, 60)
    assert client.get("/account/").headers["location"] == "/login/?next=/account/"
    assert not is_in(client)


def test_dialog_knows_how_long_is_left(client, receptionist):
    client.force_login(receptionist)
    age(client, 10 * 60)
    text = client.get("/help/", headers={"Sec-Fetch-Mode": "cors"}).text
    assert 280 <= int(text.split('data-left="')[1].split('"')[0]) <= 300
