"""Links for people without a login: whoever has one from an e-mail may see the visit, the offer, the place in line.

Once somebody's acting for the patient has ended, links that were sent before open nothing (patients.proxies.letters).
"""

import datetime as dt
from typing import Any, Literal

from django.conf import settings
from django.core import signing
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from clinic_booking import rows
from clinic_booking.models import ClockTimestamp
from patients.proxies import letters
from scheduling.errors import BookingError
from scheduling.models import Booking, WaitlistEntry, WaitlistOffer

SALT = "visit-link"
ANSWER_SALT = "visit-answer"
ANSWER_LASTS = dt.timedelta(days=35)  # the earliest reminder comes 30 days before
LINK_LASTS = dt.timedelta(days=30)  # after the visit; who needs it later logs in, or asks the clinic
MOST_KEPT = 50
KEPT: dict[str, tuple[Any, str, str]] = {
    "bookings": (Booking, "reference", "patient"),
    "waiting": (WaitlistEntry, "pk", "session__request__patient"),
}


class LinkOver(BookingError):
    status = 410
    sentence = _(
        "This link opens nothing any more: who may act for the patient has changed since it was sent. Please log in, "
        "or call the clinic."
    )


class LinkTooOld(BookingError):
    status = 410
    sentence = _("This link is of a visit that is long over. Please log in to see it, or call the clinic.")


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
    signer = signing.TimestampSigner(salt=salt(ANSWER_SALT, letters.ends(booking.patient_id)))
    signed = signer.sign(booking.reference)
    return f"{settings.SITE_URL}{path}?key={signed.removeprefix(f'{booking.reference}:')}"


def opens_answer(key: str, reference: str) -> bool:
    booking = _booking(reference)
    if booking is None or letters.reach_former(booking.patient):
        return False
    signer = signing.TimestampSigner(salt=salt(ANSWER_SALT, letters.ends(booking.patient_id)))
    try:
        return signer.unsign(f"{reference}:{key}", max_age=ANSWER_LASTS) == reference
    except signing.BadSignature:
        return False


def opens(key: str, reference: str) -> bool:
    booking = _booking(reference)
    if booking is None or booking.is_long_over or letters.reach_former(booking.patient):
        return False
    return _is_signed(key, reference, salt(SALT, letters.ends(booking.patient_id)))


def refusal(key: str, reference: str) -> type[BookingError] | None:
    """Why a link that once opened the visit does so no more; None for what was no such link."""
    booking = _booking(reference)
    times = range(letters.ends(booking.patient_id) + 1) if booking else ()
    if booking is None or not any(_is_signed(key, reference, salt(SALT, each)) for each in times):
        return None
    return LinkTooOld if booking.is_long_over else LinkOver


def salt(name: str, ends: int) -> str:
    return f"{name}.{ends}" if ends else name


def _key(booking: Booking) -> str:
    return signing.Signer(salt=salt(SALT, letters.ends(booking.patient_id))).signature(booking.reference)


def _is_signed(key: str, what: str, by: str) -> bool:
    try:
        return signing.Signer(salt=by).unsign(f"{what}:{key}") == what
    except signing.BadSignature:
        return False


@rows.all_rows()  # nothing of it is shown before the key was checked
def _booking(reference: str) -> Any:
    found = Booking.objects.select_related("patient__user").filter(reference=reference)
    return found.annotate(is_long_over=Q(ends_at__lt=ClockTimestamp() - LINK_LASTS)).first()


# -- What a browser was given --------------------------------------------------------------------


def keep(request: HttpRequest, kind: Literal["bookings", "waiting"], key: Any, patient_id: int) -> None:
    """From now on this browser may see it without a login."""
    known = [each for each in request.session.get(kind, []) if each != key]
    request.session[kind] = [*known, key][-MOST_KEPT:]
    if ends := letters.ends(patient_id):
        request.session["ends"] = request.session.get("ends", {}) | {str(key): ends}


def kept(request: HttpRequest, kind: Literal["bookings", "waiting"]) -> list[Any]:
    """Without that of patients for whom acting has ended since it was given."""
    known: list[Any] = request.session.get(kind, [])
    if not known:
        return []
    model, name, patient = KEPT[kind]
    over = Q(**{f"{patient}__proxies__revoked_at__isnull": False}) | Q(
        **{f"{patient}__proxies__ends_at__lte": ClockTimestamp()}
    )
    with rows.all_rows():  # numbers of what this browser knows
        found = model.objects.filter(over, **{f"{name}__in": known}).values_list(name)
        now = dict(found.annotate(times=Count("pk")))
    then = request.session.get("ends", {})
    return [each for each in known if now.get(each, 0) <= then.get(str(each), 0)]


# -- Waitlist ------------------------------------------------------------------------------------


def offer_url(offer: WaitlistOffer) -> str:
    return _signed_url("offer", offer.pk, offer.entry)


def entry_url(entry: WaitlistEntry) -> str:
    return _signed_url("waiting", entry.pk, entry)


def _signed_url(kind: str, pk: int, entry: WaitlistEntry) -> str:
    by = salt(kind, letters.ends(entry.session.request.patient_id))
    return f"{settings.SITE_URL}{reverse(kind, args=[pk])}?key={signing.Signer(salt=by).signature(str(pk))}"


def opens_waiting(kind: str, key: str, pk: int, entry: WaitlistEntry) -> bool:
    """`kind` is "offer" or "waiting"; a key of one opens nothing of the other."""
    patient = entry.session.request.patient
    return not letters.reach_former(patient) and _is_signed(
        key, str(pk), salt(kind, letters.ends(patient.pk))
    )
