"""Why production must not start with these settings: a sentence for each, with what to do.

Read at the end of settings.py, so no process of production runs without it.
"""

import ipaddress
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured

from clinic_booking import crypto

SECRET_LENGTH = 50
KEY_LENGTH = 32
LONGEST_IDLE = 3600  # seconds
ROLE = "clinic_app"
VERIFIED = {"verify-ca", "verify-full"}  # "require" takes any certificate
# Beginnings of what is in this repository, so known to everybody.
KNOWN = (
    "development-only",
    "sk_test_local",
    "pk_test_local",
    "whsec_local",
    "report_local",
    "django-insecure",
    "dpo@harbour-clinics.example",
)


class Insecure(ImproperlyConfigured):
    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__("Production does not start like this:\n- " + "\n- ".join(reasons))


def reasons(values: Mapping[str, Any]) -> Iterator[str]:
    if values["DEBUG"]:
        yield "DEBUG is on: pages of errors would show settings and data. Unset DEBUG."
    yield from _secrets(values)
    yield from _names(values)
    yield from _networks(values)
    yield from _limits(values)
    if sys.argv[1:3] == ["procrastinate", "worker"]:
        yield from of_serving(values)
    if values.get("DEMO_SECOND_FACTOR_CODE"):
        yield "MFA_TOTP_INSECURE_BYPASS_CODE is set: it opens every account. Unset it."
    if not values["METRICS_TOKEN"]:
        yield "METRICS_TOKEN is empty: /metrics would answer anybody. Set a long random text."


def of_serving(values: Mapping[str, Any]) -> Iterator[str]:
    """Of web, live and worker alone: what migrates, backs up or drops months of the audit trail is the owner."""
    if values["PRODUCTION"] and values["DATABASE_ROLE"] != ROLE:
        yield (
            f"DATABASE_ROLE is not {ROLE}: this process could change the audit trail, and row security would bind it to"
            f" nothing. Set DATABASE_ROLE={ROLE}."
        )


def _limits(values: Mapping[str, Any]) -> Iterator[str]:
    if not values["RATE_LIMITS"]:
        yield "RATE_LIMITS is off: passwords and codes could be guessed by the thousand. Unset it, or name each limit."
    for name in ("STAFF_IDLE_SECONDS", "PATIENT_IDLE_SECONDS"):
        if not 0 < values[name] <= LONGEST_IDLE:
            yield f"{name} is no time within an hour: a login would stay open on a screen that was left."
    if values["SECURE_HSTS_SECONDS"] <= 0:
        yield "SECURE_HSTS_SECONDS is 0: the first visit could be without TLS. Begin with 300."


def _secrets(values: Mapping[str, Any]) -> Iterator[str]:
    key = values["SECRET_KEY"]
    if len(key) < SECRET_LENGTH or len(set(key)) < 8:
        yield f"SECRET_KEY is short or plain: set {SECRET_LENGTH} or more random characters."
    secrets = {"SECRET_KEY": [key], "SECRET_KEY_FALLBACKS": values["SECRET_KEY_FALLBACKS"]}
    secrets["STRIPE_SECRET_KEY"] = [values["STRIPE_SECRET_KEY"]]
    secrets["STRIPE_PUBLISHABLE_KEY"] = [values["STRIPE_PUBLISHABLE_KEY"]]
    secrets["STRIPE_WEBHOOK_SECRET"] = values["STRIPE_WEBHOOK_SECRETS"]
    secrets["MESSAGE_REPORT_SECRETS"] = values["MESSAGE_REPORT_SECRETS"]
    secrets["SECOND_FACTOR_KEYS"] = values.get("SECOND_FACTOR_KEYS", [])
    secrets["AUDIT_KEYS"] = values.get("AUDIT_KEYS", [])
    for name in ("SECOND_FACTOR_KEYS", "AUDIT_KEYS"):
        if any(len(key) < KEY_LENGTH for key in secrets[name]):
            yield f"{name} is short: set {KEY_LENGTH} or more random characters."
    secrets["BACKUP_KEY"], secrets["DPO_EMAIL"] = [values["BACKUP_KEY"]], [values["DPO_EMAIL"]]
    for name, given in secrets.items():
        if any(secret.startswith(KNOWN) for secret in given):
            yield f"{name} is the one for development, which everybody can read. Set one of your own."
    sealing, indexing = (
        set(crypto.Keys.of(values[name]).by_id.values()) for name in ("FIELD_KEYS", "BLIND_INDEX_KEYS")
    )
    if sealing & indexing:
        yield "BLIND_INDEX_KEYS holds a key of FIELD_KEYS: who learns one would have both. Make another."


def _names(values: Mapping[str, Any]) -> Iterator[str]:
    if urlsplit(values["SITE_URL"]).scheme != "https":
        yield "SITE_URL is not https: links in messages would go out without TLS. Set https://…"
    hosts = values["ALLOWED_HOSTS"]
    if not hosts:
        yield "ALLOWED_HOSTS is empty: nobody would be answered. Set the host name."
    if any("*" in host or host.startswith(".") for host in hosts):
        yield "ALLOWED_HOSTS has a pattern: links could be made to name a foreign host. Set the host name."
    if any(urlsplit(origin).scheme != "https" for origin in values["CSRF_TRUSTED_ORIGINS"]):
        yield "CSRF_TRUSTED_ORIGINS has one that is not https. Set https://…"
    for name in ("STRIPE_API_BASE", "SINGPASS_ISSUER"):
        if urlsplit(values[name]).scheme != "https":
            yield f"{name} is not https: anybody on the way could answer for it. Set https://…"
    if any(ipaddress.ip_network(network).prefixlen == 0 for network in values["TRUSTED_PROXIES"]):
        yield "TRUSTED_PROXIES is everybody: any client could say whose address it has. Name the proxy's network."


def _networks(values: Mapping[str, Any]) -> Iterator[str]:
    """Passwords and patients' data go over these lines."""
    database = values["DATABASES"]["default"]
    mode = database.get("OPTIONS", {}).get("sslmode", "")
    if not is_near(database.get("HOST", "")) and mode not in VERIFIED:
        yield "DATABASE_URL goes to another network without TLS that is verified. Add ?sslmode=verify-full."
    cache = urlsplit(values["REDIS_URL"])
    if not is_near(cache.hostname or "") and cache.scheme != "rediss":
        yield "REDIS_URL goes to another network without TLS. Use rediss://…"
    by_tls = values.get("EMAIL_USE_TLS") or values.get("EMAIL_USE_SSL")
    if not is_near(values.get("EMAIL_HOST", "")) and not by_tls:
        yield "EMAIL_URL goes to another network without TLS. Use smtp+tls://…"
    if cache.scheme == "rediss" and parse_qs(cache.query).get("ssl_cert_reqs") == ["none"]:
        yield "REDIS_URL accepts any certificate. Take ssl_cert_reqs=none out."


def is_near(host: str) -> bool:
    """A service of the same compose network or machine: a name without a dot, a socket, a private address."""
    if not host or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." not in host
