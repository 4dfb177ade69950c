import getpass
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import backups
from clinic_booking.errors import NamedError


class Command(BaseCommand):
    help = (
        "Restore a backup into the empty database of DATABASE_URL, delete again what was deleted since, check that "
        "all agrees, and record the drill. Ends with 1 when something was left or does not agree."
    )
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="the newest, where none is named")
        parser.add_argument("--force", action="store_true", help="empty the database first")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            path = options["file"] or next(backups.newest(), None)
            if path is None or not path.is_file():
                raise CommandError("There is no such backup.")
            by = f"command:{getpass.getuser()}"
            drill = backups.restore(path, force=options["force"], by=by, tell=self.stdout.write)
        except NamedError as refused:
            raise CommandError(str(refused)) from refused
        agrees = "agrees" if drill["is_consistent"] else "does NOT agree (check_consistency)"
        self.stdout.write(f"Restored in {drill['seconds']} s; all {agrees}; {drill['left']} deletions left.")
        if drill["left"] or not drill["is_consistent"]:
            sys.exit(1)
