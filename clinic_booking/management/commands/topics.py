"""docs/events.md, kept true: the table of topics is written from what is declared and subscribed."""

import re
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from clinic_booking import events
from clinic_booking.topics import Topic, all_topics

FILE = settings.BASE_DIR / "docs" / "events.md"
HEAD = ["| topic | v | subject | data | published by | handled by |", "|---|---|---|---|---|---|"]
BETWEEN = re.compile(r"(?<=<!-- topics -->\n).*(?=<!-- end -->)", re.DOTALL)


class Command(BaseCommand):
    help = "Print the topics with their payloads, or bring docs/events.md up to date."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--write", action="store_true", help="write the table into docs/events.md")
        which.add_argument("--check", action="store_true", help="fail where the table there is another one")

    def handle(self, *args: Any, **options: Any) -> None:
        text = FILE.read_text() if options["write"] or options["check"] else ""
        true = BETWEEN.sub(lambda _old: table(), text)
        if options["write"]:
            FILE.write_text(true)
        elif options["check"]:
            if text != true:
                raise CommandError("docs/events.md is out of date: run manage.py topics --write.")
        else:
            self.stdout.write(table())


def table() -> str:
    return "".join(
        f"{line}\n"
        for line in [
            *HEAD,
            *(row(topic) for topic in all_topics() if topic.declared_in.endswith("/topics.py")),
        ]
    )


def row(topic: Topic) -> str:
    fields = ", ".join(f"{f.name} {f.kind}{'?' if f.is_optional else ''}" for f in topic.fields.values())
    data = f"{fields}. {topic.note}" if topic.note else fields
    handled = ", ".join(f"`{name}`" for name in events.subscribers(topic.name))
    app = topic.declared_in.split("/")[0]
    return f"| `{topic.name}` | {topic.version} | {topic.subject}:id | {data} | {app} | {handled} |"
