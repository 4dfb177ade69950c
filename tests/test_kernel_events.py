import datetime as dt
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.testing import InMemoryConnector

from clinic_booking import events


def lines(capsys, *arguments):
    call_command("events", *arguments)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
@transaction.atomic
def stream(transactional_db):
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


def test_names_of_the_fields_are_stable(stream, capsys):
    assert list(lines(capsys)[0]) == ["id", "topic", "version", "subject", "clinic_id", "data", "at"]


def test_stream_goes_on_after_an_event(stream, capsys):
    first, *rest = lines(capsys)
    assert lines(capsys, "--since", str(first["id"])) == rest


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "2026-02-30", "-1", "1e3"])
def test_odd_time_is_refused(db, since):
    with pytest.raises(CommandError, match="is not a date or time"):
        call_command("events", f"--since={since}")


def test_odd_topic_and_event_are_refused(db):
    with pytest.raises(CommandError, match="“appointment.boked” is no topic"):
        call_command("events", "--topic", "appointment.boked")
    with pytest.raises(CommandError, match="There is no event 99"):
        call_command("events", "--since", "99")


def test_worker_writes_jobs_in_its_transaction(db, monkeypatch):
    """There the connector is a pool of other connections."""
    monkeypatch.setitem(events._subscribers, "test", {"tests.nobody": print})
    with app.replace_connector(InMemoryConnector()) as worker:
        events.publish("test", "test:1", {})
        assert not worker.connector.jobs
    assert ProcrastinateJob.objects.get(task_name="deliver").args["subscriber"] == "tests.nobody"
