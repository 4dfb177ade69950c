import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from scheduling.booking import expire_holds


class Command(BaseCommand):
    help = "End run-out holds now. The worker does so every 5 seconds; bookings never wait for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, **options: Any) -> None:
        ended = 0
        while batch := expire_holds():
            ended += batch
        self.stdout.write(json.dumps({"ended": ended}) if options["json"] else f"{ended} holds ended")
