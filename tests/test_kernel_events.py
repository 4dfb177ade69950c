import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.testing import InMemoryConnector

from clinic_booking import events
from clinic_booking.management.commands import events as command
from clinic_booking.models import Event


def lines(capsys, *arguments):
    call_command("events", *arguments)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def stream(db):
    booked = {"booking": 1, "reference": "TX4M2P", "version": 1}
    events.publish("appointment.booked", "booking:1", booked, clinic_id=3)
    issued = {"bill": 1, "booking": 1, "total_cents": 4500}
    events.publish("bill.issued", "bill:1", issued, clinic_id=3)
    events.publish("appointment.booked", "booking:1", booked | {"version": 2}, clinic_id=3)


def test_events_are_printed_in_order(stream, capsys):
    printed = lines(capsys)
    assert [line["topic"] for line in printed] == ["appointment.booked", "bill.issued", "appointment.booked"]
    assert printed[0]["data"]["booking"] == 1
    assert printed[0]["clinic_id"] == 3
    assert dt.datetime.fromisoformat(printed[0]["at"])


def test_events_are_filtered_by_topic_and_time(stream, capsys):
    assert len(lines(capsys, "--topic", "bill.issued")) == 1
    assert len(lines(capsys, "--topic", "bill.issued", "--topic", "appointment.booked")) == 3
    assert len(lines(capsys, "--since", "0")) == 3
    tomorrow = timezone.localdate() + dt.timedelta(1)
    assert lines(capsys, "--since", str(tomorrow)) == []


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "2026-02-30"])
def test_odd_time_is_refused(db, since):
    with pytest.raises(CommandError, match="is not a date or time"):
        call_command("events", "--since", since)


def test_large_stream_is_read_in_parts(db, capsys, monkeypatch):
    monkeypatch.setattr(command, "BATCH", 2)
    Event.objects.bulk_create(Event(topic="test", subject=f"test:{n}") for n in range(5))
    assert [line["subject"] for line in lines(capsys)] == [f"test:{n}" for n in range(5)]


def test_worker_writes_jobs_in_its_transaction(db, monkeypatch):
    """There the connector is a pool of other connections."""
    monkeypatch.setitem(events._subscribers, "test", {"tests.nobody": print})
    with app.replace_connector(InMemoryConnector()) as worker:
        events.publish("test", "test:1", {})
        assert not worker.connector.jobs
    assert ProcrastinateJob.objects.get(task_name="deliver").args["subscriber"] == "tests.nobody"


@pytest.mark.django_db(transaction=True)
def test_follow_misses_no_late_commit():
    """The smaller id is committed after the larger one was printed."""
    first_is_written, second_is_printed = threading.Event(), threading.Event()

    def publish_slowly():
        try:
            with transaction.atomic():
                events.publish("test", "test:first", {})
                first_is_written.set()
                assert second_is_printed.wait(20)
        finally:
            connections.close_all()

    slow = threading.Thread(target=publish_slowly)
    slow.start()
    assert first_is_written.wait(20)
    with transaction.atomic():
        events.publish("test", "test:second", {})

    stop, subjects = threading.Event(), []
    for event in command.follow(Event.objects.order_by("pk"), stop):
        subjects.append(event.subject)
        second_is_printed.set()
        if len(subjects) == 2:
            stop.set()
    slow.join(20)
    assert subjects == ["test:second", "test:first"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_ends_on_a_signal(number):
    with transaction.atomic():
        events.publish("test", "test:1", {})
    parameters = connection.get_connection_params()
    url = "postgres://{user}:{password}@{host}:{port}/{dbname}".format(**{"password": ""} | parameters)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "events", "--follow", "--since", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"DATABASE_URL": url},
    )
    try:
        assert json.loads(process.stdout.readline())["subject"] == "test:1"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")
