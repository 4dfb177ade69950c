"""A delivery that was tried to the end: it waits visibly, and somebody retries or discards it."""

import json
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking import events, jobs, parked
from clinic_booking.models import Event, Parked
from tests import factories

pytestmark = pytest.mark.django_db
CHANGELIST = "admin:clinic_booking_parked_changelist"


class Broken(Exception):
    pass


class Handlers:
    """Two subscribers of "test": one works, the other does as long as it is not broken."""

    def __init__(self):
        self.heard, self.is_broken = [], True

    def well(self, event):
        self.heard.append("well")

    def ill(self, event):
        if self.is_broken:
            raise Broken("Tan Mei Ling")
        self.heard.append("ill")


@pytest.fixture
def handlers(monkeypatch):
    both = Handlers()
    monkeypatch.setitem(events._subscribers, "test", {"tests.well": both.well, "tests.ill": both.ill})
    return both


@pytest.fixture
def event(handlers):
    with transaction.atomic():
        return events.publish("test", "test:1", {}, clinic_id=3)


@pytest.fixture
def gone(event):
    """It is parked after its last try."""
    run("tests.ill", attempts=jobs.RETRY.max_attempts)
    return Parked.objects.get()


def run(subscriber, attempts=0):
    """As the worker does; the job is then gone."""
    found = ProcrastinateJob.objects.filter(task_name="deliver", args__subscriber=subscriber)
    deliver(attempts, **found.get().args)
    found._raw_delete(using="default")


def deliver(attempts, **args):
    job = SimpleNamespace(attempts=attempts, task_kwargs=args)
    jobs.park_at_last(lambda: jobs.deliver(**args), SimpleNamespace(job=job), None)


@pytest.fixture
def admin(client):
    client.user = factories.UserFactory(is_admin=True)
    client.force_login(client.user)
    return client


def act(client, action, *rows, **more):
    data = {"action": action, "_selected_action": [row.pk for row in rows]} | more
    return client.post(reverse(CHANGELIST), data, follow=True)


# -- Parking -------------------------------------------------------------------------------------


def test_subscribers_fail_apart(event, handlers):
    with pytest.raises(Broken):
        run("tests.ill")
    run("tests.well")
    assert handlers.heard == ["well"]
    assert not Parked.objects.exists()


def test_delivery_is_parked_after_its_last_try(event, gone):
    assert (gone.event, gone.subscriber, gone.tries, gone.error) == (event, "tests.ill", 12, "Broken")
    assert gone.parked_at
    assert gone.ended_at is None
    assert "Tan" not in str(gone.__dict__)


def test_tries_last_longer_than_an_hour():
    waits = [2 ** (n + 1) for n in range(jobs.RETRY.max_attempts)]
    assert 3600 < sum(waits) < 2 * 3600


def test_removed_handler_is_parked_and_not_forgotten(event, monkeypatch):
    monkeypatch.setitem(events._subscribers, "test", {})
    with pytest.raises(jobs.NoSubscriber):  # the worker may be older than the web: it tries again
        deliver(0, event_id=event.pk, subscriber="tests.ill")
    deliver(jobs.RETRY.max_attempts, event_id=event.pk, subscriber="tests.ill")
    assert Parked.objects.get().error == "NoSubscriber"


def test_handler_that_kills_its_worker_is_parked(event, handlers):
    handlers.is_broken = False
    run("tests.ill", attempts=jobs.MOST_DEATHS)
    assert Parked.objects.get().error == "WorkerDied"
    assert not handlers.heard


def test_parking_twice_is_once(event, gone):
    parked.park(event_id=event.pk, subscriber="tests.ill", tries=30, error=KeyError("x"))
    gone.refresh_from_db()
    assert (Parked.objects.count(), gone.tries, gone.error) == (1, 30, "KeyError")


# -- Ending it -----------------------------------------------------------------------------------


