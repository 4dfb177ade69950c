"""What administrators do for colleagues, and what everybody does with their own ways to log in."""

import pytest
from allauth.mfa.models import Authenticator

from clinic_booking.accounts import factors, lockout, sign_up, step_up
from clinic_booking.accounts.models import Device, DeviceLogin, DoorLock, OneTimeCode
from clinic_booking.jobs import forget_doors
from clinic_booking.models import AuditEvent
from tests import factories
from tests.accounts.conftest import App, is_in, log_in, pass_time

pytestmark = pytest.mark.django_db
USERS = "/admin/clinic_booking/user/"


@pytest.fixture
def admin(client):
    user = factories.UserFactory(is_admin=True)
    client.force_login(user)
    return user


def act(client, name, *users):
    return client.post(USERS, {"action": name, "_selected_action": [user.pk for user in users]})


def test_lost_second_factor_is_reset(client, admin, receptionist, app):
    App(admin)
    act(client, "reset_second_factor", receptionist, admin)
    assert not factors.has_second(receptionist)
    assert factors.has_second(admin)
    record = AuditEvent.objects.get(action="revoke")
    assert (record.subject, record.actor_id) == (f"user:{receptionist.pk}", admin.pk)
    client.post("/logout/")
    log_in(client, receptionist)
    assert client.get("/login/second/").headers["location"] == "/login/setup/"


def test_reset_wants_a_fresh_proof(client, admin, receptionist, app):
    session = client.session
    step_up.forget(session)
    session.save()
    assert act(client, "reset_second_factor", receptionist).headers["location"].startswith("/step-up/")
    assert factors.has_second(receptionist)


def test_password_of_a_colleague_wants_a_fresh_proof(client, admin, receptionist):
    page, before = f"{USERS}{receptionist.pk}/password/", receptionist.password
    assert client.get(page).status_code == 200
    session = client.session
    step_up.forget(session)
    session.save()
    new = {"password1": "a-long-enough-sentence", "password2": "a-long-enough-sentence"}
    assert client.post(page, new).headers["location"].startswith("/step-up/")
    receptionist.refresh_from_db()
    assert receptionist.password == before


def test_password_of_a_colleague_is_long_and_ends_their_sessions(client, admin, receptionist, app):
    theirs, page = type(client)(), f"{USERS}{receptionist.pk}/password/"
    theirs.force_login(receptionist)
    for word, status in (("elevenchars", 200), ("a-long-enough-sentence", 302)):
        assert theirs.get("/account/").status_code == 200
        assert client.post(page, {"password1": word, "password2": word}).status_code == status
    assert theirs.get("/account/").status_code == 302


def test_administrator_gives_the_own_login_no_other_office(client):
    me = factories.UserFactory(is_staff=True, office="system_admin")
    client.force_login(me)
    page = f"{USERS}{me.pk}/change/"
    form = client.get(page).context["adminform"].form
    rights = {"office": "privacy_officer", "is_superuser": "on", "groups": [], "user_permissions": []}
    assert not set(rights) & set(form.fields)
    given = {name: form.initial.get(name) or "" for name in form.fields}
    client.post(page, given | {"office": "privacy_officer", "is_superuser": "on"})
    me.refresh_from_db()
    assert (me.office, me.is_superuser) == ("system_admin", False)


def test_reset_ends_open_sessions(client, admin, receptionist, app):
    factors.reset(receptionist)
    open_before = type(client)()
    open_before.force_login(receptionist)
    factors.reset(receptionist)
    assert open_before.get("/account/").status_code == 302


def test_locked_colleague_is_unlocked(client, admin, receptionist):
    for _try in range(lockout.ACCOUNT.free):
        lockout.take(lockout.ACCOUNT, receptionist.username)
    other = type(client)()
    assert log_in(other, receptionist).status_code == 429
    act(client, "unlock", receptionist)
    assert log_in(other, receptionist).status_code == 302
    assert AuditEvent.objects.filter(reason="unlocked", actor_id=admin.pk).exists()


