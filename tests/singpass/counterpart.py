"""The stand-in for Singpass as tests use it, and a browser that goes there and back."""

import itertools
import json
import re
import uuid
from functools import cache
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from django.conf import settings
from django.test import Client
from django.urls import reverse
from joserfc.jwk import ECKey

NRIC = "S1234567E"  # its check letter is wrong
PERSONAS = [
    {
        "sub": "0b0e2f4e-8a3b-4c57-9d0e-6f1d6c3a0001",
        "label": "Local",
        "identity_number": NRIC,
        "name": "Tan Ah Teck",
    },
    {"sub": "0b0e2f4e-8a3b-4c57-9d0e-6f1d6c3a0002", "label": "Other", "identity_number": "S7654321Z"},
    {
        "sub": "0b0e2f4e-8a3b-4c57-9d0e-6f1d6c3a0003",
        "label": "Foreign",
        "foreign": True,
        "identity_number": "F0000000A",
    },
]
LOCAL, OTHER, FOREIGN = (each["sub"] for each in PERSONAS)
LOA = "urn:singpass:authentication:loa:"
CALLBACK = "http://127.0.0.1:8000/oidc/callback/"
numbers = itertools.count(1)


@cache
def key(name: str) -> dict[str, str]:
    """A private key of ours, the same in the whole run."""
    return {**ECKey.generate_key("P-256").as_dict(private=True), "kid": name}


def jwks(*names: str) -> str:
    return json.dumps({"keys": [key(name) for name in names]})


def public(name: str, use: str) -> dict[str, str]:
    alg = "ES256" if use == "sig" else "ECDH-ES+A256KW"
    return {**{part: key(name)[part] for part in ("kty", "crv", "x", "y", "kid")}, "use": use, "alg": alg}


class Counterpart:
    """One process, an issuer for each test."""

    def __init__(self, url: str) -> None:
        self.url = url

    def issuer(self, **variant) -> str:
        path = f"fapi-{next(numbers)}"
        self.change(path, **variant)
        return f"{self.url}/{path}"

    def change(self, path: str, **variant) -> None:
        """Also starts an issuer anew: with other keys, another kid, paths that fail."""
        fixed = {
            "path": path,
            "client_id": settings.SINGPASS_CLIENT_ID,
            "redirect_uri": CALLBACK,
            "jwks": {"keys": [public("sig-1", "sig"), public("enc-1", "enc")]},
            "personas": PERSONAS,
        }
        requests.post(f"{self.url}/__control", json=fixed | variant, timeout=10).raise_for_status()

    def let_pass(self, seconds: int) -> None:
        """There, until the next issuer is started."""
        requests.post(f"{self.url}/__control", json={"seconds_ahead": seconds}, timeout=10).raise_for_status()

    def requests(self, issuer: str) -> dict[str, int]:
        path = issuer.rpartition("/")[2]
        return requests.get(f"{self.url}/__control", params={"path": path}, timeout=10).json()


class Browser:
    """Ours and the counterpart's cookies, as one browser has them."""

    def __init__(self) -> None:
        self.clinic = Client(HTTP_HOST="127.0.0.1:8000")

    def start(self, **query):
        return self.clinic.get(reverse("oidc_authentication_init"), query)

    def at_singpass(self, answer, persona: str | None = LOCAL, **more) -> dict[str, str]:
        """Follows the redirect of `answer`, logs in there; what the browser is sent back with."""
        with requests.Session() as session:
            page = session.get(answer.url, timeout=10)
            page.raise_for_status()
            form = {"persona": persona, **more} if persona else {"cancel": "1", **more}
            response = session.post(page.url, data=form, timeout=10, allow_redirects=False)
            while not response.headers["Location"].startswith(CALLBACK):
                response = session.get(response.headers["Location"], timeout=10, allow_redirects=False)
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        return {name: values[0] for name, values in query.items()}

    def back(self, query: dict[str, str]):
        return self.clinic.get(f"{reverse('oidc_authentication_callback')}?{urlencode(query)}")

    def log_in(self, persona: str | None = LOCAL, *, start=None, **more):
        return self.back(self.at_singpass(self.start(**(start or {})), persona, **more))

    @property
    def user(self) -> int | None:
        return int(self.clinic.session["_auth_user_id"]) if "_auth_user_id" in self.clinic.session else None


def reason(response) -> str:
    """Why the login failed, of the redirect to the failure page."""
    assert response.status_code == 302
    assert response.url.startswith(reverse("singpass_failed"))
    return re.search(r"reason=(\w+)", response.url)[1]


def new_sub() -> str:
    return str(uuid.uuid4())
