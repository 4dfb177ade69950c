import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from billing import instalments
from billing.models import ContractInstalment


class Command(BaseCommand):
    help = "Bill the parts of contracts that are due by now. Ends with 1 when some could not be billed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what is due")
        parser.add_argument("--json", action="store_true", help="print the parts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        parts = instalments.all_due()
        failed: list[int] = []
        if not options["dry_run"]:
            failed = instalments.bill_all_due().failed
        rows = [as_dict(part) for part in parts]
        if options["json"]:
            self.stdout.write(json.dumps({"parts": rows, "failed": failed}))
        else:
            for row in rows:
                self.stdout.write(
                    "{contract} part {number} due {due_on}: {amount_cents} {bill}".format(**row)
                )
            billed = sum(row["bill"] is not None for row in rows)
            self.stdout.write(f"{billed} billed, {len(failed)} failed, {len(rows)} due.")
        if failed:
            sys.exit(1)


def as_dict(part: ContractInstalment) -> dict[str, Any]:
    """As it is now."""
    part = ContractInstalment.objects.select_related("contract", "bill").get(pk=part.pk)
    return {
        "contract": part.contract.reference,
        "number": part.number,
        "due_on": part.due_on.isoformat(),
        "amount_cents": part.amount_cents,
        "bill": part.bill.serial if part.bill else None,
    }
