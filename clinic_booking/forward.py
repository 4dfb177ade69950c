"""Events to Kafka, for other systems (`manage.py forward_events`): at least once, in order for each subject.

How far it is stands in the database, so it goes on where it stopped. What is sent again after a crash has the same id.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django.db import connection
from django.db.models.functions import Now

from clinic_booking import stream
from clinic_booking.models import Event, Reader

READER = "kafka"
FLUSH_SECONDS = 30
# The broker drops what a retry of the producer sends twice and keeps its order; all copies have it before it counts.
SAFE = {"enable.idempotence": True, "acks": "all"}


class NotTaken(Exception):
    """The broker did not take what was sent. Nothing is lost: the place has not moved."""


class AlreadyRunning(Exception):
    pass


class Producer(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(self, topic: str, **message: Any) -> None: ...
    def flush(self, timeout: float) -> int: ...


def as_message(event: Event) -> dict[str, Any]:
    """The subject is the key: what is about one thing is in one partition, in order."""
    headers = {"id": str(event.pk), "topic": event.topic, "version": str(event.version)}
    return {
        "key": event.subject.encode(),
        "value": stream.as_line(event).encode(),
        "headers": [(name, text.encode()) for name, text in headers.items()],
        "timestamp": int(event.created_at.timestamp() * 1000),
    }


def forward(
    producer: Producer, *, to: str, topics: Collection[str] = (), stop: threading.Event
) -> Iterator[int]:
    """Yields how many were taken by the broker, after each batch. Raises NotTaken, AlreadyRunning."""
    with _alone():
        for events, place in stream.follow(_place(), topics=topics, stop=stop):
            _send(producer, to, events)
            Reader.objects.filter(name=READER).update(**place._asdict(), updated_at=Now())
            yield len(events)


def _send(producer: Producer, to: str, events: list[Event]) -> None:
    failed: list[str] = []

    def taken(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    for event in events:
        producer.produce(to, on_delivery=taken, **as_message(event))
    left = producer.flush(FLUSH_SECONDS)
    if failed or left:
        raise NotTaken(failed[0] if failed else f"{left} events were not answered in {FLUSH_SECONDS} s")


def _place() -> stream.Place:
    reader, _made = Reader.objects.get_or_create(name=READER)
    return stream.Place(reader.xact, reader.event_id)


@contextmanager
def _alone() -> Iterator[None]:
    """Two would mix up the order. The lock is the connection's: it goes with the process."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('forward_events'))")
        if not cursor.fetchone()[0]:
            raise AlreadyRunning
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('forward_events'))")
