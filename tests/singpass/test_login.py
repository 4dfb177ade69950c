"""The whole way against an independent FAPI 2.0 server (singpass.md §7)."""

import json
from base64 import urlsafe_b64decode

import pytest
from django.urls import reverse

from clinic_booking.models import AuditEvent, User
from patients.models import SingpassIdentity
from patients.singpass import client
from patients.singpass.views import STATES
from tests.factories import PatientFactory
from tests.singpass.counterpart import CALLBACK, FOREIGN, LOA, LOCAL, jwks, public

pytestmark = pytest.mark.django_db


@pytest.fixture
def known(singpass):
    """A patient who has been here with Singpass before."""
    patient = PatientFactory(user=User.objects.create(username="singpass-known"))
    SingpassIdentity.objects.create(user=patient.user, issuer=singpass.SINGPASS_ISSUER, sub=LOCAL)
    return patient


def test_first_login_makes_a_login_without_a_password(browser_there):
    answer = browser_there.log_in(start={"next": "/me/bills/"})

    assert answer.url == "/me/details/?next=%2Fme%2Fbills%2F"
    identity = SingpassIdentity.objects.get()
    assert identity.sub == LOCAL
    assert identity.acr == f"{LOA}2"
    assert not identity.user.has_usable_password()
    assert browser_there.user == identity.user_id
    login = AuditEvent.objects.get(action="login", actor_id=identity.user_id)
    assert login.reason == "singpass"


def test_second_login_finds_the_same_patient(browser_there, known):
    assert browser_there.log_in().url == reverse("me")
    assert browser_there.user == known.user_id
    assert SingpassIdentity.objects.get().last_login_at is not None


def test_where_to_go_on_is_only_here(browser_there, known):
    assert browser_there.log_in(start={"next": "https://elsewhere.example/"}).url == reverse("me")


def test_two_tabs_in_parallel(browser_there, known):
    first, second = browser_there.start(next="/me/bills/"), browser_there.start()
    ends = [browser_there.at_singpass(answer) for answer in (first, second)]

    assert browser_there.back(ends[0]).url == "/me/bills/"
    assert browser_there.back(ends[1]).url == reverse("me")


def test_foreign_account_with_attributes_that_are_not_kept(browser_there, singpass):
    singpass.SINGPASS_SCOPES = "openid user.identity name"
    browser_there.log_in(FOREIGN)

    identity = SingpassIdentity.objects.get(sub=FOREIGN)
    assert "F0000000A" not in str(vars(identity)) + str(vars(identity.user))


def test_the_browser_carries_two_parameters_only(browser_there):
    query = browser_there.start().url.partition("?")[2]
    assert [part.split("=")[0] for part in query.split("&")] == ["client_id", "request_uri"]


@pytest.mark.parametrize(
    "different",
    [{"encryption": "A256GCM"}, {"dpop_nonce": True}],
    ids=["gcm", "nonce"],
)
def test_other_servers_are_understood(browser_there, variant, different):
    variant(**different)
    assert browser_there.log_in().url.startswith(reverse("singpass_details"))


def test_singpass_changes_its_keys_while_ours_are_warm(browser_there, known, counterpart, singpass):
    browser_there.log_in()
    path = singpass.SINGPASS_ISSUER.rpartition("/")[2]
    counterpart.change(path, kid="counterpart/2")

    assert browser_there.log_in().url == reverse("me")
    # The new process counts anew: it was asked for its keys once, for the new kid.
    assert counterpart.requests(singpass.SINGPASS_ISSUER)["/.well-known/keys"] == 1


def test_endpoints_and_keys_are_fetched_once(browser_there, known, counterpart, singpass):
    browser_there.log_in()
    browser_there.log_in()

    asked = counterpart.requests(singpass.SINGPASS_ISSUER)
    assert asked["/.well-known/openid-configuration"] == asked["/.well-known/keys"] == 1
    assert asked["/par"] == asked["/token"] == 2
    assert "/userinfo" not in asked


