"""Deliveries that were tried to the end. Each waits for somebody to retry it or to discard it, and is counted meanwhile.

A parked delivery holds up nothing else: the event's other subscribers have their own jobs.
"""

import logging

from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from clinic_booking import events
from clinic_booking.models import Event, Parked, User

logger = logging.getLogger(__name__)
TOPICS = {Parked.End.RETRIED: "delivery.retried", Parked.End.DISCARDED: "delivery.discarded"}


def park(*, event_id: int, subscriber: str, tries: int, error: Exception) -> None:
    """`error` is kept by its name: its text may hold personal data. Safe to repeat."""
    logger.error("delivery parked", exc_info=error, extra={"event": event_id, "subscriber": subscriber})
    said = {"tries": tries, "error": type(error).__name__}
    Parked.objects.update_or_create(event_id=event_id, subscriber=subscriber, ended_at=None, defaults=said)


def retry(*, parked_id: int, by: User | None) -> bool:
    """Give it a new job with all its tries. False where somebody was faster, or no such subscriber is in the code."""
    with transaction.atomic(durable=True):
        parked = Parked.objects.select_related("event").get(pk=parked_id)
        if not events.handler(parked.event.topic, parked.subscriber):
            return False
        ended = end(parked.event, parked.subscriber, Parked.End.RETRIED, by=by)
        if ended:
            events.redeliver(parked.event, to=lambda name: name == parked.subscriber)
    return ended


def discard(*, parked_id: int, by: User, reason: str) -> bool:
    """Never to be delivered. False where somebody was faster."""
    with transaction.atomic(durable=True):
        parked = Parked.objects.select_related("event").get(pk=parked_id)
        ended = end(parked.event, parked.subscriber, Parked.End.DISCARDED, by=by, reason=reason)
    return ended


def end(event: Event, subscriber: str, how: Parked.End, *, by: User | None, reason: str = "") -> bool:
    """Joins the caller's transaction; the condition is the lock. Publishes what became of it."""
    still = open_ones().filter(event=event, subscriber=subscriber)
    parked_id = still.values_list("pk", flat=True).first()
    if not still.update(ended_at=Now(), ended_as=how, ended_by=by, reason=reason):
        return False
    data = {"parked": parked_id, "event": event.pk, "subscriber": subscriber, "by": by.pk if by else None}
    events.publish(TOPICS[how], f"parked:{parked_id}", data, clinic_id=event.clinic_id)
    return True


def open_ones() -> QuerySet[Parked]:
    return Parked.objects.filter(ended_at=None)


def by_subscriber() -> dict[str, int]:
    return dict(open_ones().values_list("subscriber").annotate(Count("pk")).order_by("subscriber"))
