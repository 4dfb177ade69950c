"""The whole product as `make demo` runs it, once for all journeys: web server, worker, Stripe double, mail."""

import email
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.models import Q
from django.test import override_settings

from billing import gateway
from billing.models import Payment
from billing.stripe_double.http import DoubleServer, running
from scheduling.models import Booking, Hold
from tests.servers import serve

ROOT = Path(__file__).parents[2]
SECONDS = 30
IDLE = """
SELECT count(*) FILTER (WHERE status = 'failed' OR attempts > (status = 'succeeded')::int) AS troubled,
       count(*) FILTER (WHERE status IN ('todo', 'doing') AND queue_name = 'events') AS waiting
FROM procrastinate_jobs
"""


@dataclass(frozen=True)
class System:
    url: str
    double: DoubleServer
    mail: Path

    def letters(self) -> list[EmailMessage]:
        """All that were sent. The file backend ends each with a line of dashes."""
        texts = [part for file in self.mail.glob("*.log") for part in file.read_text().split("\n" + "-" * 79)]
        return [email.message_from_string(text.strip(), policy=default) for text in texts if text.strip()]

    def until_quiet(self) -> None:
        """Every job has been done, at the first try."""
        until(lambda: counts()[1] == 0, "the worker has finished")
        assert counts()[0] == 0, "a job failed, if only at first"


def counts() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(IDLE)
        return cursor.fetchone()


def until(is_so: Callable[[], bool], what: str) -> None:
    """For what happens outside of the browser; a page is waited for with `expect`."""
    never = threading.Event()
    for _ in range(SECONDS * 50):
        if is_so():
            return
        never.wait(0.02)
    raise AssertionError(f"never became true: {what}")


@contextmanager
def whole_system(mail: Path) -> Iterator[System]:
    from clinic_booking.asgi import application

    with serve(application) as url, pytest.MonkeyPatch.context() as patch:
        secret = settings.STRIPE_WEBHOOK_SECRETS[0]
        with running(webhook=f"{url}/stripe/webhook/", secret=secret) as double:
            ours = {
                "SITE_URL": url,
                "STRIPE_API_BASE": double.url,
                "STRIPE_REAL": False,
                "STRIPE_JS_URL": f"{double.url}/endive/stripe.js",
                # One login runs the journeys of all patients.
                "AUDIT_LOOKS_AN_HOUR": 10_000,
            }
            # Playwright keeps an event loop running in this thread, which Django would take for async code.
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
            patch.setattr(gateway, "_in_use", None)
            with override_settings(**ours), worker(url, double.url, mail):
                yield System(url, double, mail)
            connections.close_all()


@contextmanager
def worker(site: str, stripe: str, mail: Path) -> Iterator[None]:
    """A process of its own, as in the demo: there the jobs run on other connections than here."""
    database = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(database._replace(path=f"/{connection.settings_dict['NAME']}")),
        "SITE_URL": site,
        "STRIPE_API_BASE": stripe,
        "EMAIL_URL": f"filemail:///{quote(str(mail))}",
        "LOG_LEVEL": "WARNING",
        "PROCRASTINATE_WORKER_DELETE_JOBS": "never",  # to see which had to be tried again
    }
    command = [sys.executable, "manage.py", "procrastinate", "worker"]
    with (mail.parent / "worker.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


# -- What must hold after every journey ----------------------------------------------------------


def to_keep(booking: Booking) -> int:
    """Of what was payable when booking: all of it, or of a visit that is off no more than its fee."""
    due = booking.hold.due_cents if booking.hold else 0
    return min(due, booking.fee_cents or 0) if booking.status in ("cancelled", "noshow") else due


def charges_and_bookings(double: DoubleServer) -> list[str]:
    """Where money and visits do not agree. Empty when all is well."""
    wrong = []
    with double.engine.lock:
        intents = {ref: dict(intent) for ref, intent in double.engine.store.intents.items()}
        refunds = [dict(refund) for refund in double.engine.store.refunds.values()]
    for ref, intent in intents.items():
        back = sum(r["amount"] for r in refunds if r["payment_intent"] == ref and r["status"] != "failed")
        kept = intent["amount_received"] - back
        held = Hold.objects.filter(Q(payment__provider_ref=ref) | Q(lead__payment__provider_ref=ref))
        visits = sum(map(to_keep, Booking.objects.filter(hold__in=held).select_related("hold")))
        by_link = Payment.objects.filter(provider_ref=ref, hold=None)
        visits += sum(by_link.values_list("allocated_cents", flat=True))  # what its bill took
        if intent["status"] == "requires_capture":
            wrong.append(f"{ref}: authorised and left so")
        if kept != visits:
            wrong.append(f"{ref} ({intent['status']}): {kept} cents kept for visits of {visits}")
    paid = Payment.Status.PAID
    to_pay = Booking.objects.live().filter(clinic__payment_policy="pay_now", hold__due_cents__gt=0)
    online = to_pay.exclude(session__request__source="desk")
    unpaid = online.exclude(Q(payment__status=paid) | Q(hold__lead__payment__status=paid))
    wrong += [f"{each} is booked but not paid" for each in unpaid]
    for payment in Payment.objects.filter(status=paid):
        if intents[payment.provider_ref]["amount_received"] != payment.amount_cents:
            wrong.append(f"{payment} is not charged what it says")
    return wrong
