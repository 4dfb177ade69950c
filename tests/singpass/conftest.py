import pytest
from django.core.cache import cache

from clinic_booking.local import singpass as local
from patients.singpass import client
from tests.singpass.counterpart import CALLBACK, PERSONAS, Browser, Counterpart, jwks


@pytest.fixture(scope="session")
def counterpart(tmp_path_factory):
    if local.node() is None:
        pytest.skip("Node with oidc-provider is missing")
    with local.running(tmp_path_factory.mktemp("singpass") / "counterpart.log", PERSONAS) as url:
        yield Counterpart(url)


@pytest.fixture
def ours(settings):
    """Our side alone, with nobody at the other end."""
    settings.SINGPASS_CLIENT_ID = "T" * 32
    settings.SINGPASS_ISSUER = "http://127.0.0.1:9/fapi"
    settings.SINGPASS_REDIRECT_URI = CALLBACK
    settings.SINGPASS_SIGNING_KEYS = jwks("sig-1")
    settings.SINGPASS_ENCRYPTION_KEYS = jwks("enc-1")
    cache.clear()
    return settings


@pytest.fixture
def singpass(ours, counterpart, db, monkeypatch):
    """Our side and an issuer that answers it."""
    ours.SINGPASS_ISSUER = counterpart.issuer()
    monkeypatch.setattr(client, "_pause", lambda seconds: None)
    return ours


@pytest.fixture
def browser_there(singpass):
    return Browser()


@pytest.fixture
def variant(singpass, counterpart):
    """Use an issuer with other settings."""

    def variant(**settings) -> str:
        singpass.SINGPASS_ISSUER = counterpart.issuer(**settings)
        return singpass.SINGPASS_ISSUER

    return variant
