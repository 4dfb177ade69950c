"""Where a request comes from, as far as it can be believed."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Our proxy writes X-Forwarded-For itself, with one address; without it (development) the header means nothing."""
    given = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.PRODUCTION else ""
    return (given or str(request.META.get("REMOTE_ADDR", ""))).rpartition(",")[2].strip()


def network(request: HttpRequest) -> str:
    """What counts as one place: an IPv4 address, a /64 of IPv6 (one subscriber has them all)."""
    address = client_address(request)
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return address
