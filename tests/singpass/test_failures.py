"""Every row of singpass.md §4: nobody is logged in, nobody is logged out, and the person reads why."""

import logging

import pytest
import requests
from django.contrib.auth.signals import user_login_failed
from django.urls import reverse

from clinic_booking.models import AuditEvent, User
from patients.models import SingpassIdentity
from patients.singpass import client, provider, tokens
from patients.singpass.views import STATES
from tests.factories import MembershipFactory, PatientFactory
from tests.singpass.counterpart import FOREIGN, LOA, LOCAL, NRIC, OTHER, Browser, jwks, key, reason

pytestmark = pytest.mark.django_db


def remember(browser, **changed):
    """Changes what our session knows of the only login under way."""
    session = browser.clinic.session
    (entry,) = session[STATES].values()
    entry |= changed
    session.save()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("access_denied", "cancelled"),
        ("invalid_request_uri", "cancelled"),
        ("server_error", "unavailable"),
        ("temporarily_unavailable", "unavailable"),
    ],
)
def test_login_that_singpass_ended(browser_there, said, shown):
    answer = browser_there.log_in(None, error=said)

    assert reason(answer) == shown
    page = browser_there.clinic.get(answer.url).content.decode()
    assert "Log in another way" in page
    assert "Log in with Singpass" in page
    assert "Book without a login" in page
    assert browser_there.user is None
    assert not browser_there.clinic.session[STATES]


def test_callback_that_comes_twice(browser_there):
    query = browser_there.at_singpass(browser_there.start())
    browser_there.back(query)
    user = browser_there.user

    assert reason(browser_there.back(query)) == "unknown"
    assert browser_there.user == user is not None


def test_callback_in_another_browser(browser_there):
    query = browser_there.at_singpass(browser_there.start())
    other = Browser()

    assert reason(other.back(query)) == "unknown"
    assert other.user is None


def test_forged_error_keeps_the_session(browser_there):
    browser_there.log_in()
    user = browser_there.user

    assert reason(browser_there.back({"error": "server_error", "state": "forged"})) == "unknown"
    assert browser_there.user == user is not None


@pytest.mark.parametrize("iss", ["https://id.example", None])
def test_callback_from_another_issuer(browser_there, iss):
    query = browser_there.at_singpass(browser_there.start())
    sent = {**query, "iss": iss} if iss else {name: query[name] for name in ("code", "state")}

    assert reason(browser_there.back(sent)) == "refused"
    assert reason(browser_there.back(query)) == "unknown"  # that login is over


def test_wrong_code(browser_there):
    query = browser_there.at_singpass(browser_there.start())
    assert reason(browser_there.back({**query, "code": "another"})) == "too_late"


def test_code_that_has_run_out(browser_there, variant, counterpart):
    variant(code_seconds=5)
    query = browser_there.at_singpass(browser_there.start())
    counterpart.let_pass(6)
    assert reason(browser_there.back(query)) == "too_late"


def test_login_of_an_hour_ago(browser_there):
    query = browser_there.at_singpass(browser_there.start())
    remember(browser_there, added_on=0)
    assert reason(browser_there.back(query)) == "too_late"


def test_old_logins_are_forgotten(browser_there):
    browser_there.start()
    remember(browser_there, added_on=0)
    browser_there.start()
    assert len(browser_there.clinic.session[STATES]) == 1


@pytest.mark.parametrize(
    "changed",
    [{"key": key("other")}, {"code_verifier": "x" * 64}, {"nonce": "x" * 43}],
    ids=["key", "verifier", "nonce"],
)
def test_other_secrets_than_at_the_start(browser_there, changed):
    query = browser_there.at_singpass(browser_there.start())
    remember(browser_there, **changed)

    assert reason(browser_there.back(query)) in ("too_late", "refused", "fault")
    assert browser_there.user is None


def test_the_counterpart_refuses_a_plain_request(singpass):
    query = {"client_id": singpass.SINGPASS_CLIENT_ID, "response_type": "code", "scope": "openid"}
    answer = requests.get(f"{singpass.SINGPASS_ISSUER}/auth", query, timeout=10, allow_redirects=False)
    assert answer.status_code == 400


def test_the_counterpart_refuses_a_long_lived_assertion(browser_there, monkeypatch, caplog):
    monkeypatch.setattr(tokens, "LIFE_SECONDS", 300)

    assert reason(browser_there.start()) == "fault"
    assert (caplog.records[-1].levelno, caplog.records[-1].code) == (logging.ERROR, "invalid_client")


def test_the_counterpart_refuses_the_endpoint_as_audience(browser_there, singpass, monkeypatch):
    real = client.tokens.client_assertion

    def for_the_endpoint():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(singpass, "SINGPASS_ISSUER", f"{singpass.SINGPASS_ISSUER}/par")
            return real()

    monkeypatch.setattr(tokens, "client_assertion", for_the_endpoint)
    assert reason(browser_there.start()) == "fault"


def test_password_only_login_is_too_weak(browser_there):
    assert reason(browser_there.log_in(OTHER, acr=f"{LOA}1")) == "too_weak"
    assert not SingpassIdentity.objects.exists()


def test_wrong_key_is_deployed(browser_there, singpass, caplog):
    singpass.SINGPASS_ENCRYPTION_KEYS = jwks("enc-9")

    assert reason(browser_there.log_in()) == "fault"
    assert (caplog.records[-1].levelno, caplog.records[-1].code) == (logging.ERROR, "encryption_kid")


