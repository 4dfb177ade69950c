import datetime as dt
import getpass
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from clinic_booking.retention.models import DataClass
from clinic_booking.retention.run import BATCH, run


class Command(BaseCommand):
    help = (
        "Delete or make anonymous what the retention rules say is due. Counts first; a run that was cut off may be "
        "started again. Ends with 1 when something that is due could not be done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--class", dest="data_class", choices=DataClass.values, default="")
        parser.add_argument("--as-of", type=dt.date.fromisoformat, help="as if it were this day (YYYY-MM-DD)")
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--batch", type=int, default=BATCH, help="records in one transaction")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        outcomes = run(
            data_class=options["data_class"],
            as_of=options["as_of"],
            dry_run=options["dry_run"],
            batch=max(1, options["batch"]),
            operator=f"command:{getpass.getuser()}",
            tell=(lambda line: None) if options["json"] else lambda line: self.stdout.write(line),
        )
        left = sum(outcome.left for outcome in outcomes)
        if options["json"]:
            self.stdout.write(json.dumps({"outcomes": [vars(outcome) for outcome in outcomes], "left": left}))
        else:
            done = sum(outcome.done for outcome in outcomes)
            review = sum(outcome.to_review for outcome in outcomes)
            self.stdout.write(f"{done} done, {left} left, {review} wait for a review by the privacy officer.")
        if left:
            sys.exit(1)
