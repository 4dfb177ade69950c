import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from clinic_booking.retention import inventory


class Command(BaseCommand):
    help = "The inventory of processing as CSV, field by field. Ends with 1 when a field has no tag, and says how to."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say what is not tagged")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["check"]:
            self.stdout.write(inventory.as_csv(), ending="")
        for problem in inventory.problems():
            self.stderr.write(problem)
        if inventory.problems():
            sys.exit(1)