def test_our_signing_key_changes_in_order(browser_there, counterpart, singpass):
    path = singpass.SINGPASS_ISSUER.rpartition("/")[2]
    singpass.SINGPASS_SIGNING_KEYS = jwks("sig-2", "sig-1")
    assert "reason=fault" in browser_there.start().url  # too early: Singpass does not know it yet

    counterpart.change(
        path, jwks={"keys": [public(each, "sig") for each in ("sig-1", "sig-2")] + [public("enc-1", "enc")]}
    )
    assert browser_there.log_in().url.startswith(reverse("singpass_details"))


def test_our_encryption_key_changes_while_both_kinds_arrive(browser_there, known, counterpart, singpass):
    singpass.SINGPASS_ENCRYPTION_KEYS = jwks("enc-2", "enc-1")
    assert browser_there.log_in().url == reverse("me")

    path = singpass.SINGPASS_ISSUER.rpartition("/")[2]
    counterpart.change(path, jwks={"keys": [public("sig-1", "sig"), public("enc-2", "enc")]})
    assert browser_there.log_in().url == reverse("me")


def test_request_is_what_the_guide_says(browser_there, singpass, monkeypatch):
    """singpass.md §2.1 and §2.2, whatever name the browser knows us by."""
    sent, post = [], client.requests.post

    def noted(url, data=None, **options):
        sent.append((data, options["headers"]["DPoP"]))
        return post(url, data=data, **options)

    monkeypatch.setattr(client.requests, "post", noted)
    query = browser_there.at_singpass(browser_there.start(moved="1"))
    (state,) = browser_there.clinic.session[STATES]
    browser_there.back(query)
    (asked, proof), (redeemed, second_proof) = sent
    signed = {"client_assertion", "client_assertion_type"}
    assert set(asked) - signed == {
        *("response_type", "scope", "state", "nonce", "client_id", "redirect_uri"),
        *("code_challenge", "code_challenge_method", "authentication_context_type"),
    }
    assert (asked["scope"], asked["response_type"], asked["state"]) == ("openid", "code", state)
    assert asked["redirect_uri"] == redeemed["redirect_uri"] == singpass.SINGPASS_REDIRECT_URI
    assert min(len(asked["state"]), len(asked["nonce"])) >= 30
    assert asked["code_challenge_method"] == "S256"
    assert set(redeemed) - signed == {"grant_type", "code", "redirect_uri", "code_verifier"}
    head, again = (json.loads(urlsafe_b64decode(each.split(".")[0] + "==")) for each in (proof, second_proof))
    assert head["jwk"] == again["jwk"]
    assert set(head["jwk"]) == {"kty", "crv", "x", "y"}
    assert (head["typ"], head["alg"]) == ("dpop+jwt", "ES256")
    assertions = {asked["client_assertion"], redeemed["client_assertion"], proof, second_proof}
    bodies = [json.loads(urlsafe_b64decode(each.split(".")[1] + "==")) for each in assertions]
    assert len({each["jti"] for each in bodies}) == 4
    assert all(each["exp"] - each["iat"] == 60 for each in bodies)
    browser_there.start()
    assert json.loads(urlsafe_b64decode(sent[2][1].split(".")[0] + "=="))["jwk"] != head["jwk"]


def test_host_of_the_browser_is_not_where_singpass_sends_it(browser_there, singpass):
    singpass.SINGPASS_REDIRECT_URI = CALLBACK
    browser_there.clinic.defaults["HTTP_HOST"] = "localhost"
    assert "request_uri" in browser_there.start(moved="1").url  # another redirect would be refused there


def test_started_under_another_name_of_ours(browser_there):
    answer = browser_there.clinic.get(
        reverse("oidc_authentication_init"), {"next": "/me/"}, HTTP_HOST="localhost"
    )
    assert answer.url == "http://127.0.0.1:8000/oidc/authenticate/?next=%2Fme%2F&moved=1"
