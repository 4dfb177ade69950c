"""Name and password; for staff the second factor; lock-outs. Nobody is in before all is shown."""

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from clinic_booking.accounts import entry, factors, lockout
from clinic_booking.accounts.models import DoorLock
from clinic_booking.models import AuditEvent, User
from scheduling.models import Practitioner
from tests import factories
from tests.accounts.conftest import App, is_in, log_in, pass_time

pytestmark = pytest.mark.django_db


def reasons(action="login"):
    return list(AuditEvent.objects.filter(action=action).values_list("reason", flat=True))


def test_patient_with_a_password_is_in(client, patient):
    assert log_in(client, patient.user, next="/me/").headers["location"] == "/me/"
    assert is_in(client)
    assert reasons() == ["password"]


def test_session_of_a_guest_survives(client, patient):
    session = client.session
    session["bookings"] = ["ABC"]
    session.save()
    log_in(client, patient.user)
    assert client.session["bookings"] == ["ABC"]
    assert client.session.session_key != session.session_key


def test_staff_show_a_second_factor(client, receptionist, app):
    assert log_in(client, receptionist, next="/desk/").headers["location"] == "/login/second/"
    assert not is_in(client)
    assert client.get("/desk/").headers["location"].startswith("/login/")
    assert client.post("/login/second/", {"code": app.wrong}).status_code == 422
    done = client.post("/login/second/", {"code": app.code})
    assert done.headers["location"] == "/desk/"
    assert reasons() == ["password totp"]
    assert reasons("login_failed") == ["second_factor"]


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (lambda clinic: factories.MembershipFactory(clinic=clinic).user, "/desk/tanjong-pagar/"),
        (
            lambda clinic: factories.MembershipFactory(clinic=clinic, role="finance").user,
            "/desk/tanjong-pagar/money/",
        ),
        (lambda clinic: factories.UserFactory(office=User.Office.PRIVACY_OFFICER), "/privacy-office/"),
        (lambda clinic: factories.UserFactory(office=User.Office.SYSTEM_ADMIN, is_staff=True), "/admin/"),
    ],
)
def test_staff_begin_where_their_work_is(client, clinic, made, place):
    user = made(clinic)
    app = App(user)
    log_in(client, user)
    done = client.post("/login/second/", {"code": app.code}, follow=True)
    assert done.redirect_chain[-1][0] == place
    assert done.status_code == 200


def test_code_works_once(receptionist, app):
    code = app.code
    for expected in (302, 422):
        client = Client()
        log_in(client, receptionist)
        assert client.post("/login/second/", {"code": code}).status_code == expected


def test_recovery_code_works_once(receptionist, app):
    code = factors.new_recovery_codes(receptionist)[3]
    for expected in (302, 422):
        client = Client()
        log_in(client, receptionist)
        assert client.post("/login/second/", {"code": code}).status_code == expected


@pytest.mark.parametrize("kind", ["member", "office", "admin", "practitioner"])
def test_whoever_is_staff_sets_one_up_first(client, clinic, kind):
    user = factories.UserFactory(is_superuser=kind == "admin")
    if kind == "member":
        factories.MembershipFactory(clinic=clinic, user=user)
    elif kind == "office":
        User.objects.filter(pk=user.pk).update(office=User.Office.PRIVACY_OFFICER)
    elif kind == "practitioner":
        Practitioner.objects.filter(pk=factories.PractitionerFactory().pk).update(user=user)
    log_in(client, user)
    assert client.get("/login/second/").headers["location"] == "/login/setup/"
    assert not is_in(client)


def test_setup_gives_recovery_codes_and_lets_in(client, receptionist):
    log_in(client, receptionist, next="/desk/")
    page = client.get("/login/setup/")
    assert "data:image/svg+xml;base64," in page.text
    app = App(receptionist, client.session["new_totp"])
    assert client.post("/login/setup/", {"code": app.wrong}).status_code == 422
    done = client.post("/login/setup/", {"code": app.code})
    assert len(done.context["codes"]) == 10
    assert is_in(client)
    kept = Authenticator.objects.get(user=receptionist, type="totp").data["secret"]
    assert app.secret not in kept


