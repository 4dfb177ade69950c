"""One worker and the events of many bookings: bill, e-mail and waitlist of each, with a mail server on loopback."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from django.db import connection, transaction

from bench.fill import add_clinics, book
from bench.servers import free_port
from clinic_booking import events
from clinic_booking.models import Notification, Parked
from scheduling.locks import news_of
from scheduling.models import Booking, Clinic

BACKLOG = (
    "SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'events' AND status IN ('todo', 'doing')"
)
TOPIC = "appointment.booked"
BATCH = 500


class Mailbox:
    """Takes every message and forgets it."""

    def __init__(self) -> None:
        self.taken = 0

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802
        self.taken += 1
        return "250 taken"


def bookings(count: int) -> list[Booking]:
    if not Booking.objects.exists():
        if not Clinic.objects.exists():
            add_clinics(3)
        book(list(Clinic.objects.filter(slots__isnull=False).distinct()), percent=40)
    # Nobody has a bill yet: the events of the other parts were written without `publish`.
    found = Booking.objects.filter(bill=None, status="booked").select_related("clinic").order_by("pk")[:count]
    assert len(found) == count, f"{len(found)} of {count} bookings"
    return list(found)


def publish(made: Iterable[Booking]) -> int:
    """Returns how many jobs that made."""
    with transaction.atomic():
        told = events.publish_all(news_of(TOPIC, booking) for booking in made)
    return len(told) * len(events.subscribers(TOPIC))


def backlog() -> int:
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG)
        return int(cursor.fetchone()[0])


@contextmanager
def worker() -> Iterator[Mailbox]:
    """As in production, one process."""
    mailbox, port = Mailbox(), free_port()
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "procrastinate", "worker"],
        env=os.environ | {"EMAIL_URL": f"smtp://127.0.0.1:{port}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield mailbox
    finally:
        process.terminate()
        process.wait(60)
        server.stop()


def drain(count: int) -> tuple[str, ...]:
    """Seconds from the first job that is done, so without the worker's start."""
    made = bookings(count)
    for first in range(0, count, BATCH):
        publish(made[first : first + BATCH])
    jobs = backlog()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with worker() as mailbox:
        while backlog() == jobs:
            time.sleep(0.05)
        begin = time.perf_counter()
        while left := backlog():
            time.sleep(min(1, left / 1000))
        took = time.perf_counter() - begin
    check(made, mailbox.taken)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rates = f"{count / took:.0f}", f"{jobs / took:.0f}"
    return f"{count:,}", f"{jobs:,}", f"{took:.1f}", *rates, f"{cpu / count * 1000:.1f}"


def check(made: list[Booking], mails: int) -> None:
    """Every booking has its bill and its one e-mail."""
    ids = [booking.pk for booking in made]
    assert Booking.objects.filter(pk__in=ids, bill=None).count() == 0
    assert (
        mails == Notification.objects.filter(event__data__booking__in=ids, status="sent").count() == len(ids)
    )
    assert not Parked.objects.exists()


def feed(rate: int, seconds: int) -> tuple[str, ...]:
    """`rate` bookings a second to the same worker; the backlog is looked at each second."""
    made = iter(bookings(rate * seconds))
    seen = []
    with worker():
        begin = time.perf_counter()
        for second in range(seconds):
            for n in range(rate):
                time.sleep(max(0.0, begin + second + n / rate - time.perf_counter()))
                publish([next(made)])
            seen.append(backlog())
        late = time.perf_counter() - begin - seconds
    # The first seconds are the worker's start; after them the backlog must not grow.
    settled = seen[len(seen) // 4 :]
    half = len(settled) // 2
    halves = statistics.median(settled[:half]), statistics.median(settled[half:])
    assert late < 1, "the feed itself was too slow"
    return f"{rate}/s", f"{seconds}", *(f"{value:.0f}" for value in (*halves, max(settled), seen[-1]))