def test_secrets_have_no_page_in_the_admin(client, admin):
    assert client.get("/admin/mfa/authenticator/").status_code == 404
    assert client.get("/admin/account/emailaddress/").status_code == 404


def test_staff_keep_a_second_factor(client, receptionist, app):
    client.force_login(receptionist)
    only = Authenticator.objects.get(user=receptionist)
    client.post(f"/account/ways/{only.pk}/removal/")
    assert factors.has_second(receptionist)


@pytest.mark.parametrize("path", ["app/", "passkeys/", "recovery-codes/", "ways/{pk}/removal/"])
def test_own_ways_in_want_a_fresh_proof(client, receptionist, app, path):
    client.force_login(receptionist)
    session = client.session
    step_up.forget(session)
    session.save()
    before = list(Authenticator.objects.order_by("pk").values_list("pk", "data"))
    found = Authenticator.objects.get(user=receptionist)
    answer = client.post(f"/account/{path.format(pk=found.pk)}", {"code": app.code})
    assert answer.headers["location"].startswith("/step-up/")
    assert list(Authenticator.objects.order_by("pk").values_list("pk", "data")) == before


def test_nobody_removes_the_way_of_another(client, patient, receptionist, app):
    client.force_login(patient.user)
    theirs = Authenticator.objects.get(user=receptionist)
    assert client.post(f"/account/ways/{theirs.pk}/removal/").status_code == 404


def test_app_is_set_up_anew(client, receptionist, app):
    client.force_login(receptionist)
    client.get("/account/app/")
    new = App(receptionist, client.session["new_totp"])
    assert client.post("/account/app/", {"code": app.code}).status_code == 422
    assert client.post("/account/app/", {"code": new.code}).status_code == 302
    assert new.secret == factors.totp_auth.decrypt(
        Authenticator.objects.get(user=receptionist).data["secret"]
    )


def test_new_recovery_codes_void_the_old(client, receptionist, app):
    old = factors.new_recovery_codes(receptionist)
    client.force_login(receptionist)
    shown = client.post("/account/recovery-codes/").context["codes"]
    assert factors.check_code(receptionist, old[0]) is None
    assert factors.check_code(receptionist, shown[0]) == "recovery_code"


def test_log_out_is_written_down(client, patient):
    client.force_login(patient.user)
    client.post("/logout/")
    assert not is_in(client)
    assert AuditEvent.objects.filter(action="logout", actor_id=patient.user.pk).exists()


def test_what_is_over_is_forgotten(client, receptionist, app):
    client.post("/login/", {"email": "somebody@example.com"})
    log_in(client, receptionist)
    client.post("/login/second/", {"code": app.code})
    rows = [DoorLock, OneTimeCode, DeviceLogin, Device]
    forget_doors(0)
    assert all(model.objects.exists() for model in rows)
    pass_time(40 * 24 * 3600)
    forget_doors(0)
    assert not any(model.objects.exists() for model in rows)


@pytest.mark.parametrize("office", [{"office": "system_admin"}, {"is_superuser": True}])
def test_patients_logins_are_hidden_from_who_manages_logins(client, receptionist, office):
    by_code = sign_up.of_address("code@home.example")
    with_password = factories.PatientFactory(with_login=True, email="pass@home.example").user
    client.force_login(factories.UserFactory(is_staff=True, **office))
    shown = client.get(USERS, {"q": "home.example"}).content.decode()
    assert [f"/{user.pk}/change/" in shown for user in (by_code, with_password)] == [False] * 2
    for user in (by_code, with_password):
        assert client.get(f"{USERS}{user.pk}/change/").status_code == 302  # to the start, where it is said
        assert client.get(f"{USERS}{user.pk}/password/").status_code in (302, 404)
    assert client.get(f"{USERS}{receptionist.pk}/change/").status_code == 200
    lookup = {
        "app_label": "scheduling",
        "model_name": "membership",
        "field_name": "user",
        "term": "home.example",
    }
    assert client.get("/admin/autocomplete/", lookup).json()["results"] == []
