"""`check --deploy`: production takes money from the real Stripe, with one API version everywhere."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from billing import gateway

LOCAL = "whsec_local"


@register(Tags.security, deploy=True)
def payments_are_real(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return list(problems())


def problems() -> Iterator[Error]:
    if settings.STRIPE_API_BASE != gateway.LIVE_API_BASE:
        yield Error(
            f"STRIPE_API_BASE is not {gateway.LIVE_API_BASE}.", hint="Leave it unset.", id="billing.E001"
        )
    if settings.STRIPE_JS_URL != gateway.LIVE_SCRIPT_URL:
        yield Error(f"The page does not load {gateway.LIVE_SCRIPT_URL}.", id="billing.E002")
    if not settings.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")):
        yield Error(
            "STRIPE_SECRET_KEY is no live key.",
            hint="Make a restricted key (rk_live_…) for payment intents, refunds and events.",
            id="billing.E003",
        )
    if not settings.STRIPE_PUBLISHABLE_KEY.startswith("pk_live_"):
        yield Error("STRIPE_PUBLISHABLE_KEY is no live key.", id="billing.E004")
    local = [key for key in settings.STRIPE_WEBHOOK_SECRETS if not key.startswith("whsec_") or key == LOCAL]
    if local or not settings.STRIPE_WEBHOOK_SECRETS:
        yield Error("STRIPE_WEBHOOK_SECRET is not the secret of a webhook endpoint.", id="billing.E005")
    if gateway.library_api_version() != gateway.API_VERSION:
        yield Error(
            f"The stripe library speaks {gateway.library_api_version()}, the code {gateway.API_VERSION}.",
            hint="Raise library, webhook endpoint and page script together.",
            id="billing.E006",
        )
