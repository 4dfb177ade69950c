import datetime as dt
import os
import subprocess
import sys
import threading
import time

import pytest
from django.db import connection, connections
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import resolve
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from clinic_booking import counts, jobs, metrics, middleware
from clinic_booking.models import Event, EventCount, Notification, Parked, Reader
from tests import factories

pytestmark = pytest.mark.django_db


def scrape(client, **headers):
    """A function of the name and labels of a sample."""
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }

    def found(name, **labels):
        return values.get((name, frozenset(labels.items())))

    found.names = {name for name, _labels in values}
    return found


def publish(topic, clinic, times=1):
    for _ in range(times):
        Event.objects.create(topic=topic, subject="test:1", clinic_id=clinic.pk)


def connect():
    """A connection of its own; committed at the end."""
    return connection.Database.connect(**connection.get_connection_params())


def test_business_counters_are_true_at_any_process(client, clinic):
    quiet = factories.ClinicFactory()
    publish("appointment.booked", clinic, 3)
    publish("payment.succeeded", clinic, 2)
    publish("payment.failed", clinic)

    found = scrape(client)

    assert found("appointments_booked_total", clinic=clinic.slug) == 3
    assert found("payments_success_total", clinic=clinic.slug) == 2
    assert found("payments_failure_total", clinic=clinic.slug) == 1
    assert found("appointments_booked_total", clinic=quiet.slug) == 0


def test_holds_messages_and_jobs_are_counted(client, clinic, slots, service):
    factories.hold(slots[:1], service=service)
    event = Event.objects.create(topic="test", subject="test:1")
    Notification.objects.create(event=event, kind="booked")

    found = scrape(client)

    assert found("holds", clinic=clinic.slug, state="open") == 1
    assert found("notifications", kind="booked", channel="email", status="queued") == 1
    assert found("live_unpublished_total") >= 0


def test_requests_and_their_queries_are_timed(client):
    before = scrape(client)
    client.get("/readyz")
    client.get("/nowhere/")
    after = scrape(client)

    def added(name, view, status):
        labels = {"view": view, "method": "GET", "status": status}
        return after(name, **labels) - (before(name, **labels) or 0)

    assert added("http_request_seconds_count", "readyz", "5xx") == 1
    assert added("http_request_seconds_count", "none", "4xx") == 1
    in_all = added("http_request_seconds_sum", "readyz", "5xx")
    assert 0 < added("http_request_query_seconds_sum", "readyz", "5xx") < in_all


def test_odd_methods_make_no_new_series(client):
    client.generic("BREW", "/nowhere/")
    found = scrape(client)
    assert found("http_request_seconds_count", view="none", method="other", status="4xx") >= 1
    assert found("http_request_seconds_count", view="none", method="BREW", status="4xx") is None


def test_token_guards_the_metrics(client, settings):
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer é"}).status_code == 401
    assert scrape(client, Authorization="Bearer s3cret")


def test_latencies_of_other_processes_are_added(tmp_path):
    answer_once = """
import sys, django; django.setup()
from django.test import Client
Client(SERVER_NAME="localhost").get("/healthz")
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry(); MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "clinic_booking.settings",
    }
    for n in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", answer_once], env=environment, capture_output=True, text=True, timeout=60
        )
        line = f'http_request_seconds_count{{method="GET",status="2xx",view="healthz"}} {n}.0'
        assert line in done.stdout, done.stderr


def test_our_middleware_costs_little():
    request = RequestFactory().get("/healthz")
    request.resolver_match = resolve("/healthz")
    answer = HttpResponse()

    def view(request):
        return answer

    wrapped = view
    for outer in (middleware.refuse_bad_input, middleware.request_id, metrics.MetricsMiddleware):
        wrapped = outer(wrapped)

    def seconds(call):
        begun = time.perf_counter()
        for _ in range(100):
            call(request)
        return (time.perf_counter() - begun) / 100

    connection.ensure_connection()
    assert min(seconds(wrapped) for _ in range(50)) < 60e-6  # measured: 8


# -- Counting each event once --------------------------------------------------------------------


def test_what_was_carried_forward_is_not_counted_again(clinic, transactional_db):
    publish("appointment.booked", clinic, 3)
    counts.carry_forward()
    publish("appointment.booked", clinic, 2)
    publish("payment.failed", clinic)
    for _ in range(2):
        assert counts.totals()["appointment.booked", clinic.pk] == 5
        assert counts.totals()["payment.failed", clinic.pk] == 1
        counts.carry_forward()
    assert EventCount.objects.get(topic="appointment.booked").n == 5


def test_event_that_is_committed_late_is_counted(clinic, transactional_db):
    with connect() as late:
        late.execute(
            "INSERT INTO clinic_booking_event (topic, version, subject, clinic_id, data)"
            " VALUES ('appointment.booked', 1, 'test:1', %s, '{}')",
            [clinic.pk],
        )
        publish("appointment.booked", clinic)
        counts.carry_forward()
        assert counts.totals()["appointment.booked", clinic.pk] == 1
    assert counts.totals()["appointment.booked", clinic.pk] == 2
    counts.carry_forward()
    assert counts.totals()["appointment.booked", clinic.pk] == 2


def test_two_at_once_count_once(clinic, transactional_db):
    """The second waits for the first and finds the place moved."""
    publish("appointment.booked", clinic, 4)
    Reader.objects.create(name=counts.READER)
    both = threading.Barrier(2, timeout=20)

    def carry():
        try:
            both.wait()
            counts.carry_forward()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=carry) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert counts.totals()["appointment.booked", clinic.pk] == 4
    assert EventCount.objects.get().n == 4


def test_waiting_work_has_an_age(client, clinic):
    event = Event.objects.create(
        topic="test", subject="test:1", created_at=timezone.now() - dt.timedelta(0, 90)
    )
    Reader.objects.create(name="kafka")
    Parked.objects.create(event=event, subscriber="tests.ill", tries=12, error="KeyError")
    jobs.deliver.defer(event_id=event.pk, subscriber="tests.ill")

    found = scrape(client)

    assert found("deliveries_parked", subscriber="tests.ill") == 1
    assert 90 <= found("events_backlog_seconds") < 900
    assert 90 <= found("events_reader_lag_seconds", reader="kafka") < 900
    assert found("worker_heartbeat_seconds") == float("inf")
    assert found("jobs", task="deliver", queue="events", status="todo") == 1
