import pytest

from billing import gateway
from billing.checks import payments_are_real

LIVE = {
    "STRIPE_API_BASE": "https://api.stripe.com",
    "STRIPE_JS_URL": "https://js.stripe.com/endive/stripe.js",
    "STRIPE_SECRET_KEY": "rk_live_" + "x" * 20,
    "STRIPE_PUBLISHABLE_KEY": "pk_live_" + "x" * 20,
    "STRIPE_WEBHOOK_SECRETS": ["whsec_" + "x" * 20],
}


@pytest.fixture
def live(settings):
    for name, value in LIVE.items():
        setattr(settings, name, value)
    return settings


def test_live_settings_pass(live):
    assert payments_are_real(None) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("STRIPE_API_BASE", "http://127.0.0.1:12111", "billing.E001"),
        ("STRIPE_JS_URL", "https://js.stripe.com/v3/", "billing.E002"),
        ("STRIPE_SECRET_KEY", "sk_test_local", "billing.E003"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_local", "billing.E004"),
        ("STRIPE_WEBHOOK_SECRETS", [], "billing.E005"),
        ("STRIPE_WEBHOOK_SECRETS", ["whsec_local"], "billing.E005"),
    ],
)
def test_each_local_setting_is_an_error(live, name, value, found):
    setattr(live, name, value)
    assert [error.id for error in payments_are_real(None)] == [found]


def test_another_api_version_is_an_error(live, monkeypatch):
    monkeypatch.setattr(gateway, "API_VERSION", "2026-03-25.dahlia")
    assert [error.id for error in payments_are_real(None)] == ["billing.E006"]
