"""Brings everything to the current keys (docs/vault.md): sealed columns first, then the index of identity numbers."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import crypto, reseal
from patients import vault
from patients.rights import sealing


class Command(BaseCommand):
    help = (
        "Seal and index anew what older keys made. Safe to stop and to repeat; the clinics go on meanwhile."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count, by key")
        parser.add_argument("--batch", type=int, default=reseal.BATCH, help="rows in a transaction")

    def handle(self, *args: Any, dry_run: bool, batch: int, **options: Any) -> None:
        if not dry_run:
            self._rotate(batch)
        left = 0
        for name, current, counts in self._counts():
            old = {key or "plain": n for key, n in counts.items() if key != current}
            left += sum(old.values())
            of_old = "".join(f", {n} by {key}" for key, n in old.items())
            self.stdout.write(f"{name}: {counts.get(current, 0)} by {current}{of_old}")
        if left and not dry_run:
            raise CommandError(
                f"{left} values are not by the current keys: run it again, and keep the old keys."
            )
        self.stdout.write(f"{left} to do." if left else "All is by the current keys: the old ones may go.")

    def _rotate(self, batch: int) -> None:
        for column in reseal.columns():
            done = reseal.reseal(column, batch=batch, told=self._told)
            if done.unreadable:
                self.stderr.write(f"{column}: {done.unreadable} cannot be read with these keys")
        if (done := sealing.renew(told=self._told)).unreadable:
            self.stderr.write(f"copies of data: {done.unreadable} cannot be read with these keys")
        vault.reindex(batch=batch, told=self._told)

    def _counts(self) -> Iterator[tuple[str, str, dict[str, int]]]:
        for column in reseal.columns():
            yield str(column), crypto.field_keys().current, reseal.left(column)
        for name, counts in sealing.counts():
            yield name, crypto.field_keys().current, counts
        yield "index of identity numbers", crypto.index_keys().current, vault.indexed_by()

    def _told(self, done: reseal.Done) -> None:
        self.stdout.write(f"  {done.changed} …")
