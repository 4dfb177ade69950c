"""Messages about the waitlist: the place in line, and an offer. Nothing in them says why somebody comes."""

from functools import partial
from typing import Any

from clinic_booking.events import subscribe
from clinic_booking.messages.sending import overtaken
from clinic_booking.models import Event
from scheduling.links import entry_url, offer_url
from scheduling.message_kinds import as_moment, place_facts, time_facts
from scheduling.models import BookingRequest, WaitlistEntry, WaitlistOffer
from scheduling.notifications import tell


@subscribe("waitlist.offered")
def mail_offer(event: Event) -> None:
    related = WaitlistOffer.objects.select_related("entry__session__request__patient", "hold__clinic")
    offer = related.get(pk=event.data["offer"])
    if offer.outcome != WaitlistOffer.Outcome.OPEN:
        # Answered or run out before this could be sent.
        return overtaken(event)
    tell(
        event=event,
        kind="offer",
        to=offer.entry.session.request.patient,
        clinic=offer.hold.clinic,
        facts=partial(_offered, offer),
        is_urgent=True,  # it is kept for a short while only; none is made for the night
        until=offer.hold.expires_at,
    )


def _offered(offer: WaitlistOffer) -> dict[str, Any]:
    hold, clinic = offer.hold, offer.hold.clinic
    return {
        **time_facts(hold.starts_at, hold.ends_at, clinic),
        **place_facts(clinic),
        "answer_by": as_moment(hold.expires_at, clinic),
        "link": offer_url(offer),
    }


@subscribe("waitlist.joined")
def mail_place_in_line(event: Event) -> None:
    entry = WaitlistEntry.objects.select_related("session__request__patient").get(pk=event.data["entry"])
    if entry.session.request.source != BookingRequest.Source.WAITLIST:
        # A session of a plan: nobody asked, and there may be many.
        return
    tell(
        event=event,
        kind="waiting",
        to=entry.session.request.patient,
        facts=lambda: {"link": entry_url(entry)},
    )
