"""Brings everything to the current keys (docs/vault.md): sealed columns first, then the index of identity numbers."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import crypto, reseal
from patients import vault
from patients.rights import sealing

Counted = tuple[str, str, dict[str, int]]


class Command(BaseCommand):
    help = (
        "Seal and index anew what older keys made. Safe to stop and to repeat; the clinics go on meanwhile."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count, by key")
        parser.add_argument("--batch", type=int, default=reseal.BATCH, help="rows in a transaction")
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def handle(self, *args: Any, dry_run: bool, batch: int, **options: Any) -> None:
        self._is_quiet = bool(options["json"])
        if not dry_run:
            self._rotate(batch)
        counted = list(self._counts())
        left = sum(n for _name, current, counts in counted for key, n in counts.items() if key != current)
        if options["json"]:
            columns = {name: {"current": current, "by_key": counts} for name, current, counts in counted}
            self.stdout.write(json.dumps({"columns": columns, "left": left}))
        else:
            self._write(counted)
        if left and not dry_run:
            raise CommandError(
                f"{left} values are not by the current keys: run it again, and keep the old keys."
            )
        if not options["json"]:
            self.stdout.write(
                f"{left} to do." if left else "All is by the current keys: the old ones may go."
            )

    def _write(self, counted: list[Counted]) -> None:
        for name, current, counts in counted:
            old = {key or "plain": n for key, n in counts.items() if key != current}
            of_old = "".join(f", {n} by {key}" for key, n in old.items())
            self.stdout.write(f"{name}: {counts.get(current, 0)} by {current}{of_old}")

    def _rotate(self, batch: int) -> None:
        for column in reseal.columns():
            done = reseal.reseal(column, batch=batch, told=self._told)
            if done.unreadable:
                self.stderr.write(f"{column}: {done.unreadable} cannot be read with these keys")
        if (done := sealing.renew(told=self._told)).unreadable:
            self.stderr.write(f"copies of data: {done.unreadable} cannot be read with these keys")
        vault.reindex(batch=batch, told=self._told)

    def _counts(self) -> Iterator[Counted]:
        for column in reseal.columns():
            yield str(column), crypto.field_keys().current, reseal.left(column)
        for name, counts in sealing.counts():
            yield name, crypto.field_keys().current, counts
        yield "index of identity numbers", crypto.index_keys().current, vault.indexed_by()

    def _told(self, done: reseal.Done) -> None:
        if not self._is_quiet:
            self.stdout.write(f"  {done.changed} …")
