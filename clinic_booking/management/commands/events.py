"""The stream of events as JSON lines, for people and for adapters to other systems (docs/events.md)."""

import datetime as dt
import os
import signal
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from clinic_booking import stream
from clinic_booking.models import Event
from clinic_booking.topics import all_topics

Since = dt.datetime | int


class Command(BaseCommand):
    help = "Print the events as JSON, one a line, in an order in which none comes late."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--topic", action="append", default=[], help="only this one; may be repeated")
        parser.add_argument(
            "--since",
            type=since,
            help="a date or time (ISO 8601), or the id of an event: what follows it in the stream; 0 for all",
        )
        parser.add_argument(
            "--follow", action="store_true", help="go on until Ctrl-C; without --since from now"
        )
        parser.add_argument(
            "--after-restore",
            action="store_true",
            help="take over the events of a database restored from a dump",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["after_restore"]:
            return stream.adopt()
        self.check_topics(options["topic"])
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            for event in self.events(options, stop):
                self.stdout.write(stream.as_line(event))
                self.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except stream.Restored as trouble:
            raise CommandError(trouble) from trouble

    def check_topics(self, names: list[str]) -> None:
        known = {topic.name for topic in all_topics()}
        for name in names:
            if name not in known and not Event.objects.filter(topic=name).exists():
                raise CommandError(f"“{name}” is no topic. manage.py topics lists them.")

    def events(self, options: dict[str, Any], stop: threading.Event) -> Iterator[Event]:
        after, begin = start(options["since"], follow=options["follow"])
        read = (
            follow(after, options["topic"], stop)
            if options["follow"]
            else stream.stored(after, topics=options["topic"])
        )
        for event in read:
            if stop.is_set():
                return
            if begin is None or event.created_at >= begin:
                yield event


def follow(after: stream.Place, topics: list[str], stop: threading.Event) -> Iterator[Event]:
    for events, _place in stream.follow(after, topics=topics, stop=stop):
        yield from events


def start(given: Since | None, *, follow: bool) -> tuple[stream.Place, dt.datetime | None]:
    """Where to begin, and the earliest time wanted: of two transactions the later one may have begun before."""
    if isinstance(given, dt.datetime):
        return stream.first_since(given), given
    if given:
        try:
            return stream.place_of(given), None
        except Event.DoesNotExist:
            raise CommandError(f"There is no event {given}.") from None
    return stream.horizon() if follow and given is None else stream.START, None


def since(text: str) -> Since:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        day = parse_date(text)
        found = dt.datetime.combine(day, dt.time()) if day else parse_datetime(text)
    except ValueError:
        found = None
    if not found:
        raise ArgumentTypeError(
            f"“{text}” is not a date or time such as 2026-01-31 or 2026-01-31T09:00, nor the id of an event."
        )
    return found if timezone.is_aware(found) else timezone.make_aware(found)
