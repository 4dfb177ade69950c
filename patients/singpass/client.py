"""The two calls behind the browser's back: push the request (PAR), redeem the code."""

import time
from typing import Any

import requests
from django.conf import settings
from django.core.cache import cache
from joserfc.jwk import ECKey

from patients.singpass import provider, tokens
from patients.singpass.errors import Reason, SingpassError, fault, refused, unavailable

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BUDGET_SECONDS = 10  # of all tries together: a thread of the web server waits
PAUSES = (0.25, 0.5, 1.0)  # seconds before the second, third and fourth try
REST_SECONDS = 15  # after Singpass did not answer, logins fail at once instead of each waiting for it
TRANSIENT = {"server_error", "temporarily_unavailable", "upstream_dependency_error"}
CONFIGURATION = {
    "invalid_client",
    "invalid_scope",
    "invalid_dpop_proof",
    "invalid_request",
    "unsupported_grant_type",
}

_pause = time.sleep


def push(parameters: dict[str, str], *, key: ECKey) -> str:
    """The request_uri, good for 60 seconds and one use. Raises SingpassError."""
    endpoint = provider.discover().pushed_authorization_request_endpoint
    answer = _post(endpoint, parameters, key, expected=201)
    if not isinstance(answer.get("request_uri"), str):
        raise refused("request_uri")
    return str(answer["request_uri"])


def redeem(code: str, *, verifier: str, key: ECKey) -> dict[str, Any]:
    """The tokens. Raises SingpassError; a code is good for 60 seconds and one use."""
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": settings.SINGPASS_REDIRECT_URI,
        "code_verifier": verifier,
    }
    answer = _post(provider.discover().token_endpoint, body, key, expected=200)
    if str(answer.get("token_type", "")).lower() != "dpop":
        raise refused("token_type")
    return answer


def _post(url: str, body: dict[str, str], key: ECKey, *, expected: int) -> dict[str, Any]:
    """Tries again what may pass by itself. Each try has a new assertion and a new proof."""
    resting = f"singpass:resting:{url}"
    if cache.get(resting):
        raise unavailable("resting")
    deadline = time.monotonic() + BUDGET_SECONDS
    for pause in (*PAUSES, None):
        try:
            return _try(url, body, key, expected, deadline - time.monotonic())
        except SingpassError as error:
            if error.reason != Reason.UNAVAILABLE:
                raise
            if pause is None or time.monotonic() + pause + 1 > deadline:
                cache.set(resting, True, REST_SECONDS)
                raise
        _pause(pause)
    raise AssertionError("unreachable")


def _try(url: str, body: dict[str, str], key: ECKey, expected: int, seconds: float) -> dict[str, Any]:
    response = _send(url, body, key, seconds)
    nonce = response.headers.get("DPoP-Nonce")
    if response.status_code in (400, 401) and nonce and _answer(response).get("error") == "use_dpop_nonce":
        response = _send(url, body, key, seconds, nonce)
    answer = _answer(response)
    if response.status_code != expected:
        raise _meaning(response.status_code, answer.get("error"))
    return answer


def _send(
    url: str, body: dict[str, str], key: ECKey, seconds: float, nonce: str | None = None
) -> requests.Response:
    connect, read = provider.TIMEOUT
    signed = {"client_assertion_type": BEARER, "client_assertion": tokens.client_assertion()}
    try:
        return requests.post(
            url,
            data={**body, **signed},
            headers={"DPoP": tokens.dpop_proof(key, url, nonce), "Accept": "application/json"},
            timeout=(connect, max(0.1, min(read, seconds))),
            allow_redirects=False,
        )
    except requests.RequestException:
        raise unavailable("connection") from None


def _answer(response: requests.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _meaning(status: int, error: Any) -> SingpassError:
    """Of the text only a code that we know goes any further."""
    if error == "invalid_grant":
        return SingpassError(Reason.TOO_LATE, "invalid_grant")
    if error in CONFIGURATION:
        return fault(error)
    if error in TRANSIENT:
        return unavailable(error)
    return unavailable(f"status_{status}") if status >= 500 else refused(f"status_{status}")
