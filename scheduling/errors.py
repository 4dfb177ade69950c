"""Why a verb on bookings was refused. Each error knows its sentence for the person and its HTTP status."""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError


class BookingError(NamedError):
    part: int | None = None  # which of the times that were asked for together


class SlotTaken(BookingError):
    sentence = _("Someone else has just taken this time. Please choose another one.")

    def __init__(self, nearby: list[Any] | None = None) -> None:
        super().__init__()
        self.nearby = nearby or []


class SlotBlocked(SlotTaken):
    sentence = _("This time is not open for booking. Please choose another one.")


class SlotPast(SlotTaken):
    sentence = _("This time is already over. Please choose a later one.")


class EquipmentTaken(SlotTaken):
    sentence = _("The equipment for this visit is in use at this time. Please choose another time.")


class SlotGone(BookingError):
    status = 404
    sentence = _("This time does not exist any more. Please choose another one.")


class NotOffered(BookingError):
    status = 422
    sentence = _("This service cannot be booked at this time. Please choose another time.")


class PartsOverlap(BookingError):
    status = 422
    sentence = _("Two of the chosen times overlap.")


class TooMany(BookingError):
    status = 422
    sentence = _("That is more than can be kept at once.")


class HeldTooMany(BookingError):
    """Kept against scripts that hold whatever is free (`may_hold` in the database)."""

    status = 429
    retry_after_seconds = 60
    sentence = _(
        "Many times are being kept from your network, or of this day, just now. Please log in, try again in a few "
        "minutes, or call the clinic: they can book for you."
    )


class SessionGone(BookingError):
    sentence = _("This session is already booked, or is not to be booked any more.")


class HoldGone(BookingError):
    status = 404
    sentence = _("We do not know this reservation. Please choose a time again.")


class HoldExpired(BookingError):
    status = 410
    sentence = _("The time kept for you has run out. Nothing was charged. Please choose a time again.")


class NoMoreRenewals(BookingError):
    sentence = _("The time kept for you cannot be extended again.")


class PatientBusy(BookingError):
    sentence = _("You already have a visit at this time.")


class TooLate(BookingError):
    sentence = _("This visit can no longer be changed online. Please call the clinic.")


class FeeChanged(BookingError):
    sentence = _("What cancelling costs has changed since you opened this page. Nothing is cancelled yet.")


class BillSettled(BookingError):
    sentence = _(
        "This visit is settled: what was paid above its fee goes back. Please book a new visit instead."
    )


class WrongState(BookingError):
    """May say more exactly what the visit is already."""

    sentence: str | Promise = _("This visit cannot be changed like that any more.")
    cancelled = _("This visit was cancelled.")
    fulfilled = _("This visit is already done.")
    noshow = _("It is already noted that the patient did not come to this visit.")
    arrived = _("It is already noted that the patient is here.")
    begun = _("This visit has already begun.")
    left = _("This person has already left the queue.")

    def __init__(self, sentence: str | Promise | None = None) -> None:
        super().__init__()
        if sentence:
            self.sentence = sentence


class NotToday(BookingError):
    sentence = _("This visit is not today. Patients are checked in on the day of their visit.")


class TooEarly(BookingError):
    sentence = _("This visit has not begun yet, so it cannot be over.")


class NobodyFree(BookingError):
    sentence = _("Nobody has a free time for this today. It can be added only as an overbooking.")


class ChangedMeanwhile(BookingError):
    sentence = _("Someone changed this visit just now. Please look again.")


# -- Waitlist ------------------------------------------------------------------------------------


class AlreadyWaiting(BookingError):
    sentence = _("This is already on the waitlist.")


class TooManyWaiting(BookingError):
    sentence = _("You are waiting for many visits already. Please leave one of these lists first.")


class NotWaiting(BookingError):
    sentence = _("This is not on the waitlist any more.")


class NoTimeToOffer(BookingError):
    sentence = _("There is too little time left to offer this visit.")


class OfferOver(BookingError):
    status = 410
    sentence = _("This offer has run out. You keep your place on the waitlist.")


class OfferDeclined(BookingError):
    sentence = _("You have already declined this offer. You keep your place on the waitlist.")


class OfferAccepted(BookingError):
    sentence = _("This offer is already accepted. Please finish the booking where you began it.")


class OfferWithdrawn(BookingError):
    status = 410
    sentence = _("The clinic had to withdraw this offer. Please call us if you have questions.")
