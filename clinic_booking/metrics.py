"""/metrics for Prometheus. What was booked and paid is counted in the database (`counts.py`), so it is true
across processes and restarts; latencies are counted in each process.

The kernel knows no clinics: apps `register` what they can count.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_GET
from procrastinate.contrib.django.models import ProcrastinateJob
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from clinic_booking import counts, parked
from clinic_booking.models import Notification

Collect = Callable[[], Iterable[Metric]]
GetResponse = Callable[[HttpRequest], HttpResponse]

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
LABELS = ["view", "method", "status"]
A_DAY = dt.timedelta(days=1)  # of what ends, so that a scrape costs the same after years
SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
requests = Histogram("http_request_seconds", "Time to answer a request", LABELS, buckets=SECONDS)
queries = Histogram("http_request_query_seconds", "Time of it in the database", LABELS, buckets=SECONDS)

_collectors: list[Collect] = []


def register(collect: Collect) -> Collect:
    """Ask `collect` for its metrics at each scrape."""
    _collectors.append(collect)
    return collect


def count_events(names: dict[str, str], clinics: dict[int, str]) -> Iterable[Metric]:
    """One counter for each topic in `names` (name of the counter by topic), labelled by clinic (slug by id)."""
    counted = counts.totals()
    for topic, name in names.items():
        metric = CounterMetricFamily(name, f"Events {topic}", labels=["clinic"])
        for pk, slug in clinics.items():
            metric.add_metric([slug], counted[topic, pk])
        yield metric


@register
def notifications() -> Iterable[Metric]:
    open_ones = Notification.objects.filter(status="queued") | Notification.objects.filter(status="failed")
    recent = open_ones | Notification.objects.filter(created_at__gte=Now() - A_DAY)
    rows = recent.values_list("kind", "channel", "status").annotate(Count("pk")).order_by()
    metric = GaugeMetricFamily(
        "notifications",
        "Messages that are queued or failed, and those of the last day",
        labels=["kind", "channel", "status"],
    )
    for kind, channel, status, n in rows:
        metric.add_metric([kind, channel, status], n)
    yield metric


@register
def jobs() -> Iterable[Metric]:
    """Done jobs are deleted, so these are those that wait, run or failed."""
    rows = ProcrastinateJob.objects.values_list("task_name", "queue_name", "status").annotate(Count("pk"))
    metric = GaugeMetricFamily("jobs", "Jobs by task, queue and status", labels=["task", "queue", "status"])
    for task, queue, status, n in rows.order_by():
        metric.add_metric([task, queue, status], n)
    yield metric


@register
def deliveries() -> Iterable[Metric]:
    waiting = GaugeMetricFamily("deliveries_parked", "Deliveries tried to the end", labels=["subscriber"])
    for name, n in parked.by_subscriber().items():
        waiting.add_metric([name], n)
    return [waiting, *_ages()]


# Seconds, 0 where nothing waits. The oldest by the ids: looking at the jobs' own times would read all of them.
AGES = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - (
        SELECT e.created_at FROM procrastinate_jobs j JOIN clinic_booking_event e ON e.id = (j.args->>'event_id')::bigint
        WHERE j.task_name = 'deliver' AND j.queue_name = 'events' AND j.status = 'todo'
            AND j.attempts = 0 ORDER BY j.id LIMIT 1)), 0)::float,
    coalesce(extract(epoch FROM clock_timestamp() - (SELECT max(last_heartbeat) FROM procrastinate_workers)),
        'infinity')::float
"""
LAGS = """
SELECT r.name, coalesce(extract(epoch FROM clock_timestamp() - (
    SELECT e.created_at FROM clinic_booking_event e WHERE (e.xact, e.id) > (r.xact, r.event_id)
    ORDER BY e.xact, e.id LIMIT 1)), 0)::float
FROM clinic_booking_reader r ORDER BY r.name
"""


def _ages() -> Iterable[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(AGES)
        backlog, heartbeat = cursor.fetchone()
        cursor.execute(LAGS)
        lags = cursor.fetchall()
    yield GaugeMetricFamily("events_backlog_seconds", "Age of the oldest undelivered event", value=backlog)
    yield GaugeMetricFamily("worker_heartbeat_seconds", "Since a worker was last seen", value=heartbeat)
    readers = GaugeMetricFamily(
        "events_reader_lag_seconds", "Age of the oldest unread event", labels=["reader"]
    )
    for name, seconds in lags:
        readers.add_metric([name], seconds)
    yield readers


class _Registered:
    def collect(self) -> Iterable[Metric]:
        for collect in _collectors:
            yield from collect()


@require_GET
def view(request: HttpRequest) -> HttpResponse:
    given = request.headers.get("authorization", "")
    if settings.METRICS_TOKEN and not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    own = CollectorRegistry()
    own.register(_Registered())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(own)  # type: ignore[no-untyped-call]
        content = generate_latest(own)
    else:
        content = generate_latest(own) + generate_latest(REGISTRY)
    return HttpResponse(content, content_type=CONTENT_TYPE_LATEST)


class MetricsMiddleware:
    """Time of the answer, and of its queries, by view. Costs some 5 µs."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # Looking a labelled metric up takes longer than counting.
        self.known: dict[tuple[str, str, str], tuple[Any, Any]] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        in_queries = 0.0

        def timed(execute: Any, sql: Any, parameters: Any, many: Any, context: Any) -> Any:
            nonlocal in_queries
            begun = time.perf_counter()
            try:
                return execute(sql, parameters, many, context)
            finally:
                in_queries += time.perf_counter() - begun

        begun = time.perf_counter()
        with connection.execute_wrapper(timed):
            response = self.get_response(request)
        seconds = time.perf_counter() - begun

        match = request.resolver_match
        view = (match.view_name or match._func_path) if match else "none"
        method = request.method if request.method in METHODS else "other"
        key = view, method, f"{response.status_code // 100}xx"
        children = self.known.get(key)
        if children is None:
            children = self.known[key] = requests.labels(*key), queries.labels(*key)
        children[0].observe(seconds)
        children[1].observe(in_queries)
        return response
