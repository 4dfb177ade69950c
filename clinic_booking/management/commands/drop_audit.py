import datetime as dt
import getpass
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from clinic_booking.audit.months import TABLE
from clinic_booking.models import AuditMonth
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.run import run


class Command(BaseCommand):
    help = (
        "Drop the months of looks that are older than their rule of retention says, as `anonymise --class access_log` "
        "does every night. What a legal hold or an open incident needs stays. Ends with 1 when something is left."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as-of", type=dt.date.fromisoformat, default=None)
        parser.add_argument("--dry-run", action="store_true")
        parser.add_argument("--json", action="store_true")

    def handle(self, **options: Any) -> None:
        before = _months()
        outcomes = run(
            data_class=DataClass.ACCESS_LOG,
            as_of=options["as_of"],
            dry_run=options["dry_run"],
            operator=f"command:{getpass.getuser()}",
        )
        months = next(each for each in outcomes if each.subject == "audit_month")
        gone = [f"{TABLE}_{month}" for month in before if month not in _months()]
        said = {"dropped": gone, "due": months.due, "held": months.blocked, "left": months.left}
        if options["json"]:
            self.stdout.write(json.dumps(said | {"dry_run": options["dry_run"]}))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in said.items()))
        if months.left:
            sys.exit(1)


def _months() -> list[str]:
    return list(AuditMonth.objects.order_by("month").values_list("month", flat=True))
