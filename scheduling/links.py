"""Links to a visit for people without a login: whoever has the link from the e-mail may see the visit."""

from django.conf import settings
from django.core import signing
from django.urls import reverse

from scheduling.models import Booking

SALT = "visit-link"


def booking_url(booking: Booking) -> str:
    """The address to be written into messages to the patient."""
    path = reverse("booking", args=[booking.reference])
    return f"{settings.SITE_URL}{path}?key={_key(booking)}"


def new_time_url(booking: Booking) -> str:
    """Where the patient accepts the time to which the clinic moved the visit, or chooses another one."""
    path = reverse("new_time", args=[booking.reference])
    return f"{settings.SITE_URL}{path}?key={_key(booking)}"


def _key(booking: Booking) -> str:
    return signing.Signer(salt=SALT).signature(booking.reference)


def opens(key: str, reference: str) -> bool:
    try:
        return signing.Signer(salt=SALT).unsign(f"{reference}:{key}") == reference
    except signing.BadSignature:
        return False
