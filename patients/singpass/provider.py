"""What Singpass publishes: its endpoints and its keys, both kept for an hour."""

from contextlib import suppress
from typing import Any, NamedTuple

import requests
from django.conf import settings
from django.core.cache import cache

from patients.singpass.errors import SingpassError, fault, unavailable

HOUR = 3600  # seconds
REFETCH_SECONDS = 60  # an unknown key is asked for again at most once in this time
TIMEOUT = (3, 10)  # seconds to connect and to read


class Provider(NamedTuple):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    pushed_authorization_request_endpoint: str
    jwks_uri: str
    names_itself: bool  # in the callback (RFC 9207)


def discover() -> Provider:
    """Raises SingpassError."""
    issuer = settings.SINGPASS_ISSUER
    key = f"singpass:discovery:{issuer}"
    if known := cache.get(key):
        return Provider(*known)
    found = _provider(issuer, _fetch(f"{issuer}/.well-known/openid-configuration"))
    cache.set(key, tuple(found), HOUR)
    return found


def signing_key(kid: str) -> dict[str, Any] | None:
    """By its opaque id. One that is not known is looked for once more, since Singpass may have changed keys."""
    keys, is_fresh = _keys()
    if kid not in keys and not is_fresh and _may_refetch():
        keys, is_fresh = _keys(anew=True)
    return keys.get(kid)


def refetched(kid: str) -> dict[str, Any] | None:
    """For a signature that does not fit the key we know by this id."""
    with suppress(SingpassError):
        return _keys(anew=True)[0].get(kid) if _may_refetch() else None
    return None


def _provider(issuer: str, document: dict[str, Any]) -> Provider:
    if document.get("issuer") != issuer:
        raise fault("discovery_issuer")
    names = Provider._fields[1:5]
    endpoints = [str(document.get(name, "")) for name in names]
    scheme = "https://" if issuer.startswith("https://") else "http://"
    if not all(endpoint.startswith(scheme) for endpoint in endpoints):
        raise fault("discovery_endpoints")
    names_itself = document.get("authorization_response_iss_parameter_supported") is True
    authorization, token, pushed, jwks = endpoints
    return Provider(issuer, authorization, token, pushed, jwks, names_itself)


def _keys(anew: bool = False) -> tuple[dict[str, Any], bool]:
    """By kid, and whether they come from Singpass just now."""
    provider = discover()
    key = f"singpass:keys:{provider.jwks_uri}"
    if not anew and (known := cache.get(key)) is not None:
        return known, False
    found = {
        str(each["kid"]): each for each in _fetch(provider.jwks_uri).get("keys", []) if _can_verify(each)
    }
    cache.set(key, found, HOUR)
    return found, True


def _can_verify(key: Any) -> bool:
    wanted = {"kty": "EC", "crv": "P-256"}
    return (
        isinstance(key, dict)
        and bool(key.get("kid"))
        and all(key.get(name) == value for name, value in wanted.items())
        and key.get("use", "sig") == "sig"
        and key.get("alg", "ES256") == "ES256"
    )


def _may_refetch() -> bool:
    return bool(cache.add(f"singpass:refetch:{settings.SINGPASS_ISSUER}", True, REFETCH_SECONDS))


def _fetch(url: str) -> dict[str, Any]:
    try:
        response = requests.get(url, timeout=TIMEOUT, allow_redirects=False)
        found = response.json() if response.status_code == 200 else None
    except (requests.RequestException, ValueError):
        raise unavailable("fetch") from None
    if not isinstance(found, dict):
        raise unavailable(f"fetch_{response.status_code}")
    return found
