import dataclasses
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from scheduling.consistency import CHECKS, broken


class Command(BaseCommand):
    help = "Prove across all rows what the parts promise each other. Ends with 1 when something is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, **options: Any) -> None:
        found = list(broken())
        if options["json"]:
            self.stdout.write(
                json.dumps({"checks": len(CHECKS) + 1, "broken": [dataclasses.asdict(b) for b in found]})
            )
        elif found:
            for each in found:
                more = ", …" if each.count > len(each.examples) else ""
                self.stdout.write(f"broken: {each.name} ({each.count}): {', '.join(each.examples)}{more}")
        else:
            self.stdout.write(f"All {len(CHECKS) + 1} checks hold.")
        if found:
            sys.exit(1)
