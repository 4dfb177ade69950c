import datetime as dt
import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError

from clinic_booking.errors import NamedError
from scheduling.inventory import MAX_DAYS, Conflict, Report, generate
from scheduling.models import Clinic

SHOWN_CONFLICTS = 20


class Command(BaseCommand):
    help = "Make the slots of the coming days from templates, exceptions and public holidays. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how many days (default: 30)")
        parser.add_argument("--clinic", nargs="+", metavar="SLUG", help="only these clinics")
        parser.add_argument(
            "--from", dest="first", metavar="DATE", help="first day, as 2026-12-31 (default: today)"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would change and change nothing")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, **options: Any) -> None:
        if not 1 <= options["days"] <= MAX_DAYS:
            raise CommandError(f"--days must be between 1 and {MAX_DAYS}, not {options['days']}.")
        clinics = chosen_clinics(options["clinic"])
        first = chosen_date(options["first"], clinics)
        begin = time.monotonic()
        try:
            report = generate(
                days=options["days"],
                clinics=clinics,
                first=first,
                dry_run=options["dry_run"],
                progress=self.show_progress,
            )
        except OperationalError as error:
            raise CommandError(
                f"Stopped: {error}What was done so far stays; run it again to go on."
            ) from error
        except NamedError as error:
            raise CommandError(str(error)) from error
        seconds = time.monotonic() - begin
        if options["json"]:
            figures = report.as_dict() | {"seconds": round(seconds, 2)}
            self.stdout.write(json.dumps(figures, cls=DjangoJSONEncoder))
        else:
            self.print_report(report, clinics, seconds, dry_run=options["dry_run"])

    def show_progress(self, done: int, total: int, what: str) -> None:
        self.stderr.write(f"{done}/{total} {what}")

    def print_report(
        self, report: Report, clinics: Sequence[Clinic], seconds: float, *, dry_run: bool
    ) -> None:
        zones = {clinic.slug: clinic.zone for clinic in clinics}
        for conflict in report.conflicts[:SHOWN_CONFLICTS]:
            self.stdout.write(describe(conflict, conflict.starts_at.astimezone(zones[conflict.clinic])))
        if len(report.conflicts) > SHOWN_CONFLICTS:
            self.stdout.write(f"… and {len(report.conflicts) - SHOWN_CONFLICTS} more (--json lists all)")
        self.stdout.write(
            f"{'Would be: ' if dry_run else ''}{report.added} added, {report.removed} removed, "
            f"{report.unchanged} unchanged, {report.kept} kept outside the plan, {report.blocked} not added "
            f"({(report.added + report.unchanged) / seconds:,.0f} slots/s)"
        )


def describe(conflict: Conflict, starts_at: dt.datetime) -> str:
    return f"{conflict.clinic}, {conflict.practitioner}, {starts_at:%a %d %b %Y %H:%M}: {conflict}"


def chosen_clinics(slugs: list[str] | None) -> list[Clinic]:
    clinics = Clinic.objects.order_by("pk")
    if slugs is None:
        return list(clinics.filter(is_active=True))
    if unknown := set(slugs) - set(clinics.values_list("slug", flat=True)):
        known = ", ".join(sorted(clinics.values_list("slug", flat=True))) or "none"
        raise CommandError(f"Unknown clinic: {', '.join(sorted(unknown))}. There are: {known}.")
    return list(clinics.filter(slug__in=slugs))


def chosen_date(text: str | None, clinics: Sequence[Clinic]) -> dt.date | None:
    if text is None:
        return None
    try:
        first = dt.date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--from must be a date as 2026-12-31, not “{text}”.") from error
    if clinics and first < min(clinic.today() for clinic in clinics):
        raise CommandError("--from must not be in the past.")
    return first
