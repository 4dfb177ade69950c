"""Forwarding to a broker: librdkafka's own mock cluster, read back by its consumer."""

import json
import threading

import pytest
from confluent_kafka import Consumer, Producer
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from clinic_booking import events, forward
from clinic_booking.management.commands import forward_events
from clinic_booking.models import Reader

pytestmark = pytest.mark.django_db(transaction=True)
TO = "clinic.events"


@pytest.fixture(scope="module")
def cluster():
    """The producer holds the cluster; its brokers are told from its own list of them."""
    producer = Producer(
        {"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0} | forward.SAFE
    )
    brokers = producer.list_topics(TO, timeout=20).brokers.values()
    yield producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    producer.flush(5)


@pytest.fixture
def topic(request):
    return f"{TO}.{request.node.name}"


def publish(*subjects):
    with transaction.atomic():
        return [events.publish("test", f"test:{subject}", {}) for subject in subjects]


def run(producer, to, batches=1):
    """Until so many batches were taken."""
    stop, sent = threading.Event(), 0
    for count in forward.forward(producer, to=to, stop=stop):
        sent += count
        batches -= 1
        if not batches:
            stop.set()
    return sent


def received(brokers, topic, count):
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe([topic])
    found = []
    try:
        for _ in range(300):
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                found.append(message)
            if len(found) == count:
                return found
    finally:
        consumer.close()
    raise AssertionError(f"{len(found)} of {count} came")


def test_events_arrive_with_their_ids_and_subjects(cluster, topic):
    producer, brokers = cluster
    made = publish("1", "2", "1")
    assert run(producer, topic) == 3
    messages = received(brokers, topic, 3)
    assert sorted(int(dict(m.headers())["id"]) for m in messages) == [event.pk for event in made]
    assert all(json.loads(m.value())["subject"].encode() == m.key() for m in messages)
    assert all(json.loads(m.value())["id"] == int(dict(m.headers())["id"]) for m in messages)
    # In order for each subject, whose events share a partition.
    ones = [m for m in messages if m.key() == b"test:1"]
    assert len({m.partition() for m in ones}) == 1
    assert [json.loads(m.value())["id"] for m in ones] == [made[0].pk, made[2].pk]


def test_forwarding_goes_on_where_it_stopped(cluster, topic):
    producer, brokers = cluster
    publish("1", "2")
    run(producer, topic)
    [third] = publish("3")
    assert run(producer, topic) == 1
    assert [json.loads(m.value())["id"] for m in received(brokers, topic, 3)][-1] == third.pk


class Down:
    """A broker that takes the first and refuses the second."""

    def __init__(self):
        self.sent = []

    def produce(self, topic, *, on_delivery, **message):
        self.sent.append(message["key"])
        on_delivery("broker is away" if len(self.sent) > 1 else None, None)

    def flush(self, timeout):
        return 0


def test_what_was_not_taken_is_sent_again_with_the_same_id(cluster, topic):
    producer, brokers = cluster
    made = publish("1", "2")
    down = Down()
    with pytest.raises(forward.NotTaken, match="broker is away"):
        run(down, topic)
    assert len(down.sent) == 2
    assert Reader.objects.get(name=forward.READER).event_id == 0
    assert run(producer, topic) == 2
    assert {int(dict(m.headers())["id"]) for m in received(brokers, topic, 2)} == {e.pk for e in made}


def test_only_one_forwards(topic):
    other = connection.Database.connect(**connection.get_connection_params())
    with other:
        other.execute("SELECT pg_advisory_lock(hashtext('forward_events'))")
        with pytest.raises(forward.AlreadyRunning):
            run(Down(), topic)


def test_missing_extra_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "confluent_kafka", None)
    with pytest.raises(CommandError, match="clinic-booking\\[kafka\\]"):
        call_command("forward_events", "--brokers", "127.0.0.1:1")


def test_settings_that_keep_the_order_cannot_be_switched_off(monkeypatch):
    seen = {}
    monkeypatch.setattr("confluent_kafka.Producer", lambda config: seen.update(config))
    forward_events.connect({"acks": "0", "bootstrap.servers": "127.0.0.1:1"})
    assert seen["acks"] == "all"
    assert seen["enable.idempotence"] is True
