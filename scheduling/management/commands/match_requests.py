import json
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from scheduling.management.commands.generate_slots import chosen_clinics
from scheduling.matching import Report, match_requests
from scheduling.matching.backlog import TIME_LIMIT

SHOWN_REASONS = 10


class Command(BaseCommand):
    help = "Give times to all planned sessions that can have one, as many as possible. Safe to repeat and to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--clinic", nargs="+", metavar="SLUG", help="only times of these clinics")
        parser.add_argument("--dry-run", action="store_true", help="plan, say the result and book nothing")
        parser.add_argument(
            "--time-limit",
            type=seconds,
            default=TIME_LIMIT,
            metavar="S",
            help=f"seconds for planning and booking (default: {TIME_LIMIT})",
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, **options: Any) -> None:
        stop = threading.Event()
        clinics = chosen_clinics(options["clinic"]) if options["clinic"] else None
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        if threading.current_thread() is threading.main_thread():
            for number in before:
                signal.signal(number, lambda *_: stop.set())
        try:
            report = match_requests(
                clinics=clinics,
                dry_run=options["dry_run"],
                time_limit=options["time_limit"],
                progress=self.show_progress,
                stop=stop,
            )
        except OperationalError as error:
            raise CommandError(
                f"Stopped: {error}What was booked so far stays; run it again to go on."
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
        else:
            self.print_report(report, dry_run=options["dry_run"])
        if report.is_stopped:
            raise CommandError("Stopped. What was booked so far stays; run it again to go on.")

    def show_progress(self, done: int, total: int, what: str) -> None:
        self.stderr.write(f"{done}/{total} {what}")

    def print_report(self, report: Report, *, dry_run: bool) -> None:
        placed = report.planned if dry_run else report.placed
        self.stdout.write(
            f"{'Would be: ' if dry_run else ''}{placed} of {report.sessions} sessions placed, "
            f"{report.unplaced} without a time, {report.wishes} wishes met, {report.seconds:.1f} s"
        )
        self.stdout.write(
            f"greedy {report.greedy}, plan {report.planned}, upper bound {report.bound}, gap {report.gap:.2%}"
        )
        for reason, count in Counter(report.reasons.values()).most_common(SHOWN_REASONS):
            self.stdout.write(f"{count} × {reason}")


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 1 <= value <= 3600:
        raise ArgumentTypeError(f"must be between 1 and 3600 seconds, not “{text}”")
    return value
