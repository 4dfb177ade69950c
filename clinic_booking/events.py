"""Publish and subscribe. An event and one job for each subscriber are written in the caller's transaction.

Delivered at least once and in no promised order: every handler is safe to repeat (design §5).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.db import connection
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.jobs import JobDeferrer
from procrastinate.manager import JobManager
from procrastinate.tasks import Task
from procrastinate.types import JSONValue

from clinic_booking import topics
from clinic_booking.models import Event, Parked

Handler = Callable[[Event], None]
_subscribers: dict[str, dict[str, Handler]] = {}
# A worker's own connector has other connections: jobs written there would start before the event is committed.
_of_this_transaction = JobManager(DjangoConnector())


def subscribe(*topics: str) -> Callable[[Handler], Handler]:
    """Register a handler; the name under which its jobs run is module.function."""

    def register(handler: Handler) -> Handler:
        for topic in topics:
            _subscribers.setdefault(topic, {})[f"{handler.__module__}.{handler.__qualname__}"] = handler
        return handler

    return register


class NotYet(Exception):
    """Raised by a handler that has to wait: the event is delivered to it again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class News(NamedTuple):
    """One event to be. `data` holds ids and codes, never names or contacts: the stream may leave the system."""

    topic: str
    subject: str
    data: dict[str, Any]
    clinic_id: int | None = None


def publish(topic: str, subject: str, data: dict[str, Any], *, clinic_id: int | None = None) -> Event:
    """As `publish_all`, for one."""
    return publish_all([News(topic, subject, data, clinic_id)])[0]


def redeliver(event: Event, *, to: Callable[[str], bool]) -> int:
    """Write the jobs of those subscribers again whose name (module.function) is asked for. Returns how many.

    Joins the caller's transaction. What was parked of them is not any more.
    """
    from clinic_booking import parked

    names = [name for name in _subscribers.get(event.topic, ()) if to(name)]
    for name in names:
        parked.end(event, name, Parked.End.RETRIED, by=None)
    _write_jobs({"event_id": event.pk, "subscriber": name} for name in names)
    return len(names)


def publish_all(news: Iterable[News]) -> list[Event]:
    """Write the events and their jobs, in two statements however many they are.

    Refuses to run outside a transaction, because it would not be atomic. Raises UnknownTopic, WrongPayload.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("publish() needs the transaction of the change it tells about")
    events = Event.objects.bulk_create(map(_event, news))
    _write_jobs(
        {"event_id": event.pk, "subscriber": name}
        for event in events
        for name in _subscribers.get(event.topic, ())
    )
    return events


def _event(news: News) -> Event:
    topic = topics.find(news.topic)
    topic.check(news.subject, news.data)
    return Event(
        topic=topic.name,
        version=topic.version,
        subject=news.subject,
        clinic_id=news.clinic_id,
        data=news.data,
    )


def _write_jobs(wanted: Iterable[dict[str, JSONValue]]) -> None:
    from clinic_booking.jobs import deliver

    if jobs := list(wanted):
        JobDeferrer(_of_this_transaction, deliver.configure().job).batch_defer(*jobs)


def defer(task: Task[Any, Any, Any], **arguments: JSONValue) -> None:
    """Write a job in the caller's transaction: for what is done by nobody's subscription, such as a letter to staff."""
    JobDeferrer(_of_this_transaction, task.configure().job).defer(**arguments)


def deliver_later(event_id: int, subscriber: str, seconds: float) -> None:
    from clinic_booking.jobs import deliver

    later = deliver.configure(queue="later", schedule_in={"milliseconds": round(seconds * 1000) + 1})
    JobDeferrer(_of_this_transaction, later.job).defer(event_id=event_id, subscriber=subscriber)


def subscribers(topic: str) -> list[str]:
    return sorted(_subscribers.get(topic, ()))


def handler(topic: str, name: str) -> Handler | None:
    """The handler, or None where it was removed since the job was written."""
    return _subscribers.get(topic, {}).get(name)
