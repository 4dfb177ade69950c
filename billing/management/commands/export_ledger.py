"""The ledger of a period for accounting, as CSV or as JSON lines. Ends non-zero if debits and credits differ."""

import datetime as dt
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import books
from billing.books import Period
from billing.books_views import lines
from scheduling.models import Clinic


class Command(BaseCommand):
    help = "Print the ledger entries of a period with opening and closing balances."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=dt.date.fromisoformat, required=True)
        parser.add_argument("--to", dest="last", type=dt.date.fromisoformat, required=True)
        parser.add_argument("--entity", help="UEN of a legal entity")
        parser.add_argument("--clinic", help="its slug")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--csv", action="store_true", help="the default")
        form.add_argument("--json", action="store_true", help="an object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        period = Period(options["first"], options["last"], self._clinics(options))
        if period.last < period.first:
            raise CommandError("--to is before --from.")
        if options["json"]:
            for line in books.export(period):
                self.stdout.write(json.dumps(dict(zip(books.COLUMNS, line, strict=True))))
        else:
            for text in lines(period):
                self.stdout.write(text, ending="")
        found = books.balances(period)
        if sum(each.debit_cents for each in found) != sum(each.credit_cents for each in found):
            raise CommandError("Debits and credits differ: run check_consistency.")

    def _clinics(self, options: dict[str, Any]) -> list[int]:
        found = Clinic.objects.all()
        if options["entity"]:
            found = found.filter(legal_entity__uen=options["entity"])
        if options["clinic"]:
            found = found.filter(slug=options["clinic"])
        if not (clinics := list(found.values_list("pk", flat=True))):
            raise CommandError("There is no such clinic or legal entity.")
        return clinics
