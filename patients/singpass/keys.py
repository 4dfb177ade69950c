"""Our own keys. The first of each kind is in use; the others are there while keys change (docs/singpass.md)."""

import json
import re
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
KEY_WRAPS = ["ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"]
KEY_WRAP = "ECDH-ES+A256KW"
PUBLISHED = ("kty", "crv", "x", "y", "use", "alg", "kid")
PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


def signing() -> ECKey:
    return _read("SINGPASS_SIGNING_KEYS", settings.SINGPASS_SIGNING_KEYS)[0]


def decryption(kid: str) -> ECKey | None:
    found = _read("SINGPASS_ENCRYPTION_KEYS", settings.SINGPASS_ENCRYPTION_KEYS)
    return next((key for key in found if key.kid == kid), None)


def published() -> dict[str, list[dict[str, str]]]:
    """The JWKS that Singpass fetches: every signing key, and the one encryption key in use."""
    signs = _read("SINGPASS_SIGNING_KEYS", settings.SINGPASS_SIGNING_KEYS)
    decrypts = _read("SINGPASS_ENCRYPTION_KEYS", settings.SINGPASS_ENCRYPTION_KEYS)
    keys = [public(key, use="sig", alg=ALGORITHMS[key.curve_name]) for key in signs]
    return {"keys": keys + [public(key, use="enc", alg=KEY_WRAP) for key in decrypts[:1]]}


def public(key: ECKey, **more: str) -> dict[str, str]:
    """Made of the named members alone, so that no private one can appear."""
    members = {**key.as_dict(private=False), **more}
    return {name: str(members[name]) for name in PUBLISHED if name in members}


def problems() -> list[str]:
    """What `check` says about the keys."""
    found = []
    kids: list[str | None] = []
    for name in ("SINGPASS_SIGNING_KEYS", "SINGPASS_ENCRYPTION_KEYS"):
        try:
            kids += [key.kid for key in _read(name, getattr(settings, name))]
        except ImproperlyConfigured as error:
            found.append(str(error))
    if len(set(kids)) < len(kids):
        found.append("Two of Singpass's keys share a kid: each key needs one of its own, never used before.")
    return found


@lru_cache(maxsize=16)
def _read(name: str, text: str) -> tuple[ECKey, ...]:
    """Private keys as JWKS, as one JWK, or as PEM. The errors never quote what was given."""
    try:
        keys = tuple(_key(part) for part in _parts(text))
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ImproperlyConfigured(f"{name} holds no JWKS and no PEM: {type(error).__name__}.") from None
    if not keys or not all(key.is_private and key.curve_name in ALGORITHMS for key in keys):
        raise ImproperlyConfigured(f"{name} needs private keys on P-256, P-384 or P-521, at least one.")
    return keys


def _parts(text: str) -> list[Any]:
    if text.lstrip().startswith("{"):
        given = json.loads(text)
        return list(given.get("keys", [given]))
    return PEM.findall(text.replace("\\n", "\n"))  # many secret stores keep no line ends


def _key(part: Any) -> ECKey:
    """A key without a kid is known by its thumbprint (RFC 7638)."""
    if isinstance(part, dict):
        part = {name: part[name] for name in ("kty", "crv", "x", "y", "d", "kid") if name in part}
    key = ECKey.import_key(part)
    key.ensure_kid()
    return key
