"""Links for people without a login: whoever has one from an e-mail may see the visit, the offer, the place in line."""

import datetime as dt

from django.conf import settings
from django.core import signing
from django.urls import reverse

from scheduling.models import Booking, WaitlistEntry, WaitlistOffer

SALT = "visit-link"
ANSWER_SALT = "visit-answer"
ANSWER_LASTS = dt.timedelta(days=35)  # the earliest reminder comes 30 days before


def booking_url(booking: Booking) -> str:
    """The address to be written into messages to the patient."""
    path = reverse("booking", args=[booking.reference])
    return f"{settings.SITE_URL}{path}?key={_key(booking)}"


def new_time_url(booking: Booking) -> str:
    """Where the patient accepts the time to which the clinic moved the visit, or chooses another one."""
    path = reverse("new_time", args=[booking.reference])
    return f"{settings.SITE_URL}{path}?key={_key(booking)}"


def answer_url(booking: Booking) -> str:
    """Where the patient confirms the visit, cancels or moves it; runs out, since it comes by SMS too."""
    path = reverse("answer", args=[booking.reference])
    signed = signing.TimestampSigner(salt=ANSWER_SALT).sign(booking.reference)
    return f"{settings.SITE_URL}{path}?key={signed.removeprefix(f'{booking.reference}:')}"


def opens_answer(key: str, reference: str) -> bool:
    try:
        signer = signing.TimestampSigner(salt=ANSWER_SALT)
        return signer.unsign(f"{reference}:{key}", max_age=ANSWER_LASTS) == reference
    except signing.BadSignature:
        return False


def _key(booking: Booking) -> str:
    return signing.Signer(salt=SALT).signature(booking.reference)


def opens(key: str, reference: str) -> bool:
    try:
        return signing.Signer(salt=SALT).unsign(f"{reference}:{key}") == reference
    except signing.BadSignature:
        return False


# -- Waitlist ------------------------------------------------------------------------------------


def offer_url(offer: WaitlistOffer) -> str:
    return _signed_url("offer", offer.pk)


def entry_url(entry: WaitlistEntry) -> str:
    return _signed_url("waiting", entry.pk)


def _signed_url(kind: str, pk: int) -> str:
    return f"{settings.SITE_URL}{reverse(kind, args=[pk])}?key={signing.Signer(salt=kind).signature(str(pk))}"


def opens_waiting(kind: str, key: str, pk: int) -> bool:
    """`kind` is "offer" or "waiting"; a key of one opens nothing of the other."""
    try:
        return signing.Signer(salt=kind).unsign(f"{pk}:{key}") == str(pk)
    except signing.BadSignature:
        return False
