import datetime as dt
import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import redis
from django.db import OperationalError, transaction
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from clinic_booking.accounts import sessions
from clinic_booking.models import User
from scheduling import consumers, live
from scheduling.models import Clinic
from tests import factories
from tests.servers import RedisServer, serve

DAY = dt.date(2030, 1, 7)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis_server(settings, monkeypatch):
    server = RedisServer()
    server.start()
    settings.REDIS_URL = server.url
    monkeypatch.setattr(live, "_publisher", live._Publisher())
    yield server
    server.stop()
    live._client(server.url).close()


@pytest.fixture
def server(redis_server):
    from clinic_booking.asgi import application

    with serve(application) as address:
        yield address


@pytest.fixture
def listen(server):
    with ExitStack() as stack:

        def open_socket(path, *, origin=server, client=None, **options):
            headers = {"Cookie": f"session={client.cookies['session'].value}"} if client else {}
            address = server.replace("http", "ws") + path
            return stack.enter_context(
                connect(
                    address,
                    origin=origin,
                    additional_headers=headers,
                    compression=None,
                    proxy=None,
                    close_timeout=1,
                    **options,
                )
            )

        yield open_socket


def receive(opened, timeout=5):
    return json.loads(opened.recv(timeout))


def read_all(opened):
    while True:
        opened.recv(10)


def announce(clinic, slot_id=1, version=2, status="booked", held_until=None, day=DAY):
    live.announce([(clinic.pk, day, slot_id, version, status, held_until)])


def test_patients_see_a_change_at_once(listen, clinic):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")

    announce(clinic, 7, 3, "booked")

    message = receive(opened)
    assert message["slots"] == [[7, 3, "booked", None]]
    assert abs(message["now"] / 1000 - time.time()) < 5


def test_staff_see_a_change_of_their_clinic(listen, clinic, receptionist, client):
    client.force_login(receptionist)
    opened = listen(f"/ws/clinics/{clinic.slug}/{DAY}/", client=client)

    announce(clinic, 7, 3, "available", held_until=1893456000000)

    assert receive(opened)["slots"] == [[7, 3, "held", 1893456000000]]


def test_staff_socket_refuses_others(listen, clinic, patient, client):
    def is_refused(**options):
        with pytest.raises(InvalidStatus) as refusal:
            listen(f"/ws/clinics/{clinic.slug}/{DAY}/", **options)
        return refusal.value.response.status_code == 403

    assert is_refused()
    client.force_login(factories.UserFactory(is_superuser=True))
    assert is_refused(client=client)
    client.force_login(factories.MembershipFactory(clinic=clinic, role="finance").user)
    assert is_refused(client=client)
    client.force_login(patient.user)
    assert is_refused(client=client)
    elsewhere = factories.MembershipFactory(clinic=factories.ClinicFactory()).user
    client.force_login(elsewhere)
    assert is_refused(client=client)


@pytest.mark.parametrize("how", ["removed", "inactive", "logged out", "everywhere", "idle"])
def test_staff_socket_ends_with_the_permission(listen, clinic, receptionist, client, monkeypatch, how):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.05)
    client.force_login(receptionist)
    opened = listen(f"/ws/clinics/{clinic.slug}/{DAY}/", client=client)
    announce(clinic)
    assert receive(opened)["slots"]

    if how == "removed":
        receptionist.memberships.all().delete()
    elif how == "inactive":
        User.objects.filter(pk=receptionist.pk).update(is_active=False)
    elif how == "everywhere":
        sessions.end_all(receptionist)
    elif how == "idle":
        session = client.session
        session[sessions.DOOR] |= {"seen": time.time() - 3600}
        session.save()
    else:
        client.logout()

    with pytest.raises(ConnectionClosed) as closed:
        read_all(opened)
    assert closed.value.rcvd.code == consumers.FORBIDDEN


def test_staff_socket_is_not_opened_by_a_session_that_is_over(listen, clinic, receptionist, client):
    client.force_login(receptionist)
    session = client.session
    session[sessions.DOOR] |= {"seen": time.time() - 3600}
    session.save()
    with pytest.raises(InvalidStatus):
        listen(f"/ws/clinics/{clinic.slug}/{DAY}/", client=client)


@pytest.mark.parametrize(
    "path",
    [
        "/ws/availability/nowhere/2030-01-07/",
        "/ws/availability/tanjong-pagar/2030-02-30/",
        "/ws/availability/tanjong-pagar/tomorrow/",
        "/ws/availability/tanjong-pagar/%FF/",
        "/ws/availability/%00/2030-01-07/",
        "/ws/",
    ],
)
def test_unknown_address_is_refused(listen, clinic, path):
    with pytest.raises(InvalidStatus) as refusal:
        listen(path)
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", None, "null"])
def test_foreign_origin_is_refused(listen, clinic, origin):
    with pytest.raises(InvalidStatus) as refusal:
        listen(f"/ws/availability/{clinic.slug}/{DAY}/", origin=origin)
    assert refusal.value.response.status_code == 403


