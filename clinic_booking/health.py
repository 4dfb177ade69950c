"""/healthz: the process answers. /readyz: what it needs does too, each part named."""

import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from clinic_booking import parked

HEARTBEAT_SECONDS = 60  # procrastinate's workers write theirs every ten


class Trouble(Exception):
    """Its text is the sentence that /readyz shows."""


@require_safe
@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    checks = {"database": database, "redis": live_updates, "worker": worker, "events": deliveries}
    parts = {name: probe(check) for name, check in checks.items()}
    if not (parts["database"]["ok"] and parts["worker"]["ok"]):
        status = "down"
    else:
        status = "ok" if parts["redis"]["ok"] and parts["events"]["ok"] else "degraded"
    return JsonResponse({"status": status} | parts, status=503 if status == "down" else 200)


def probe(check: Callable[[], None]) -> dict[str, bool | float | str]:
    begun = time.perf_counter()
    sentence = ""
    try:
        check()
    except Trouble as trouble:
        sentence = str(trouble)
    milliseconds = round((time.perf_counter() - begun) * 1000, 1)
    return {"ok": not sentence, "ms": milliseconds} | ({"sentence": sentence} if sentence else {})


def database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        raise Trouble(_("The database does not answer.")) from error


def live_updates() -> None:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5
        ) as client:
            client.ping()
    except redis.RedisError as error:
        raise Trouble(_("Redis does not answer: bookings go on, open calendars are not updated.")) from error


def worker() -> None:
    query = (
        "SELECT extract(epoch FROM clock_timestamp() - max(last_heartbeat))::int FROM procrastinate_workers"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            (age,) = cursor.fetchone()
    except (DatabaseError, InterfaceError) as error:
        raise Trouble(_("It is not known: the database does not answer.")) from error
    if age is None:
        raise Trouble(_("No worker is running: messages, bills and expiries wait."))
    if age > HEARTBEAT_SECONDS:
        raise Trouble(_("The worker was last seen %(age)d seconds ago.") % {"age": age})


def deliveries() -> None:
    try:
        waiting = parked.by_subscriber()
    except (DatabaseError, InterfaceError) as error:
        raise Trouble(_("It is not known: the database does not answer.")) from error
    if waiting:
        raise Trouble(
            _("Parked deliveries of events: %(subscribers)s. Look at them in the admin.")
            % {"subscribers": ", ".join(f"{name} {n}" for name, n in waiting.items())}
        )
