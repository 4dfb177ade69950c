import dataclasses
import datetime as dt
import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.gateway import PaymentProviderDown
from billing.reconcile import Finding, reconcile

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> dt.timedelta:
    if not (found := re.fullmatch(r"(\d{1,4})([mhd])", text, re.ASCII)):
        raise ArgumentTypeError(f"{text!r} is not a time such as 30m, 48h or 7d")
    return dt.timedelta(**{UNITS[found[2]]: int(found[1])})


class Command(BaseCommand):
    help = "Compare our payments with the provider's. Ends with 1 when something stays open, with 2 without an answer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=span, default="48h", help="how far back: 30m, 48h, 7d")
        parser.add_argument("--fix", action="store_true", help="settle what differs")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = reconcile(since=options["since"], fix=options["fix"])
        except PaymentProviderDown as error:
            raise CommandError("The payment provider does not answer.", returncode=2) from error
        left = [finding for finding in found if not finding.is_fixed]
        if options["json"]:
            self.stdout.write(
                json.dumps({"open": len(left), "findings": [dataclasses.asdict(f) for f in found]})
            )
        else:
            self._print(found, left)
        if left:
            sys.exit(1)

    def _print(self, found: list[Finding], left: list[Finding]) -> None:
        for finding in found:
            self.stdout.write(f"{'settled' if finding.is_fixed else 'open'}: {finding.kind} {finding.about}")
        self.stdout.write(f"{len(found)} found, {len(left)} open.")
