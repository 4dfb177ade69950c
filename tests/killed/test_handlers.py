"""Every handler is killed by SIGKILL before, between and after what it writes: in the end all is as if nobody had been.

The scenes of `scenes.py` are played once without a kill. Then they are played for each point at which a worker can
die; a fresh worker finishes; the same rows must have come as the first time, no more and no fewer.
"""

import email
import json
import subprocess
import sys
from collections import Counter
from urllib.parse import quote

import pytest
from django.apps import apps
from django.db.models import Count
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking import events
from clinic_booking.models import Event, EventCount, Notification, Parked, Reader
from tests import crash
from tests.killed.scenes import SCENES, Place
from tests.test_repository import APPS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
GROUPED_BY = ("topic", "kind", "status")
NOT_COUNTED = {EventCount, Reader}


@pytest.fixture
def mails(tmp_path):
    (tmp_path / "mail").mkdir()
    return tmp_path / "mail"


@pytest.fixture
def worker(tmp_path, mails):
    """Told a word, it answers when its workers have died or finished."""
    log = (tmp_path / "worker.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.killed.worker"],
        cwd=crash.ROOT,
        env=crash.environment(
            EMAIL_URL=f"filemail:///{quote(str(mails))}", DJANGO_SETTINGS_MODULE="clinic_booking.settings"
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )

    def tell(word):
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, (tmp_path / "worker.log").read_text()[-3000:]
        return json.loads(answer)

    yield tell
    process.stdin.close()
    process.wait(crash.SECONDS)
    process.stdout.close()
    log.close()


def rows():
    """How many of each kind there are in our tables."""
    found = Counter()
    for app in APPS:
        for model in apps.get_app_config(app).get_models():
            if model in NOT_COUNTED:
                continue
            names = {field.name for field in model._meta.concrete_fields}
            by = [name for name in GROUPED_BY if name in names]
            counted = model.objects.order_by().values_list(*by, named=False).annotate(n=Count("*"))
            for *values, n in counted if by else [(model.objects.count(),)]:
                found[" ".join([model.__name__, *map(str, values)])] += n
    return found


def letters(mails):
    """The ids of all e-mails that were handed over."""
    texts = [part for file in mails.glob("*.log") for part in file.read_text().split("\n" + "-" * 79)]
    return Counter(email.message_from_string(text.strip())["Message-ID"] for text in texts if text.strip())


def play():
    for scene in SCENES.values():
        scene(Place.make())


def test_killed_handlers_leave_what_unkilled_ones_do(worker, mails):
    before = rows()
    play()
    worker("drain")
    expected = rows() - before
    missing = set(events._subscribers) - set(Event.objects.values_list("topic", flat=True))
    assert not missing, f"add a function with @scene(…) to tests/killed/scenes.py for {missing}"
    assert set(letters(mails).values()) == {1}

    for point in ("before", "between", "sent", "after"):
        before, sent, noted = rows(), letters(mails), perhaps_twice()
        play()
        died = worker(point)
        worker("drain")
        assert left() == [], f"killed {point}"
        assert not Parked.objects.exists()
        assert rows() - before == expected, f"killed {point}"
        assert not before - rows()

        handed_over = Counter((letters(mails) - sent).values())
        if point in ("before", "between"):
            idle = subscribers() - {name for _topic, name in died}
            assert not idle, f"their scenes in tests/killed/scenes.py give them nothing to write: {idle}"
        if point == "sent":
            # The mail server has the message twice, at most, and the row says so.
            assert handed_over.keys() == {1, 2}
            assert handed_over[2] == len(died) == perhaps_twice() - noted
        else:
            assert handed_over.keys() == {1}


def left():
    """Jobs that are not done, and why."""
    jobs = ProcrastinateJob.objects.filter(queue_name="events").order_by("pk")
    return list(jobs.values_list("args", "status", "attempts", "scheduled_at", "abort_requested"))


def perhaps_twice():
    return Notification.objects.filter(perhaps_twice=True, attempts=2).count()


def subscribers():
    return {name for handlers in events._subscribers.values() for name in handlers}
