from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clinic_booking import backups
from clinic_booking.errors import NamedError


class Command(BaseCommand):
    help = "Make an encrypted backup in BACKUP_DIR and BACKUP_COPY_DIR, and delete those whose time is over."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            backups.make(tell=self.stdout.write)
            gone = backups.expire()
        except NamedError as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(f"{len(gone)} expired.")
