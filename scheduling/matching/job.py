"""Planning the backlog in the worker, and how far it is: a courtesy, losing the cache loses only that."""

import contextlib
import time
from typing import Any

from django.core.cache import cache
from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from clinic_booking.events import subscribe
from clinic_booking.models import Event
from scheduling.matching.backlog import match_requests
from scheduling.models import BookingRequest, Clinic, SessionTicket

TASK = "match_requests"
KEY, KEPT_SECONDS, EVERY_SECONDS = "matching", 600, 0.5


def defer(*, clinic: Clinic) -> None:
    """Once for the clinic, however often it is asked for while it waits."""
    cache.delete(KEY)
    with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
        plan_backlog.configure(queueing_lock=f"{TASK}:{clinic.pk}").defer(clinic_id=clinic.pk)


@subscribe("supply.added")
def plan_with_new_supply(event: Event) -> None:
    """What had no time may have one now."""
    clinic = Clinic.objects.get(pk=event.subject.removeprefix("clinic:"))
    planned = SessionTicket.objects.filter(status=SessionTicket.Status.PLANNED)
    if clinic.is_active and planned.filter(request__in=BookingRequest.objects.plannable()).exists():
        defer(clinic=clinic)


@app.task(name=TASK, queue="ops", lock=TASK)
def plan_backlog(clinic_id: int) -> None:
    last = 0.0

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_SECONDS:
            last = time.monotonic()
            cache.set(KEY, {"done": done, "total": total, "what": what}, KEPT_SECONDS)

    report = match_requests(clinics=[Clinic.objects.get(pk=clinic_id)], progress=tell)
    cache.set(KEY, {"placed": report.placed, "unplaced": report.unplaced}, KEPT_SECONDS)


def is_running() -> bool:
    return ProcrastinateJob.objects.filter(task_name=TASK, status__in=["todo", "doing"]).exists()


def progress() -> dict[str, Any]:
    return cache.get(KEY) or {}