def test_inactive_clinic_is_hidden_from_patients(listen, clinic):
    clinic.is_active = False
    clinic.save()
    with pytest.raises(InvalidStatus):
        listen(f"/ws/availability/{clinic.slug}/{DAY}/")


def test_nothing_of_other_days_and_clinics_arrives(listen, clinic):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")

    announce(factories.ClinicFactory(), 1)
    announce(clinic, 2, day=DAY + dt.timedelta(1))
    announce(clinic, 3)

    assert [row[0] for row in receive(opened)["slots"]] == [3]


def test_rolled_back_change_is_not_pushed(listen, clinic):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")

    with transaction.atomic():
        announce(clinic, 1)
        transaction.set_rollback(True)
    announce(clinic, 2)

    assert [row[0] for row in receive(opened)["slots"]] == [2]


def test_changes_of_one_verb_are_one_message(listen, clinic):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")

    live.announce((clinic.pk, DAY, slot, 2, "booked", None) for slot in range(4))

    assert len(receive(opened)["slots"]) == 4


def test_burst_is_joined_and_keeps_the_latest(listen, clinic):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")

    for version in [1, 3, 2, 5, 4]:
        for slot in range(20):
            announce(clinic, slot, version)

    latest, messages = {}, 0
    while len(latest) < 20 or set(latest.values()) != {5}:
        messages += 1
        for slot, version, *_ in receive(opened)["slots"]:
            assert latest.get(slot, 0) < version or latest[slot] > version
            latest[slot] = max(latest.get(slot, 0), version)
    assert messages < 50


def test_change_from_another_process_arrives(listen, clinic, redis_server):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")
    publish = "import redis, sys; redis.Redis.from_url(sys.argv[1]).publish(sys.argv[2], sys.argv[3])"

    name = live.channel(clinic.pk, DAY)
    subprocess.run(
        [sys.executable, "-c", publish, redis_server.url, name, '[[9,4,"blocked",null]]'],
        check=True,
        timeout=30,
    )

    assert receive(opened)["slots"] == [[9, 4, "blocked", None]]


def test_redis_away_costs_a_verb_little(clinic, redis_server):
    redis_server.stop()
    missed = live.unpublished._value.get()

    started = time.monotonic()
    for _ in range(100):
        announce(clinic)

    assert time.monotonic() - started < 1
    assert live.unpublished._value.get() == missed + 100


def test_redis_back_tells_calendars_to_fetch(listen, clinic, redis_server, monkeypatch):
    monkeypatch.setattr(live, "QUIET_SECONDS", 0.1)
    sockets = [listen(f"/ws/availability/{clinic.slug}/{DAY}/") for _ in range(2)]

    redis_server.stop()
    announce(clinic)
    redis_server.start()

    for opened in sockets:
        assert receive(opened, 15) == {"refetch": True}


def test_socket_opened_without_redis_catches_up(listen, clinic, redis_server):
    redis_server.stop()
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")

    redis_server.start()

    assert receive(opened, 15) == {"refetch": True}


def test_publisher_that_missed_tells_all_to_fetch(listen, clinic, redis_server):
    opened = listen(f"/ws/availability/{clinic.slug}/{DAY}/")
    live._publisher.has_missed = True

    announce(clinic)

    received = [receive(opened), receive(opened)]
    assert {"refetch": True} in received


def test_slow_socket_is_dropped_and_others_go_on(server, listen, clinic, monkeypatch):
    monkeypatch.setattr(live, "BURST_SECONDS", 0)
    monkeypatch.setattr(live, "BACKLOG", 10)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", urlsplit(server).port))
    slow = listen(f"/ws/availability/{clinic.slug}/{DAY}/", max_queue=1, sock=narrow)
    quick = listen(f"/ws/availability/{clinic.slug}/{DAY}/")
    client = live._client(live.settings.REDIS_URL)
    rows = json.dumps([[slot, 1, "booked", None] for slot in range(5000)])

    for _ in range(200):
        client.publish(live.channel(clinic.pk, DAY), rows)
        assert receive(quick)["slots"]

    with pytest.raises(ConnectionClosed) as closed:
        read_all(slow)
    assert closed.value.rcvd.code == 1013


def test_database_away_refuses_the_socket(listen, clinic, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr(Clinic.objects, "get", fail)
    with pytest.raises(InvalidStatus) as refusal:
        listen(f"/ws/availability/{clinic.slug}/{DAY}/")
    assert refusal.value.response.status_code == 403


def test_hub_leaves_no_subscription_behind(listen, clinic, redis_server):
    path = f"/ws/availability/{clinic.slug}/{DAY}/"
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        for _ in range(3):
            opened = listen(path)
            assert live.channel(clinic.pk, DAY) in client.pubsub_channels()
            opened.close()
        other = listen(f"/ws/availability/{clinic.slug}/{DAY + dt.timedelta(1)}/")
        other.close()
        opened = listen(path)
        announce(clinic)
        assert receive(opened)["slots"]
        assert client.pubsub_numsub(live.channel(clinic.pk, DAY)) == [(live.channel(clinic.pk, DAY), 1)]
