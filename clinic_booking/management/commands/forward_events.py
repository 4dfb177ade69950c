"""Events to Kafka, until Ctrl-C. Needs the extra: pip install clinic-booking[kafka]."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import forward, stream

MISSING = "confluent-kafka is not installed: pip install 'clinic-booking[kafka]'"


class Command(BaseCommand):
    help = "Forward the events to a Kafka topic, from where it stopped; the key is the subject."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--brokers", required=True, help="host:port, separated by commas")
        parser.add_argument("--to", default="clinic-booking.events", help="the topic in Kafka")
        parser.add_argument("--topic", action="append", default=[], help="only this one; may be repeated")
        parser.add_argument(
            "--config",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="of librdkafka, such as sasl.username",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop, sent = threading.Event(), 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        given = dict(each.split("=", 1) for each in options["config"] if "=" in each)
        producer = connect({"bootstrap.servers": options["brokers"]} | given)
        try:
            for count in forward.forward(producer, to=options["to"], topics=options["topic"], stop=stop):
                sent += count
        except (forward.NotTaken, stream.Restored) as trouble:
            raise CommandError(f"{sent} forwarded. {trouble}") from trouble
        except forward.AlreadyRunning:
            raise CommandError("Another process forwards the events already.") from None
        self.stdout.write(f"{sent} forwarded.")


def connect(config: dict[str, Any]) -> forward.Producer:
    try:
        from confluent_kafka import Producer
    except ImportError:
        raise CommandError(MISSING) from None
    return cast(forward.Producer, Producer(config | forward.SAFE))
