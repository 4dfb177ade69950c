"""The stream of events as JSON lines, for people and for adapters to a broker."""

import datetime as dt
import json
import os
import signal
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from clinic_booking.models import Event

POLL_SECONDS = 0.5
BATCH = 1000
# Ids are given before the commit, so a smaller one may appear after a larger one has been printed. No transaction
# of ours lives longer than a minute (idle_in_transaction_session_timeout).
LATE = dt.timedelta(minutes=2)


class Command(BaseCommand):
    help = "Print the events as JSON, one a line."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--topic", action="append", help="only this topic, for example appointment.booked"
        )
        parser.add_argument("--since", type=instant, help="a date or time (ISO 8601), or 0 for all")
        parser.add_argument(
            "--follow", action="store_true", help="go on until Ctrl-C; without --since from now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        events = Event.objects.order_by("pk")
        if options["topic"]:
            events = events.filter(topic__in=options["topic"])
        since = options["since"] or (timezone.now() if options["follow"] else None)
        if since:
            events = events.filter(created_at__gte=since)
        stop = threading.Event()
        if options["follow"]:
            signal.signal(signal.SIGINT, lambda *_: stop.set())
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
        try:
            for event in follow(events, stop) if options["follow"] else stored(events):
                self.stdout.write(as_line(event))
                self.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def instant(text: str) -> dt.datetime | None:
    if text == "0":
        return dt.datetime.min.replace(tzinfo=dt.UTC)
    try:
        day = parse_date(text)
        found = dt.datetime.combine(day, dt.time()) if day else parse_datetime(text)
    except ValueError:
        found = None
    if not found:
        raise ArgumentTypeError(f"“{text}” is not a date or time such as 2026-01-31 or 2026-01-31T09:00.")
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def stored(events: QuerySet[Event], after: int = 0) -> Iterator[Event]:
    while batch := list(events.filter(pk__gt=after)[:BATCH]):
        yield from batch
        after = batch[-1].pk


def follow(events: QuerySet[Event], stop: threading.Event) -> Iterator[Event]:
    printed: set[int] = set()  # of those above `settled`
    settled = 0
    while not stop.is_set():
        horizon = timezone.now() - LATE
        for event in stored(events, settled):
            if event.pk not in printed:
                yield event
                printed.add(event.pk)
            if event.created_at < horizon:
                settled = event.pk
                printed = {pk for pk in printed if pk > settled}
        stop.wait(POLL_SECONDS)


def as_line(event: Event) -> str:
    names = ["id", "topic", "version", "subject", "clinic_id", "data"]
    line = {name: getattr(event, name) for name in names} | {"at": event.created_at.isoformat()}
    return json.dumps(line, ensure_ascii=False)
