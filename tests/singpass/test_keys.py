"""What we publish, and what `check --deploy` and the command say of the configuration."""

import json
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.urls import reverse
from joserfc.jwk import ECKey, RSAKey

from patients.singpass import keys
from patients.singpass.checks import singpass_is_sound
from tests.singpass.counterpart import jwks, key

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


@pytest.fixture
def in_production(ours):
    ours.SINGPASS_ISSUER = ours.SINGPASS_PRODUCTION_ISSUER
    ours.SINGPASS_REDIRECT_URI = "https://booking.clinic.example/oidc/callback/"
    ours.ALLOWED_HOSTS = ["booking.clinic.example"]
    return ours


def ids(found):
    return {each.id for each in found}


def test_jwks_has_no_private_members(ours, client):
    """Nor does it ask the database, which this test may not."""
    ours.SINGPASS_SIGNING_KEYS = jwks("sig-1", "sig-2")
    ours.SINGPASS_ENCRYPTION_KEYS = jwks("enc-2", "enc-1")
    answer = client.get("/.well-known/jwks.json")

    published = answer.json()["keys"]
    assert [(each["kid"], each["use"]) for each in published] == [
        ("sig-1", "sig"),
        ("sig-2", "sig"),
        ("enc-2", "enc"),
    ]
    assert all(set(each) == set(keys.PUBLISHED) for each in published)
    assert not any(PRIVATE & set(each) for each in published)
    assert key("sig-1")["d"] not in answer.content.decode()
    assert "session" not in answer.cookies


def test_without_keys_there_is_no_jwks(ours, client, db):
    ours.SINGPASS_SIGNING_KEYS = ""
    assert client.get(reverse("singpass_jwks")).status_code == 404


def test_keys_come_as_pem_too(ours):
    made = [ECKey.generate_key(curve) for curve in ("P-256", "P-384")]
    pem = "\n".join(each.as_pem(private=True).decode() for each in made)
    ours.SINGPASS_SIGNING_KEYS = pem.replace("\n", "\\n")

    assert [each["kid"] for each in keys.published()["keys"][:2]] == [each.thumbprint() for each in made]
    assert [each["alg"] for each in keys.published()["keys"][:2]] == ["ES256", "ES384"]


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "{",
        '{"keys": []}',
        json.dumps({"keys": [{name: key("sig-1")[name] for name in ("kty", "crv", "x", "y")}]}),
        json.dumps(RSAKey.generate_key(2048).as_dict(private=True)),
    ],
    ids=["text", "broken", "none", "public", "rsa"],
)
def test_other_keys_are_refused_without_being_quoted(ours, text):
    ours.SINGPASS_SIGNING_KEYS = text
    with pytest.raises(ImproperlyConfigured) as refused:
        keys.signing()
    assert text not in str(refused.value) or text == "{"


def test_sound_configuration(in_production):
    assert singpass_is_sound(None) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SINGPASS_SIGNING_KEYS", "", "singpass.E001"),
        ("SINGPASS_SIGNING_KEYS", "nothing", "singpass.E002"),
        ("SINGPASS_SIGNING_KEYS", jwks("enc-1"), "singpass.E002"),
        ("SINGPASS_ISSUER", "https://stg-id.singpass.gov.sg/fapi", "singpass.E003"),
        ("SINGPASS_REDIRECT_URI", "http://booking.clinic.example/oidc/callback/", "singpass.E004"),
        ("SINGPASS_REDIRECT_URI", "https://192.0.2.1/oidc/callback/", "singpass.E004"),
        ("SINGPASS_REDIRECT_URI", "https://other.example/oidc/callback/", "singpass.E005"),
        ("SINGPASS_MIN_ACR", "urn:singpass:authentication:loa:1", "singpass.E006"),
        ("SINGPASS_SCOPES", "name", "singpass.E007"),
    ],
)
def test_unsound_configuration(in_production, name, value, said):
    setattr(in_production, name, value)
    assert said in ids(singpass_is_sound(None))


def test_switched_off_is_only_said(ours):
    ours.SINGPASS_CLIENT_ID = ours.SINGPASS_SIGNING_KEYS = ours.SINGPASS_ENCRYPTION_KEYS = ""
    assert ids(singpass_is_sound(None)) == {"singpass.I001"}


def test_command_makes_keys_that_work(ours):
    out = StringIO()
    call_command("singpass_keys", "--new", stdout=out)
    for name, value in json.loads(out.getvalue()).items():
        setattr(ours, name, json.dumps(value))

    out = StringIO()
    call_command("singpass_keys", stdout=out)
    assert json.loads(out.getvalue()) == keys.published()
    assert keys.problems() == []


def test_command_without_keys(ours):
    ours.SINGPASS_SIGNING_KEYS = ""
    with pytest.raises(CommandError, match="--new"):
        call_command("singpass_keys")
