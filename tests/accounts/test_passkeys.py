"""A passkey opens its own login, for who unlocked the device, on our page, once for each time it is asked."""

import pytest
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from clinic_booking.accounts import step_up
from clinic_booking.models import AuditEvent, User
from tests import factories
from tests.accounts.conftest import is_in, log_in
from tests.accounts.passkeys import HOST, Phone

pytestmark = pytest.mark.django_db


def browser():
    return Client(HTTP_HOST=HOST)


def with_passkey(user):
    """A phone that has a passkey of the login."""
    phone, page = Phone(), browser()
    page.force_login(user)
    asked = page.post("/passkey/new/options/").json()["publicKey"]
    page.post("/account/passkeys/", {"name": "My phone", "credential": phone.make(asked)})
    assert Authenticator.objects.filter(user=user, type="webauthn").count() == 1
    return phone


def try_in(phone, page=None, **lie):
    page = page or browser()
    asked = page.post("/passkey/options/").json()["publicKey"]
    page.post("/login/", {"credential": phone.sign(asked, **lie)})
    return page


def test_passkey_opens_its_login(patient):
    phone = with_passkey(patient.user)
    page = try_in(phone)
    assert page.session["_auth_user_id"] == str(patient.user.pk)
    assert AuditEvent.objects.filter(action="login", reason="passkey", actor_id=patient.user.pk).exists()


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example:8000"},
        {"rp": "evil.example"},
        {"kind": "webauthn.create"},
        {"challenge": b"x" * 32},
        {"verified": False},
        {"key": ec.generate_private_key(ec.SECP256R1())},
    ],
    ids=["origin", "origin that begins like ours", "rp", "kind", "challenge", "not unlocked", "key"],
)
def test_what_is_not_right_opens_nothing(patient, lie):
    phone = with_passkey(patient.user)
    assert not is_in(try_in(phone, **lie))
    assert AuditEvent.objects.filter(action="login_failed", reason="passkey").exists()
    assert is_in(try_in(phone))


def test_answer_that_was_overheard_opens_nothing(patient):
    phone, page = with_passkey(patient.user), browser()
    said = phone.sign(page.post("/passkey/options/").json()["publicKey"])
    page.post("/login/", {"credential": said})
    page.post("/logout/")
    for other in (page, browser()):
        other.post("/login/", {"credential": said})
        other.post("/passkey/options/")
        other.post("/login/", {"credential": said})
        assert not is_in(other)


def test_copy_of_a_passkey_is_noticed(patient):
    """WebAuthn §7.2: a device that counts its signatures never counts back."""
    phone = with_passkey(patient.user)
    phone.count = 7
    assert is_in(try_in(phone))
    for count in (7, 6, 0):
        phone.count = count
        assert not is_in(try_in(phone))
    noticed = AuditEvent.objects.filter(action="login_failed", reason="sign_count")
    assert noticed.count() == 3
    phone.count = 8
    assert is_in(try_in(phone))


def test_device_that_counts_nothing_is_fine(patient):
    phone = with_passkey(patient.user)
    assert is_in(try_in(phone))
    assert is_in(try_in(phone))


def test_passkey_of_a_closed_login_opens_nothing(patient):
    phone = with_passkey(patient.user)
    User.objects.filter(pk=patient.user.pk).update(is_active=False)
    assert not is_in(try_in(phone))


def test_passkey_of_a_colleague_is_no_second_factor(clinic, receptionist):
    colleague = factories.MembershipFactory(clinic=clinic).user
    mine, theirs = with_passkey(receptionist), with_passkey(colleague)
    theirs.credential_id = mine.credential_id  # says that it were mine
    for phone, expected in ((theirs, False), (mine, True)):
        page = browser()
        log_in(page, receptionist)
        asked = page.post("/passkey/options/").json()["publicKey"]
        page.post("/login/second/", {"credential": phone.sign(asked)})
        assert is_in(page) == expected


def test_passkey_is_a_fresh_proof_of_its_own_login_alone(patient, other_patient):
    mine, theirs = with_passkey(patient.user), with_passkey(other_patient.user)
    page = browser()
    page.force_login(patient.user)
    session = page.session
    step_up.forget(session)
    session.save()
    for phone, lie, expected in ((theirs, {}, 422), (mine, {"verified": False}, 422), (mine, {}, 302)):
        asked = page.post("/passkey/options/").json()["publicKey"]
        answer = page.post("/step-up/?next=/account/", {"credential": phone.sign(asked, **lie)})
        assert answer.status_code == expected


@pytest.mark.parametrize("lie", [{"origin": "https://evil.example"}, {"verified": False}])
def test_passkey_made_elsewhere_is_not_added(patient, lie):
    phone, page = Phone(), browser()
    page.force_login(patient.user)
    asked = page.post("/passkey/new/options/").json()["publicKey"]
    page.post("/account/passkeys/", {"name": "x", "credential": phone.make(asked, **lie)})
    assert not Authenticator.objects.exists()
