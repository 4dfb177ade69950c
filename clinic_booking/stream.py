"""The events in an order in which none comes late, to be read on from any place (docs/adr/0012).

Ids are given before the commit: a smaller one may appear after a larger one was read. So the order is that of the
transactions, and only what is older than every transaction under way is read: no more of it can come.
"""

import datetime as dt
import json
import logging
import threading
from collections.abc import Collection, Iterator
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from clinic_booking.models import Event

BATCH = 1000
CHANNEL = "clinic_events"  # a trigger tells it of every insert
POLL_SECONDS = 0.5  # what was committed beside an older transaction becomes certain without being told
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    xact: int
    event_id: int


START = Place(0, 0)


class Restored(Exception):
    """The database was restored from a dump: its transactions are numbered anew, those of the events are not."""

    def __init__(self) -> None:
        super().__init__(
            _("The events come from another database: run manage.py events --after-restore once.")
        )


# Who writes in another database of the cluster, or is the autovacuum, writes no event of ours.
HORIZON = """
WITH taken AS (SELECT pg_current_snapshot() AS now)
SELECT least(pg_current_xact_id_if_assigned()::text::bigint, coalesce(
        (SELECT min(x::text::bigint) FROM pg_snapshot_xip(taken.now) AS x
         WHERE x::xid NOT IN (
            SELECT backend_xid FROM pg_stat_activity WHERE backend_xid IS NOT NULL
            AND (datname IS DISTINCT FROM current_database() OR backend_type = 'autovacuum worker'))),
        pg_snapshot_xmax(taken.now)::text::bigint)),
    (SELECT max(xact) FROM clinic_booking_event) >= greatest(
        pg_snapshot_xmax(taken.now)::text::bigint, pg_current_xact_id_if_assigned()::text::bigint + 1)
FROM taken
"""


def horizon() -> Place:
    """Everything before it is committed or never will be. Raises Restored."""
    with connection.cursor() as cursor:
        cursor.execute(HORIZON)
        xact, is_of_another_cluster = cursor.fetchone()
    if is_of_another_cluster:
        raise Restored
    return Place(xact, 0)


def place_of(event_id: int) -> Place:
    """Right after this event. Raises Event.DoesNotExist."""
    return Place(*Event.objects.values_list("xact", "pk").get(pk=event_id))


def first_since(begin: dt.datetime) -> Place:
    """Before every event of this time or later."""
    first = Event.objects.filter(created_at__gte=begin).aggregate(Min("xact"))["xact__min"]
    return horizon() if first is None else Place(first, 0)


def read(after: Place, *, topics: Collection[str] = (), limit: int = BATCH) -> tuple[list[Event], Place]:
    """At most `limit` events, and the place after them. Fewer than `limit`: there are no more yet."""
    end = horizon()
    wanted = " AND topic = ANY(%(topics)s)" if topics else ""
    found = Event.objects.raw(
        "SELECT * FROM clinic_booking_event WHERE (xact, id) > (%(xact)s, %(event_id)s) AND xact < %(end)s"  # noqa: S608
        f"{wanted} ORDER BY xact, id LIMIT %(limit)s",
        after._asdict() | {"end": end.xact, "topics": list(topics), "limit": limit},
    )
    events = list(found)
    if len(events) == limit:
        return events, Place(events[-1].xact, events[-1].pk)
    return events, max(after, end)


def stored(after: Place, *, topics: Collection[str] = ()) -> Iterator[Event]:
    """All there are now."""
    events = [Event()] * BATCH
    while len(events) == BATCH:
        events, after = read(after, topics=topics, limit=BATCH)
        yield from events


def follow(
    after: Place, *, stop: threading.Event, topics: Collection[str] = ()
) -> Iterator[tuple[list[Event], Place]]:
    """Batches of events and the place after each, until `stop` is set. Outlives a restart of the database."""
    while not stop.is_set():
        try:
            _listen()
            while not stop.is_set():
                events, after = read(after, topics=topics, limit=BATCH)
                if events:
                    yield events, after
                if len(events) < BATCH:
                    _wait()
        except (OperationalError, InterfaceError) as error:
            logger.warning("the database is away", extra={"error": type(error).__name__})
            connection.close()
            stop.wait(RETRY_SECONDS)


def adopt() -> None:
    """After a restore from a dump: what is there now is older than any transaction to come, in the order of the ids.

    A reader goes on before the first event that it had not read: it may read some twice. The counts begin anew.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(ADOPT)


ADOPT = """
UPDATE clinic_booking_reader r SET xact = 0, event_id = coalesce(
    (SELECT min(e.id) - 1 FROM clinic_booking_event e WHERE (e.xact, e.id) > (r.xact, r.event_id)),
    (SELECT max(e.id) FROM clinic_booking_event e), 0);
DELETE FROM clinic_booking_eventcount;
UPDATE clinic_booking_reader SET event_id = 0 WHERE name = 'counts';
ALTER TABLE clinic_booking_event DISABLE TRIGGER event_append_only;
UPDATE clinic_booking_event SET xact = 0;
ALTER TABLE clinic_booking_event ENABLE TRIGGER event_append_only;
"""


def as_line(event: Event) -> str:
    """As JSON, with names that others rely on."""
    names = ["id", "topic", "version", "subject", "clinic_id", "data"]
    line = {name: getattr(event, name) for name in names} | {"at": event.created_at.isoformat()}
    return json.dumps(line, ensure_ascii=False)


def _listen() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")


def _wait() -> None:
    with connection.wrap_database_errors:
        for _notice in connection.connection.notifies(timeout=POLL_SECONDS, stop_after=1):
            pass
