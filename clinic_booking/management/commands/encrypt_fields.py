"""Seals plain text in sealed columns: after a restore from before, or where somebody opened a column by hand."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import reseal


class Command(BaseCommand):
    help = "Seal plain text in sealed columns. Safe to stop and to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--batch", type=int, default=reseal.BATCH, help="rows in a transaction")

    def handle(self, *args: Any, dry_run: bool, batch: int, **options: Any) -> None:
        left = 0
        for column in reseal.columns():
            plain = reseal.left(column).get("", 0)
            if plain and not dry_run:
                self.stdout.write(f"{column}: {plain} to seal")
                done = reseal.reseal(column, batch=batch, plain=True, told=self._told)
                plain = reseal.left(column).get("", 0)
                self.stdout.write(f"{column}: {done.changed} sealed, {plain} left")
            elif plain:
                self.stdout.write(f"{column}: {plain} in plain text")
            left += plain
        if left and not dry_run:
            raise CommandError(f"{left} values are in plain text still.")
        self.stdout.write(f"{left} in plain text." if left else "Everything is sealed.")

    def _told(self, done: reseal.Done) -> None:
        self.stdout.write(f"  {done.changed} …")
