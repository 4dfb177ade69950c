"""`check --deploy`: what is missing or weak in the configuration of Singpass."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register

from patients.singpass import is_on, keys

NEEDED = ("SINGPASS_CLIENT_ID", "SINGPASS_SIGNING_KEYS", "SINGPASS_ENCRYPTION_KEYS")
STRONG = {f"urn:singpass:authentication:loa:{level}" for level in (2, 3)}


@register(Tags.security, deploy=True)
def singpass_is_sound(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    missing = [name for name in NEEDED if not getattr(settings, name)]
    if len(missing) == len(NEEDED):
        return [Info("Login with Singpass is off: no SINGPASS_CLIENT_ID.", id="singpass.I001")]
    if not is_on():
        return [Error(f"Login with Singpass lacks {', '.join(missing)}.", id="singpass.E001")]
    return [*_keys(), *_addresses(), *_strength()]


def _keys() -> Iterator[CheckMessage]:
    for problem in keys.problems():
        yield Error(problem, hint="`manage.py singpass_keys --new` makes a pair.", id="singpass.E002")


def _addresses() -> Iterator[CheckMessage]:
    if settings.SINGPASS_ISSUER != settings.SINGPASS_PRODUCTION_ISSUER:
        yield Error(
            f"SINGPASS_ISSUER is {settings.SINGPASS_ISSUER}: not Singpass's production.",
            hint="On a staging machine silence singpass.E003; anywhere else strangers could log in.",
            id="singpass.E003",
        )
    back = urlsplit(settings.SINGPASS_REDIRECT_URI)
    is_number = (back.hostname or "").replace(".", "").isdigit() or ":" in (back.hostname or "")
    if back.scheme != "https" or is_number or back.path != "/oidc/callback/":
        yield Error(
            "SINGPASS_REDIRECT_URI must be https://<a host name>/oidc/callback/, as registered at the portal.",
            id="singpass.E004",
        )
    elif not _is_allowed(back.hostname or ""):
        yield Error("The host of SINGPASS_REDIRECT_URI is not in ALLOWED_HOSTS.", id="singpass.E005")


def _strength() -> Iterator[CheckMessage]:
    if settings.SINGPASS_MIN_ACR not in STRONG:
        yield Error(
            "SINGPASS_MIN_ACR admits logins by password alone: two factors are the least.", id="singpass.E006"
        )
    if "openid" not in settings.SINGPASS_SCOPES.split():
        yield Error("SINGPASS_SCOPES must hold openid.", id="singpass.E007")


def _is_allowed(host: str) -> bool:
    return any(
        each == "*" or each == host or (each.startswith(".") and host.endswith(each))
        for each in settings.ALLOWED_HOSTS
    )
