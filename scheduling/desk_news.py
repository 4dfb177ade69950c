"""What patients hear of the desk's moves: a little later and only where the last they heard is not true any more.

Nothing is kept for this: the events say where a visit was, the notifications what was sent.
"""

import datetime as dt
from typing import NamedTuple

from django.db.models import Exists, OuterRef, QuerySet

from clinic_booking.events import NotYet
from clinic_booking.models import Event, Notification
from scheduling.locks import database_now
from scheduling.models import Booking

TOLD = [Notification.Status.SENT, Notification.Status.DELIVERED, Notification.Status.BY_PHONE]
PATIENTS_WAIT = dt.timedelta(minutes=3)
WAITLIST_WAIT = dt.timedelta(seconds=15)  # longer than an act can be undone


class Told(NamedTuple):
    """What a message says of a visit: when and at which clinic, not in which room and with whom."""

    starts_at: dt.datetime
    clinic_id: int


def wait(event: Event, how_long: dt.timedelta) -> None:
    """For an act of the desk that may still be undone. Raises NotYet."""
    if not event.data.get("act"):
        return
    left = event.created_at + how_long - database_now()
    if left > dt.timedelta(0):
        raise NotYet(left.total_seconds())


def is_due(event: Event, booking: Booking) -> bool:
    """Whether the patient is to hear of this move now: nobody moved the visit since, and what they know is wrong.

    Raises NotYet while it is too early.
    """
    wait(event, PATIENTS_WAIT)
    if _moves(booking).filter(pk__gt=event.pk).exists():
        return False  # the later move tells
    return last_told(booking) != Told(booking.starts_at, booking.clinic_id)


def last_told(booking: Booking) -> Told | None:
    """Where the visit was before those moves of the desk of which the patient has heard nothing. None: all is told."""
    told = None
    for move in _moves(booking).annotate(is_told=Exists(_sent())).order_by("-pk"):
        if move.is_told or not move.data.get("act"):
            break
        told = Told(dt.datetime.fromisoformat(move.data["from"]), move.data["from_clinic"])
    return told


def as_last_told(booking: Booking) -> None:
    """Put the visit where the patient thinks that it is, for a message; not to be saved."""
    if told := last_told(booking):
        length = booking.ends_at - booking.starts_at
        booking.starts_at, booking.ends_at = told.starts_at, told.starts_at + length
        booking.clinic_id = told.clinic_id


def _moves(booking: Booking) -> QuerySet[Event]:
    return Event.objects.filter(subject=f"booking:{booking.pk}", topic="appointment.moved")


def _sent() -> QuerySet[Notification]:
    return Notification.objects.filter(event=OuterRef("pk"), status__in=TOLD)
