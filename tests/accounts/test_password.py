"""The own password: changed with a fresh proof and the one of now; all other sessions end, and a letter says so."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from clinic_booking.accounts import lockout, step_up
from clinic_booking.models import AuditEvent
from tests.accounts.conftest import PASSWORD, is_in
from tests.billing.steps import run_jobs

pytestmark = pytest.mark.django_db
PAGE = "/account/password/"
NEW = "lantern-harbour-otter-42"


def form(old=PASSWORD, new=NEW, again=None):
    return {"old_password": old, "new_password1": new, "new_password2": again or new}


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def test_new_password_ends_other_sessions_and_is_told(desk, receptionist):
    other = Client()
    other.force_login(receptionist)
    assert "Change the password" in desk.get(reverse("account")).text
    assert desk.post(PAGE, form()).url == reverse("account")
    assert desk.get(reverse("account")).status_code == 200
    assert other.get(reverse("account")).status_code == 302
    receptionist.refresh_from_db()
    assert receptionist.check_password(NEW)
    written = AuditEvent.objects.get(action="change", subject=f"user:{receptionist.pk}")
    assert (written.actor_id, written.fields) == (receptionist.pk, ["password"])
    run_jobs()
    letter = mail.outbox[-1]
    assert letter.to == [receptionist.email]
    assert "was changed" in letter.body
    assert NEW not in letter.body


@pytest.mark.parametrize(
    "wrong",
    [form(old="not it at all"), form(new="short"), form(new="248163264128"), form(again="else-else-else")]
    + [form(new=PASSWORD), form(new="receptionist@demo.example")],
)
def test_what_is_no_new_password(desk, receptionist, wrong):
    answer = desk.post(PAGE, wrong)
    assert answer.status_code == 422
    assert "value=" not in "".join(re.findall(r'<input type="password"[^>]*>', answer.text))
    receptionist.refresh_from_db()
    assert receptionist.check_password(PASSWORD)


def test_wrong_tries_lock_as_at_the_login(desk, receptionist):
    for _each in range(lockout.ACCOUNT.free):
        desk.post(PAGE, form(old="wrong"))
    assert desk.post(PAGE, form()).status_code == 429
    receptionist.refresh_from_db()
    assert receptionist.check_password(PASSWORD)


def test_wants_a_fresh_proof_and_keeps_no_password_meanwhile(desk, receptionist):
    session = desk.session
    step_up.forget(session)
    session.save()
    assert desk.post(PAGE, form()).url.startswith(reverse("step_up"))
    assert NEW not in str(dict(desk.session))
    receptionist.refresh_from_db()
    assert receptionist.check_password(PASSWORD)


def test_who_has_none_cannot_set_one(client, patient):
    patient.user.set_unusable_password()
    patient.user.save()
    client.force_login(patient.user)
    assert is_in(client)
    assert client.get(PAGE).status_code == 404
    assert "Change the password" not in client.get(reverse("account")).text
