import pytest
from django.core.management import call_command

from clinic_booking import events, topics
from clinic_booking.models import Event
from tests.test_repository import modules, statements

GOOD = {"booking": 7, "reference": "TX4M2P", "version": 1}


def test_documents_are_those_of_the_code():
    call_command("topics", "--check")


def test_every_topic_is_published_and_every_subscriber_has_one():
    said = {
        text
        for name, tree in modules().items()
        if not name.endswith("topics.py")
        for text in statements(tree)
    }
    declared = {topic.name for topic in topics.all_topics()} - {"test"}
    assert declared <= said, "nobody publishes them: take them out of topics.py"
    assert set(events._subscribers) <= declared, "subscribed to, never declared"


def test_topic_is_declared_once():
    with pytest.raises(ValueError, match="declared twice"):
        topics.declare("bill.issued", "bill", {})


def test_undeclared_topic_is_refused(db):
    with pytest.raises(topics.UnknownTopic, match=r"Add declare\(“appointment.booked2”"):
        events.publish("appointment.booked2", "booking:7", GOOD)
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reference": None}, "“reference” is no str: NoneType"),
        ({"booking": "7"}, "“booking” is no int: str"),
        ({"booking": True}, "“booking” is no int: bool"),
        ({"name": "Siti"}, "“name” is not declared"),
        ({"reference": "x" * 121}, "“reference” is no str"),
        ({"matched": 1}, "“matched” is no bool: int"),
    ],
)
def test_payload_that_does_not_fit_is_refused(db, change, sentence):
    with pytest.raises(topics.WrongPayload, match=sentence):
        events.publish("appointment.booked", "booking:7", GOOD | change)
    assert not Event.objects.exists()


def test_all_that_is_wrong_is_said_at_once(db):
    with pytest.raises(topics.WrongPayload) as refusal:
        events.publish("slots.changed", "slot:7", {"slots": [1, "2"], "status": "booked"})
    assert "“by” is missing; “slots” is no list[int]: list; the subject is not clinic:…" in str(refusal.value)
    assert "scheduling/topics.py" in str(refusal.value)


def test_optional_field_may_be_null_or_missing(db):
    for more in ({}, {"by": None}, {"by": 3}):
        assert events.publish("appointment.booked", "booking:7", GOOD | more).data == GOOD | more


def test_event_has_the_version_of_its_topic(db, monkeypatch):
    monkeypatch.setitem(topics._topics, "bill.issued", topics.find("bill.issued")._replace(version=3))
    data = {"bill": 1, "booking": 7, "total_cents": 4500}
    assert events.publish("bill.issued", "bill:1", data).version == 3
