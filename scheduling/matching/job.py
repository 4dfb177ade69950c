"""Planning the backlog in the worker, and how far it is: a courtesy, losing the cache loses only that."""

import contextlib
import time
from typing import Any

from django.core.cache import cache
from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from scheduling.matching.backlog import match_requests
from scheduling.models import Clinic

TASK = "match_requests"
KEY, KEPT_SECONDS, EVERY_SECONDS = "matching", 600, 0.5


def defer(*, clinic: Clinic) -> None:
    """Once, however often it is asked for while it waits."""
    cache.delete(KEY)
    with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
        plan_backlog.defer(clinic_id=clinic.pk)


@app.task(name=TASK, queue="ops", queueing_lock=TASK, lock=TASK)
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