def test_password_alone_adds_no_second_factor(client, receptionist, app):
    log_in(client, receptionist)
    assert client.get("/login/setup/").headers["location"] == "/login/second/"
    assert client.post("/passkey/new/options/").status_code == 403


def test_second_step_is_awaited_for_ten_minutes_in_a_new_session(client, receptionist, app):
    session = client.session
    session["bookings"] = ["ABC"]
    session.save()
    log_in(client, receptionist)
    assert client.session.session_key != session.session_key
    waiting = client.session
    waiting[entry.WAITING] |= {"at": waiting[entry.WAITING]["at"] - entry.WAIT_SECONDS - 1}
    waiting.save()
    assert client.post("/login/second/", {"code": app.code}).headers["location"] == "/login/"
    assert not is_in(client)


def test_second_step_needs_the_first(client, app):
    assert client.post("/login/second/", {"code": app.code}).headers["location"] == "/login/"
    assert client.post("/login/setup/", {"code": app.code}).headers["location"] == "/login/second/"


def test_demo_code_passes_where_it_is_set(client, receptionist, settings):
    settings.DEMO_SECOND_FACTOR_CODE = "246810"
    log_in(client, receptionist)
    assert "246810" in client.get("/login/second/").text
    assert client.post("/login/second/", {"code": "246 810"}).status_code == 302
    assert is_in(client)


def test_admin_has_no_weaker_door(client, patient):
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/login/?next=%2Fadmin%2F"
    client.force_login(patient.user)
    assert client.get("/admin/", follow=True).status_code == 403


def test_wrong_names_and_passwords_look_alike(client, patient):
    wrong = log_in(client, patient.user, "wrong")
    nobody = client.post("/login/", {"username": "nobody@example.com", "password": "wrong"})
    assert wrong.context["form"].non_field_errors() == nobody.context["form"].non_field_errors()
    assert reasons("login_failed") == ["password", "password"]


@pytest.mark.parametrize("exists", [True, False])
def test_account_is_locked_for_longer_each_time(client, patient, exists):
    name = patient.user.username if exists else "nobody@example.com"
    given = {"username": name, "password": "wrong"}
    for _try in range(lockout.ACCOUNT.free - 1):
        lockout.take(lockout.ACCOUNT, name)
    for seconds in (30, 60):
        while (page := client.post("/login/", given)).status_code == 200:
            pass
        assert page.status_code == 429
        assert "Too many tries" in page.text
        assert client.post("/login/", given | {"password": factories.PASSWORD}).status_code == 429
        pass_time(seconds // 2)
        assert client.post("/login/", given).status_code == 429
        pass_time(seconds // 2 + 1)
    assert DoorLock.objects.get(key__startswith="account:").tries == 6
    assert log_in(client, patient.user).status_code == 302
    assert "locked" in reasons("login_failed")


def test_lock_outs_name_nobody(client, patient):
    log_in(client, patient.user, "wrong")
    assert {lock.key.split(":")[0] for lock in DoorLock.objects.all()} == {"account", "place"}
    assert not DoorLock.objects.filter(key__contains="aisyah").exists()


def test_second_factor_is_locked_too(receptionist, app):
    client = Client()
    log_in(client, receptionist)
    answers = [client.post("/login/second/", {"code": app.wrong}).status_code for _try in range(6)]
    assert answers == [422] * 5 + [429]
    assert client.post("/login/second/", {"code": app.code}).status_code == 429


def test_place_is_locked_across_accounts(client, patient):
    for _try in range(lockout.PLACE.free - 1):
        lockout.take(lockout.PLACE, "127.0.0.1")
    answers = [
        client.post("/login/", {"username": f"n{n}", "password": "wrong"}).status_code for n in range(2)
    ]
    assert answers == [200, 429]
    assert log_in(client, patient.user).status_code == 429
    assert client.post("/login/", {"username": "n"}, REMOTE_ADDR="192.0.2.7").status_code == 200
