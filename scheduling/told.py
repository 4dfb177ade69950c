"""What a patient has been told about a visit, for the desk."""

from collections.abc import Iterator
from typing import NamedTuple

from django.utils.functional import Promise

from clinic_booking.messages.kinds import KINDS, Channel
from clinic_booking.models import Event, Notification
from scheduling.models import Booking, Reminder


class Told(NamedTuple):
    what: str | Promise
    channel: str | Promise
    note: Notification


def messages_about(booking: Booking) -> Iterator[Told]:
    """Newest first."""
    events = [
        *Event.objects.filter(subject=f"booking:{booking.pk}").values_list("pk", flat=True),
        *Reminder.objects.filter(booking=booking).exclude(event=None).values_list("event", flat=True),
    ]
    for note in Notification.objects.filter(event__in=events).order_by("-pk"):
        kind = KINDS.get(note.kind)
        yield Told(kind.title if kind else note.kind, Channel(note.channel).label, note)
