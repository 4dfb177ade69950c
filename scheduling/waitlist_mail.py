"""E-mails about the waitlist: the place in line, and an offer. Nothing in them says why somebody comes."""

from django.utils.translation import gettext as _

from clinic_booking.events import subscribe
from clinic_booking.models import Event
from clinic_booking.templatetags.page import local_date, local_time
from scheduling.links import entry_url, offer_url
from scheduling.models import BookingRequest, WaitlistEntry, WaitlistOffer
from scheduling.notifications import mail


@subscribe("waitlist.offered")
def mail_offer(event: Event) -> None:
    related = WaitlistOffer.objects.select_related("entry__session__request__patient", "hold__clinic")
    offer = related.get(pk=event.data["offer"])
    if offer.outcome != WaitlistOffer.Outcome.OPEN:
        # Answered or run out before this could be sent.
        return
    hold, entry = offer.hold, offer.entry
    context = {"offer": offer, "hold": hold, "clinic": hold.clinic}
    mail(
        event=event,
        kind="offer",
        to=entry.session.request.patient,
        subject=_("A time has become free for you: %(date)s at %(time)s")
        % {"date": local_date(hold.starts_at, hold.clinic), "time": local_time(hold.starts_at, hold.clinic)},
        context=context | {"url": offer_url(offer), "entry_url": entry_url(entry)},
    )


@subscribe("waitlist.joined")
def mail_place_in_line(event: Event) -> None:
    entry = WaitlistEntry.objects.select_related("session__request__patient").get(pk=event.data["entry"])
    if entry.session.request.source != BookingRequest.Source.WAITLIST:
        # A session of a plan: nobody asked, and there may be many.
        return
    mail(
        event=event,
        kind="waiting",
        to=entry.session.request.patient,
        subject=_("You are on the waitlist"),
        context={"url": entry_url(entry)},
    )
