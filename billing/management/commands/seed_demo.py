import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from billing.demo import bill_bookings, make_contracts, make_fees, make_online, make_till, pay_bills
from billing.stripe_double.engine import Engine
from scheduling import feeds
from scheduling.demo import seed
from scheduling.demo.history import make_history
from scheduling.demo.people import make_patients
from scheduling.demo.singpass import link_personas
from scheduling.demo.staff import PASSWORD, ROLES, username
from scheduling.demo.today import stage_today
from scheduling.models import Practitioner


class Command(BaseCommand):
    help = (
        "Fill the database with an invented group of clinics. Safe to repeat; refuses to run in production."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--logins", action="store_true", help="only print one login for each role")

    def handle(self, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "Demo data and its known passwords do not belong into production (ENVIRONMENT)."
            )
        if options["logins"]:
            for role in ROLES:
                self.stdout.write(f"{role:<14}{username(role):<30}{PASSWORD}")
            return
        clinics = seed(say=self.stderr.write)
        patients = make_patients()
        self.stderr.write(f"{make_contracts(clinics, patients)} contracts made")
        stage_today(clinics, patients)
        self._open_feed()
        self.stderr.write(f"{link_personas(patients)} patients linked to Singpass")
        self.stderr.write(f"{bill_bookings(clinics)} bills issued, {pay_bills(clinics)} paid")
        self.stderr.write(f"{make_history(clinics)} visits of the weeks before, {make_fees(clinics)} fees")
        self.stderr.write(f"{make_till(clinics)} days closed")
        # Only where the double begins with it: else the provider would know nothing of these payments.
        if state := os.environ.get("STRIPE_DOUBLE_STATE"):
            engine = Engine(path=Path(state))
            self.stderr.write(f"{make_online(clinics, engine)} paid online")

    def _open_feed(self) -> None:
        """The secret is shown this once, here and nowhere else; the doctor's page makes a new one."""
        doctor = Practitioner.objects.get(user__username=username("doctor"))
        if not doctor.feeds.filter(revoked_at=None).exists() and doctor.user:
            secret = feeds.open_feed(practitioner=doctor, by=doctor.user)
            self.stderr.write(f"{doctor}: {reverse('feed', args=[secret])}")
