"""After what was wrong is mended: all parked deliveries of a subscriber once more."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import parked


class Command(BaseCommand):
    help = "Deliver again what is parked. Fails where something stays parked because its subscriber is gone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--subscriber", help="module.function; without it those of all")
        parser.add_argument("--topic")
        parser.add_argument("--dry-run", action="store_true", help="only count them")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found = parked.open_ones()
        if options["subscriber"]:
            found = found.filter(subscriber=options["subscriber"])
        if options["topic"]:
            found = found.filter(event__topic=options["topic"])
        ids = list(found.order_by("pk").values_list("pk", flat=True))
        retried = 0 if options["dry_run"] else sum(parked.retry(parked_id=pk, by=None) for pk in ids)
        report = {"parked": len(ids), "retried": retried}
        self.stdout.write(json.dumps(report) if options["json"] else f"{retried} of {len(ids)} retried.")
        if not options["dry_run"] and (left := found.count()):
            raise CommandError(f"{left} are still parked: their subscriber is gone, or they failed again.")
