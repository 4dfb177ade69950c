"""Step-up: who proved themselves lately goes on, others confirm and lose nothing."""

import re
import time

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import include, path

from clinic_booking.accounts import factors, sessions, step_up
from clinic_booking.models import AuditEvent
from tests.accounts.conftest import App


@login_required
@step_up.required
def guarded(request):
    return HttpResponse(f"{request.method} {request.POST.get('reason', '')}")


urlpatterns = [path("guarded/", guarded), path("", include("clinic_booking.urls"))]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def stale(client):
    """Logs somebody in whose last proof is long ago."""

    def stale(user):
        client.force_login(user)
        session = client.session
        step_up.forget(session)
        session.save()
        return client

    return stale


def code_in(mail):
    return re.search(r"\d{3} \d{3}", mail.body)[0]


def test_login_just_now_is_fresh(client, patient):
    client.force_login(patient.user)
    assert client.get("/guarded/").content == b"GET "


def test_strangers_log_in_first(client):
    assert client.get("/guarded/").headers["location"].startswith("/login/")


def test_code_by_mail_leads_back(stale, patient, mailoutbox):
    client = stale(patient.user)
    asked = client.get("/guarded/?a=1", follow=True)
    assert asked.redirect_chain == [("/step-up/?next=%2Fguarded%2F%3Fa%3D1", 302)]
    client.post("/step-up/code/?next=/guarded/%3Fa%3D1")
    assert mailoutbox[0].to == [patient.user.email]
    key = client.session.session_key
    done = client.post("/step-up/?next=/guarded/%3Fa%3D1", {"code": code_in(mailoutbox[0])}, follow=True)
    assert done.redirect_chain == [("/guarded/?a=1", 302)]
    assert client.session.session_key != key
    assert AuditEvent.objects.filter(reason="step_up email_code", actor_id=patient.user.pk).exists()


def test_wrong_code_is_refused(stale, patient, mailoutbox):
    client = stale(patient.user)
    client.post("/step-up/code/?next=/guarded/")
    right = code_in(mailoutbox[0]).replace(" ", "")
    wrong = f"{(int(right) + 1) % 10**6:06}"
    assert client.post("/step-up/?next=/guarded/", {"code": wrong}).status_code == 422
    assert client.get("/guarded/").status_code == 302


def test_form_that_was_sent_is_kept(stale, patient, mailoutbox):
    client = stale(patient.user)
    client.post("/guarded/", {"reason": "<because>"})
    client.post("/step-up/code/?next=/guarded/")
    page = client.post("/step-up/?next=/guarded/", {"code": code_in(mailoutbox[0])})
    assert 'action="/guarded/"' in page.text
    assert 'name="reason" value="&lt;because&gt;"' in page.text
    assert client.post("/guarded/", {"reason": "because"}).content == b"POST because"


def test_staff_show_their_second_factor(stale, receptionist, mailoutbox):
    secret = factors.new_secret()
    factors.set_totp(receptionist, secret, counter=0)
    client = stale(receptionist)
    client.post("/step-up/code/?next=/guarded/")
    assert not mailoutbox
    now = list(totp.yield_hotp_counters_from_time())[1]
    code = totp.format_hotp_value(totp.hotp_value(secret, now))
    assert client.post("/step-up/?next=/guarded/", {"code": code}).status_code == 302
    assert client.get("/guarded/").content == b"GET "
    session = client.session
    step_up.forget(session)
    session.save()
    assert client.post("/step-up/?next=/guarded/", {"code": code}).status_code == 422  # it works once


def test_proof_is_old_after_ten_minutes(client, patient):
    client.force_login(patient.user)
    for seconds, status in ((9 * 60, 200), (10 * 60 + 1, 302)):
        session = client.session
        session[sessions.DOOR] |= {"proved": time.time() - seconds}
        session.save()
        assert client.get("/guarded/").status_code == status


def test_confirmation_is_locked_after_wrong_codes(stale, receptionist):
    app = App(receptionist)
    client = stale(receptionist)
    answers = [client.post("/step-up/", {"code": app.wrong}).status_code for _try in range(6)]
    assert answers == [422] * 5 + [429]
    assert client.post("/step-up/", {"code": app.code}).status_code == 429
    assert client.get("/guarded/").status_code == 302


def test_fragments_and_data_are_told_where_to_go(stale, patient):
    client = stale(patient.user)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/me/?a=1"}
    assert (
        client.get("/guarded/", headers=headers).headers["HX-Redirect"] == "/step-up/?next=%2Fme%2F%3Fa%3D1"
    )
    assert client.get("/guarded/", headers={"Accept": "application/json"}).status_code == 403


def test_leads_back_to_pages_of_ours_only(stale, patient, mailoutbox):
    client = stale(patient.user)
    client.post("/step-up/code/")
    there = client.post("/step-up/?next=https://evil.example/", {"code": code_in(mailoutbox[0])})
    assert there.headers["location"] == "/"