def test_retried_delivery_has_all_its_tries_again(event, gone, handlers):
    by = factories.UserFactory()
    handlers.is_broken = False
    assert parked.retry(parked_id=gone.pk, by=by)
    assert not parked.retry(parked_id=gone.pk, by=by)
    run("tests.ill")
    gone.refresh_from_db()
    assert handlers.heard == ["ill"]
    assert (gone.ended_as, gone.ended_by) == ("retried", by)
    told = Event.objects.get(topic="delivery.retried")
    assert told.data == {"parked": gone.pk, "event": event.pk, "subscriber": "tests.ill", "by": by.pk}
    assert told.clinic_id == 3


def test_retried_delivery_that_fails_again_is_parked_again(event, gone):
    parked.retry(parked_id=gone.pk, by=None)
    run("tests.ill", attempts=jobs.RETRY.max_attempts)
    assert [row.ended_as for row in Parked.objects.order_by("pk")] == ["retried", ""]


def test_redelivery_by_another_way_ends_it_too(event, gone):
    assert events.redeliver(event, to="tests.ill".__eq__) == 1
    gone.refresh_from_db()
    assert gone.ended_as == "retried"


def test_discarded_delivery_is_never_made(event, gone, handlers):
    by = factories.UserFactory()
    assert parked.discard(parked_id=gone.pk, by=by, reason="The visit was made up")
    assert not parked.discard(parked_id=gone.pk, by=by, reason="again")
    assert not parked.retry(parked_id=gone.pk, by=by)
    gone.refresh_from_db()
    assert (gone.ended_as, gone.reason, gone.ended_by) == ("discarded", "The visit was made up", by)
    told = Event.objects.get(topic="delivery.discarded")
    assert "reason" not in told.data
    assert not ProcrastinateJob.objects.filter(args__subscriber="tests.ill").exists()


# -- Where it is seen ----------------------------------------------------------------------------


def test_admin_retries(admin, gone):
    answer = act(admin, "retry", gone)
    assert "1 are delivered again." in answer.text
    gone.refresh_from_db()
    assert (gone.ended_as, gone.ended_by) == ("retried", admin.user)


def test_admin_discards_only_with_a_reason(admin, gone):
    assert "Say why they are to be discarded." in act(admin, "discard", gone, reason=" ").text
    gone.refresh_from_db()
    assert gone.ended_at is None
    assert "1 are discarded." in act(admin, "discard", gone, reason="A test").text
    gone.refresh_from_db()
    assert gone.reason == "A test"


def test_admin_says_what_was_left(admin, gone, monkeypatch):
    monkeypatch.setitem(events._subscribers, "test", {})
    assert "1 were left" in act(admin, "retry", gone).text


def test_admin_filters(admin, gone):
    def shown(**query):
        return admin.get(reverse(CHANGELIST), query).context["cl"].result_count

    assert shown() == 1
    assert shown(topic="test", subscriber="tests.ill") == 1
    assert shown(state="discarded") == 0
    parked.discard(parked_id=gone.pk, by=admin.user, reason="A test")
    assert (shown(), shown(state="discarded"), shown(state="all")) == (0, 1, 1)


def test_staff_without_the_right_look_only(client, gone):
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_parked"))
    client.force_login(user)
    assert "tests.ill" in client.get(reverse(CHANGELIST)).text
    act(client, "retry", gone)
    gone.refresh_from_db()
    assert gone.ended_at is None


def test_health_names_the_subscriber(client, gone):
    answer = client.get("/readyz").json()
    assert "tests.ill 1" in answer["events"]["sentence"]


# -- The command ---------------------------------------------------------------------------------


def test_command_retries_all_of_a_subscriber(gone, capsys):
    call_command("retry_parked", "--subscriber", "tests.other", "--json")
    call_command("retry_parked", "--dry-run", "--json")
    call_command("retry_parked", "--subscriber", "tests.ill", "--topic", "test", "--json")
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["retried"] for report in reports] == [0, 0, 1]
    assert [report["parked"] for report in reports] == [0, 1, 1]


def test_command_fails_where_something_stays(gone, monkeypatch):
    monkeypatch.setitem(events._subscribers, "test", {})
    with pytest.raises(CommandError, match="1 are still parked"):
        call_command("retry_parked")
