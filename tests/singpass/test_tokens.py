"""ID tokens that no correct server sends, made here and fed to the reader (singpass.md §2.4 and §6)."""

import json
import time

import pytest
from django.core.cache import cache
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey

from patients.singpass import provider, tokens
from patients.singpass.errors import SingpassError
from patients.singpass.tokens import check_person, read_id_token
from tests.singpass.counterpart import LOA, key, new_sub

NONCE = "n" * 43
THEIRS, OURS = ECKey.import_key(key("singpass/1")), ECKey.import_key(key("enc-1"))


@pytest.fixture(autouse=True)
def known_keys(ours):
    """What discovery and a look at Singpass's keys have found."""
    issuer = ours.SINGPASS_ISSUER
    found = provider.Provider(
        issuer, f"{issuer}/auth", f"{issuer}/token", f"{issuer}/par", f"{issuer}/keys", True
    )
    cache.set(f"singpass:discovery:{issuer}", tuple(found))
    cache.set(f"singpass:keys:{issuer}/keys", {"singpass/1": THEIRS.as_dict(private=False)})
    return issuer


def claims(issuer, **changed):
    now = time.time()
    made = {"iss": issuer, "aud": "T" * 32, "iat": now, "exp": now + 600, "nonce": NONCE, "sub": new_sub()}
    made |= {"sub_type": "user", "acr": f"{LOA}2", "amr": ["swk"]} | changed
    return {name: value for name, value in made.items() if value is not None}


def signed(payload, header=None, by=THEIRS, alg="ES256"):
    head = {"alg": alg, "kid": "singpass/1"} | (header or {})
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jws.serialize_compact(head, json.dumps(payload).encode(), by, registry=registry)


def sealed(inner, enc="A256CBC-HS512", kid="enc-1", alg="ECDH-ES+A256KW"):
    header = {"alg": alg, "enc": enc, "kid": kid}
    return jwe.encrypt_compact(header, inner.encode(), OURS, registry=jwe.JWERegistry(algorithms=[alg, enc]))


def code_of(token):
    with pytest.raises(SingpassError) as refused:
        read_id_token(token, nonce=NONCE)
    return refused.value.code


@pytest.mark.parametrize("enc", ["A256CBC-HS512", "A256GCM"])
def test_good_token_is_read(known_keys, enc):
    made = claims(known_keys)
    assert read_id_token(sealed(signed(made), enc), nonce=NONCE) == made


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": "https://id.example/fapi"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": ["T" * 32, "another"]}, "aud"),
        ({"nonce": "m" * 43}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": time.time() - 3600}, "exp"),
        ({"iat": time.time() + 3600}, "iat"),
        ({"exp": None}, "times"),
        ({"iat": "now"}, "times"),
        ({"iat": True}, "times"),
        ({"at_hash": "wrong"}, "at_hash"),
    ],
)
def test_wrong_claim(known_keys, changed, code):
    assert code_of(sealed(signed(claims(known_keys, **changed)))) == code


@pytest.mark.parametrize(("seconds", "is_good"), [(20, True), (60, False), (-20, True), (-60, False)])
def test_clocks_may_differ_by_half_a_minute(known_keys, seconds, is_good):
    now = time.time()
    times = {"iat": now + seconds} if seconds > 0 else {"exp": now + seconds}
    token = sealed(signed(claims(known_keys, **times)))
    if is_good:
        assert read_id_token(token, nonce=NONCE)
    else:
        assert code_of(token) in ("iat", "exp")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sub_type": "corporate"}, "sub_type"),
        ({"act": {"sub": "somebody"}}, "act"),
        ({"acr": f"{LOA}1"}, "acr"),
        ({"acr": f"{LOA}9"}, "acr"),
        ({"acr": None}, "acr"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": 7}, "sub"),
    ],
)
def test_not_a_person_who_proved_enough(known_keys, changed, code):
    with pytest.raises(SingpassError) as refused:
        check_person(claims(known_keys, **changed))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("least", "is_production", "is_let_in"),
    [(1, False, True), (1, True, False), ("x", False, False), (3, False, False)],
)
def test_password_alone_is_enough_on_staging_only(known_keys, ours, least, is_production, is_let_in):
    ours.SINGPASS_MIN_ACR = f"{LOA}{least}"
    if is_production:
        ours.SINGPASS_ISSUER = ours.SINGPASS_PRODUCTION_ISSUER
    by_password = claims(known_keys, acr=f"{LOA}1")
    if is_let_in:
        check_person(by_password)
    else:
        with pytest.raises(SingpassError, match="acr"):
            check_person(by_password)


def test_signature_of_somebody_else(known_keys):
    stranger = ECKey.import_key(key("stranger"))
    assert code_of(sealed(signed(claims(known_keys), by=stranger))) == "signature"


def test_key_in_the_header_is_not_believed(known_keys):
    stranger = ECKey.import_key(key("stranger"))
    header = {"jwk": stranger.as_dict(private=False), "jku": "https://stranger.example/keys"}
    assert code_of(sealed(signed(claims(known_keys), header, by=stranger))) == "signature"


def test_unknown_key_is_looked_for_once_a_minute(known_keys, monkeypatch):
    asked = []
    monkeypatch.setattr(provider, "_fetch", lambda url: asked.append(url) or {"keys": []})
    cache.set(f"singpass:keys:{known_keys}/keys", {"singpass/1": THEIRS.as_dict(private=False)})
    token = sealed(signed(claims(known_keys), {"kid": "singpass/2"}))

    assert code_of(token) == code_of(token) == "signing_kid"
    assert len(asked) == 1


def test_other_algorithms(known_keys):
    made = claims(known_keys)
    none = ".".join([tokens.base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("="), "e30", ""])
    secret = OctKey.import_key("s" * 64)
    assert code_of(sealed(none)) == "alg"
    assert code_of(sealed(signed(made, by=secret, alg="HS256"))) == "alg"


def test_token_that_is_not_encrypted(known_keys):
    assert code_of(signed(claims(known_keys))) == "id_token_not_encrypted"


def test_other_encryption(known_keys):
    assert code_of(sealed(signed(claims(known_keys)), "A128GCM")) == "decryption"


def test_key_that_is_not_ours(known_keys):
    assert code_of(sealed(signed(claims(known_keys)), kid="enc-9")) == "encryption_kid"


def test_token_that_was_changed_on_the_way(known_keys):
    parts = sealed(signed(claims(known_keys))).split(".")
    parts[3] = ("A" if parts[3][0] != "A" else "B") + parts[3][1:]
    assert code_of(".".join(parts)) == "decryption"


@pytest.mark.parametrize("token", ["", "a.b.c.d.e", "....", "x" * 20_000, None, "é.b.c.d.e"])
def test_nonsense(token):
    assert code_of(token) in ("id_token", "id_token_not_encrypted", "header", "encryption_kid")


def test_inner_nonsense(known_keys):
    assert code_of(sealed("nothing")) == "no_signature"
    assert code_of(sealed("a.b.c")) == "header"
