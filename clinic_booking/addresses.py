"""Where a request comes from. Only our own proxy is believed what it says of that."""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
)


def behind_proxy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """REMOTE_ADDR is the client's from here on, and X-Forwarded-… of anybody else is as if it were not there.

    The proxy writes the address that it sees itself, so the last one of several is the only one that is known.
    """
    trusted = [ipaddress.ip_network(network) for network in settings.TRUSTED_PROXIES]

    def middleware(request: HttpRequest) -> HttpResponse:
        meta = request.META
        sender = _address(meta.get("REMOTE_ADDR", ""))
        if sender and any(sender in network for network in trusted):
            said = meta.pop("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
            if client := _address(said):
                meta["REMOTE_ADDR"] = str(client)
        else:
            for name in FORWARDED:
                meta.pop(name, None)
        return get_response(request)

    return middleware


def household(request: HttpRequest) -> str:
    """The address as far as one subscriber has it: of IPv6 the /64, in which a script has as many as it likes."""
    address = _address(request.META.get("REMOTE_ADDR", ""))
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or "unknown")


def household_key(request: HttpRequest) -> str:
    """For a row: says that two are the same, and without SECRET_KEY not which. 32 hexadecimal digits."""
    return salted_hmac("clinic_booking.addresses", household(request), algorithm="sha256").hexdigest()[:32]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
