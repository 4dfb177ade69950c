"""What becomes free is offered to the waitlist, and the waitlist hears what became of a session. Safe to repeat."""

import contextlib
import datetime as dt

from clinic_booking.events import subscribe
from clinic_booking.models import Event
from scheduling.desk_news import WAITLIST_WAIT, wait
from scheduling.errors import AlreadyWaiting, NotWaiting
from scheduling.models import Booking, Clinic, Hold, SessionTicket, Slot, WaitlistEntry, WaitlistOffer
from scheduling.queue import Freed
from scheduling.waitlist import OPEN, end_where_over, join_session, settle
from scheduling.waitlist_offers import offer_freed

# -- Supply --------------------------------------------------------------------------------------


@subscribe("appointment.cancelled", "appointment.noshow")
def offer_time_of_visit(event: Event) -> None:
    offer_freed(Freed.of_booking(_booking(event)))


@subscribe("appointment.moved")
def offer_time_before_move(event: Event) -> None:
    wait(event, WAITLIST_WAIT)
    booking = _booking(event)
    length = Freed.of_booking(booking).until - booking.starts_at
    first = dt.datetime.fromisoformat(event.data["from"])
    # The clinic may have been another one.
    of_then = Slot.objects.filter(
        practitioner=event.data["from_practitioner"], starts_at__gte=first, starts_at__lt=first + length
    )
    _offer_slots(list(of_then))


@subscribe("hold.expired")
def offer_time_of_hold(event: Event) -> None:
    hold = Hold.objects.get(pk=event.data["hold"])
    if hold.session_id:
        open_entries = WaitlistEntry.objects.filter(session=hold.session_id, status__in=OPEN)
        for entry_id in open_entries.values_list("pk", flat=True):
            settle(entry_id)
    offer_freed(Freed.of_hold(hold))


@subscribe("waitlist.offer_ended")
def pass_on_offer(event: Event) -> None:
    offer = WaitlistOffer.objects.select_related("hold").get(pk=event.data["offer"])
    offer_freed(Freed.of_hold(offer.hold))


@subscribe("slots.changed")
def offer_opened_slots(event: Event) -> None:
    if event.data["status"] == "available":
        _offer_slots(list(Slot.objects.filter(pk__in=event.data["slots"])))


@subscribe("supply.added")
def offer_new_supply(event: Event) -> None:
    """Day by day: a whole month at once would be a large join."""
    clinic = Clinic.objects.get(pk=event.subject.removeprefix("clinic:"))
    first = dt.date.fromisoformat(event.data["first"])
    for n in range(event.data["days"]):
        if not WaitlistEntry.objects.filter(status=WaitlistEntry.Status.WAITING).exists():
            return
        offer_freed(Freed(clinic.pk, *clinic.day_bounds(first + dt.timedelta(n))))


def _offer_slots(slots: list[Slot]) -> None:
    for freed in Freed.of_slots(slots):
        offer_freed(freed)


# -- Demand --------------------------------------------------------------------------------------


@subscribe("request.unmatched")
def wait_with_unplaced(event: Event) -> None:
    """What matching found no time for waits for one."""
    still = SessionTicket.objects.filter(pk__in=event.data["sessions"], status=SessionTicket.Status.PLANNED)
    for session_id in still.values_list("pk", flat=True):
        with contextlib.suppress(AlreadyWaiting, NotWaiting):
            join_session(session_id=session_id, by=None)


@subscribe("appointment.booked")
def end_waiting(event: Event) -> None:
    end_where_over(session=_booking(event).session_id)


@subscribe("request.closed")
def end_unwanted(event: Event) -> None:
    end_where_over(session__request=event.data["request"])


def _booking(event: Event) -> Booking:
    return Booking.objects.select_related("service").get(pk=event.data["booking"])
