"""Login of patients with Singpass by its FAPI 2.0 profile (docs/singpass.md)."""

from django.conf import settings


def is_on() -> bool:
    """Without all of these the button is not shown."""
    needed = ("CLIENT_ID", "ISSUER", "REDIRECT_URI", "SIGNING_KEYS", "ENCRYPTION_KEYS")
    return all(getattr(settings, f"SINGPASS_{name}") for name in needed)
