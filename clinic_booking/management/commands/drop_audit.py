import datetime as dt
import json
import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from clinic_booking import audit
from clinic_booking.audit import seals
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.rules import rule_of

TABLE = "clinic_booking_auditevent"
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1"
month_of = re.compile(rf"{TABLE}_(\d{{4}})_(\d\d)").fullmatch


class Command(BaseCommand):
    help = "Drop the months of looks that are older than their rule of retention says. As the owner of the tables."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as-of", type=dt.date.fromisoformat, default=None)
        parser.add_argument("--dry-run", action="store_true")
        parser.add_argument("--json", action="store_true")

    def handle(self, **options: Any) -> None:
        day = options["as_of"] or dt.datetime.now(dt.UTC).date()
        months = rule_of(DataClass.ACCESS_LOG).months
        old = [(name, end) for name, end in partitions() if _months_between(end, day) >= months]
        for name, end in old:
            if not options["dry_run"]:
                drop(name, end)
        names = [name for name, _end in old]
        if options["json"]:
            self.stdout.write(json.dumps({"dropped": names, "dry_run": options["dry_run"]}))
        else:
            self.stdout.write("\n".join(names) or "Nothing is old enough.")


def partitions() -> list[tuple[str, dt.date]]:
    """Each month's, with the day after it."""
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS, [TABLE])
        found = [match for (name,) in cursor.fetchall() if (match := month_of(name))]
    return [(match[0], _first_of_next(int(match[1]), int(match[2]))) for match in found]


def _first_of_next(year: int, month: int) -> dt.date:
    return dt.date(year + month // 12, month % 12 + 1, 1)


def _months_between(first: dt.date, last: dt.date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def drop(name: str, end: dt.date) -> None:
    """The seal says that it was the rule, in the transaction that takes the month away."""
    with transaction.atomic(durable=True):
        seals.dropped(dt.datetime.combine(end, dt.time(), dt.UTC), TABLE)
        audit.record(
            audit.Action.DELETE, f"audit:{name.removeprefix(TABLE)[1:]}", by=None, reason="retention"
        )
        with connection.cursor() as cursor:
            cursor.execute(f'DROP TABLE "{name}"')