def test_closed_account(browser_there):
    browser_there.log_in()
    User.objects.update(is_active=False)

    assert (
        browser_there.clinic.get(reverse("singpass_account")).status_code == 302
    )  # the open session has ended
    assert reason(browser_there.log_in()) == "disabled"


def test_staff_have_their_own_door(browser_there, singpass):
    user = MembershipFactory().user
    SingpassIdentity.objects.create(user=user, issuer=singpass.SINGPASS_ISSUER, sub=LOCAL)
    assert reason(browser_there.log_in()) == "staff"


def test_par_answers_after_some_tries(browser_there, variant, counterpart):
    issuer = variant(failures={"/par": {"status": 503, "times": 2}})
    assert "request_uri" in browser_there.start().url
    assert counterpart.requests(issuer)["/par"] == 3


def test_par_is_down(browser_there, variant, counterpart):
    issuer = variant(failures={"/par": {"status": 400, "body": {"error": "server_error"}, "times": 99}})
    assert reason(browser_there.start()) == "unavailable"
    assert reason(browser_there.start()) == "unavailable"
    # The second did not wait for Singpass again, and no login is left half-way.
    assert counterpart.requests(issuer)["/par"] == 4
    assert not browser_there.clinic.session[STATES]


def test_nobody_is_there(ours, db):
    assert reason(Browser().start()) == "unavailable"


def test_token_endpoint_stumbles(browser_there, variant):
    variant(failures={"/token": {"status": 502, "times": 1}})
    assert browser_there.log_in().url.startswith(reverse("singpass_details"))


def test_off_without_a_client_id(ours, client):
    ours.SINGPASS_CLIENT_ID = ""

    assert reason(client.get(reverse("oidc_authentication_init"))) == "off"
    assert "Log in with Singpass" not in client.get(reverse("login")).content.decode()


def test_page_says_only_what_is_ours(client, db):
    page = client.get(
        reverse("singpass_failed"), {"reason": "<b>call 999</b>", "ref": "a b"}
    ).content.decode()
    assert "could not be verified" in page
    assert "999" not in page
    assert "reference" not in page


def test_nothing_secret_is_logged(browser_there, singpass, monkeypatch, caplog):
    singpass.SINGPASS_SCOPES = "openid user.identity name"
    secrets = [NRIC, LOCAL, "Tan Ah Teck"]
    send = requests.post

    def noted(url, data=None, **options):
        response = send(url, data=data, **options)
        secrets.extend(
            [
                data["client_assertion"],
                options["headers"]["DPoP"],
                data.get("code"),
                data.get("code_verifier"),
            ]
        )
        secrets.extend(response.json().get(name) for name in ("id_token", "access_token", "request_uri"))
        return response

    monkeypatch.setattr(client.requests, "post", noted)
    with caplog.at_level(logging.DEBUG):
        browser_there.log_in()
        browser_there.log_in(FOREIGN, acr=f"{LOA}1")
        query = browser_there.at_singpass(browser_there.start())
        secrets.extend(query.values())
        remember(browser_there, nonce="x" * 43)
        browser_there.back(query)
        browser_there.back(query)

    assert len([each for each in secrets if each]) > 20
    lines = "\n".join(
        str(record.__dict__) for record in caplog.records if not record.name.startswith("urllib3")
    )
    lines += "\n".join(record.getMessage() for record in caplog.records)
    assert "login with Singpass failed" in lines
    assert [
        each[:12] for each in secrets if each and each != singpass.SINGPASS_ISSUER and each in lines
    ] == []
    written = str(list(AuditEvent.objects.values()))
    assert [each[:12] for each in secrets if each and each in written] == []


def test_failed_login_tells_nobody_its_secrets(browser_there):
    """Django signals the credentials of a failed login to whoever listens (singpass.md §5)."""
    told = []

    def listen(sender, credentials, **kwargs):
        told.append(str(credentials))

    query = browser_there.at_singpass(browser_there.start())
    (entry,) = browser_there.clinic.session[STATES].values()
    user_login_failed.connect(listen)
    try:
        browser_there.back({**query, "code": "another"})
    finally:
        user_login_failed.disconnect(listen)
    assert len(told) == 1
    assert entry["nonce"] not in told[0]
    assert entry["code_verifier"] not in told[0]


@pytest.mark.parametrize("answer", [{"token_type": "Bearer"}, {"token_type": None}, {"id_token": ""}])
def test_other_answers_for_the_code_are_refused(browser_there, monkeypatch, answer):
    real = client._post

    def changed(url, *args, **options):
        return {**real(url, *args, **options), **({} if url.endswith("/par") else answer)}

    query = browser_there.at_singpass(browser_there.start())
    monkeypatch.setattr(client, "_post", changed)
    assert reason(browser_there.back(query)) in ("refused", "fault")
    assert browser_there.user is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"issuer": "https://id.example/fapi"}, "discovery_issuer"),
        ({"token_endpoint": "ftp://id.example/token"}, "discovery_endpoints"),
        ({"jwks_uri": None}, "discovery_endpoints"),
    ],
)
def test_discovery_of_another_issuer_is_refused(singpass, monkeypatch, caplog, changed, code):
    real = provider._fetch
    monkeypatch.setattr(provider, "_fetch", lambda url: {**real(url), **changed})
    assert reason(Browser().start()) == "fault"
    assert caplog.records[-1].code == code


def test_a_record_is_never_found_by_email(browser_there):
    PatientFactory(email="tan@example.com")
    browser_there.log_in()
    assert not SingpassIdentity.objects.get().user.email
