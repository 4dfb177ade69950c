import datetime as dt
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from clinic_booking.audit import changes, seals
from clinic_booking.models import AuditSeal

EVERY = 200


class Command(BaseCommand):
    help = "Prove that nobody changed, deleted, inserted or moved what the audit trail holds. Ends with 1 on damage."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=dt.date.fromisoformat, help="only what was sealed on that day")
        parser.add_argument("--digest", help="with --day: the closing digest that was mailed for it")
        parser.add_argument("--after-restore", action="store_true", help="once, after a restore from a dump")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, **options: Any) -> None:
        if options["after_restore"]:
            seals.restored()
        found = [*seals.verify(day=options["day"], tell=self._tell), *self._anchor(options)]
        found += [seals.Damage("unwatched", table) for table in changes.unwatched_tables()]
        if options["json"]:
            damage = [each._asdict() for each in found]
            self.stdout.write(json.dumps({"seals": AuditSeal.objects.count(), "damage": damage}))
        else:
            for each in found:
                self.stdout.write(f"{each.what}: {each.where}")
            if not found:
                self.stdout.write(f"Sound: {AuditSeal.objects.count()} seals.")
        if found:
            sys.exit(1)

    def _anchor(self, options: dict[str, Any]) -> list[seals.Damage]:
        if not options["digest"]:
            return []
        closing = AuditSeal.objects.filter(kind=AuditSeal.Kind.CLOSING, day=options["day"]).first()
        if closing and bytes(closing.mac).hex() == options["digest"]:
            return []
        return [seals.Damage("day", f"{options['day']}: the digest is not the one that was mailed")]

    def _tell(self, done: int, of: int) -> None:
        if done % EVERY == 0 or done == of:
            self.stderr.write(f"{done} of {of} seals")
