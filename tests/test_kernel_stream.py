"""Reading the events: in an order in which none comes late, through restarts, from any place on."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction

from clinic_booking import events, stream
from clinic_booking.models import EventCount, Reader
from tests import crash
from tests.crash import ROOT, SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


def publish(*names):
    with transaction.atomic():
        return [events.publish("test", f"test:{name}", {}) for name in names]


def subjects(found):
    return [event.subject.removeprefix("test:") for event in found]


class Slow(threading.Thread):
    """Has published "slow" and commits when it is told to."""

    def __init__(self):
        super().__init__()
        self.is_written, self.may_commit = threading.Event(), threading.Event()
        self.start()
        assert self.is_written.wait(SECONDS)

    def run(self):
        try:
            with transaction.atomic():
                events.publish("test", "test:slow", {})
                self.is_written.set()
                assert self.may_commit.wait(SECONDS)
        finally:
            connections.close_all()

    def commit(self):
        self.may_commit.set()
        self.join(SECONDS)


# -- Late commits --------------------------------------------------------------------------------


def test_smaller_id_that_is_committed_later_is_not_missed():
    publish("early")
    slow = Slow()
    [fast] = publish("fast")

    before, place = stream.read(stream.START)
    slow.commit()
    after, _place = stream.read(place)

    assert subjects(before) == ["early"]
    assert subjects(after) == ["slow", "fast"]
    assert after[0].pk < fast.pk


def test_follow_waits_for_the_slow_one_and_goes_on():
    slow = Slow()
    publish("fast")
    stop, found = threading.Event(), []
    threading.Timer(0, slow.commit).start()
    for batch, _place in stream.follow(stream.START, stop=stop):
        found += subjects(batch)
        if "fast" in found:
            stop.set()
    slow.join(SECONDS)
    assert found == ["slow", "fast"]


def test_transaction_that_is_rolled_back_leaves_no_gap_to_wait_for():
    with transaction.atomic():
        events.publish("test", "test:undone", {})
        transaction.set_rollback(True)
    publish("next")
    assert subjects(stream.stored(stream.START)) == ["next"]


# -- Places --------------------------------------------------------------------------------------


def test_stream_is_read_in_batches_and_from_any_place(monkeypatch):
    monkeypatch.setattr(stream, "BATCH", 2)
    made = publish(*"abc") + publish(*"de")
    assert subjects(stream.stored(stream.START)) == [*"abcde"]
    assert subjects(stream.stored(stream.place_of(made[1].pk))) == [*"cde"]
    assert subjects(stream.stored(stream.horizon())) == []


def test_events_of_a_dump_are_refused_until_they_are_taken_over():
    """In a new cluster the transactions are numbered from the beginning: nothing would ever be certain."""
    old = publish("a", "b")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE clinic_booking_event DISABLE TRIGGER event_append_only")
        cursor.execute("UPDATE clinic_booking_event SET xact = xact + 1000000000")
        cursor.execute("ALTER TABLE clinic_booking_event ENABLE TRIGGER event_append_only")
    Reader.objects.create(name="kafka", **stream.place_of(old[0].pk)._asdict())
    Reader.objects.create(name="counts", **stream.place_of(old[0].pk)._asdict())
    EventCount.objects.create(topic="test", n=1)
    with pytest.raises(CommandError, match="--after-restore"):
        call_command("events")

    call_command("events", "--after-restore")

    publish("c")
    assert subjects(stream.stored(stream.START)) == [*"abc"]
    reader = Reader.objects.get(name="kafka")
    assert subjects(stream.stored(stream.Place(reader.xact, reader.event_id))) == [*"bc"]
    assert Reader.objects.get(name="counts").event_id == 0
    assert not EventCount.objects.exists()


# -- The command as a process --------------------------------------------------------------------


@pytest.fixture
def follower(request):
    """`manage.py events --follow` of its own, reading from the beginning."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "events", "--follow", "--since", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=crash.environment(APPLICATION_NAME=f"follower of {request.node.name}"[:60]),
    )
    yield process
    process.kill()
    process.communicate()


def next_of(process):
    return json.loads(process.stdout.readline())["subject"].removeprefix("test:")


def test_follower_outlives_the_loss_of_its_connection(follower, request):
    publish("before")
    assert next_of(follower) == "before"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = %s",
            [f"follower of {request.node.name}"[:60]],
        )
        assert cursor.fetchall() == [(True,)]
    publish("after")
    assert next_of(follower) == "after"
    follower.send_signal(signal.SIGTERM)
    assert follower.communicate(timeout=SECONDS) == ("", "")
    assert follower.returncode == 0


def test_follower_ends_with_its_reader(follower):
    publish("one")
    assert next_of(follower) == "one"
    follower.stdout.close()
    publish("two")
    assert follower.wait(SECONDS) == 0
    assert follower.stderr.read() == ""


def test_follower_ends_on_ctrl_c(follower):
    publish("one")
    assert next_of(follower) == "one"
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=SECONDS) == ("", "")
    assert follower.returncode == 0
