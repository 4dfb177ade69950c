"""The web process is killed at random points, Redis stops: nothing that was promised is lost, nothing stays stuck."""

import itertools
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from websockets.sync.client import connect

from billing.models import Payment
from billing.stripe_double import http as double
from scheduling import booking
from scheduling.models import Booking, Slot
from tests import crash, factories, servers
from tests.invariants import broken

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

CHECKOUTS = 200
PATIENTS_AT_ONCE = 6
OUTCOMES = ["success"] * 8 + ["declined", "three_d_secure"]


@pytest.fixture
def service():
    return factories.ServiceFactory(slug="consultation")


@pytest.fixture
def times(service):
    """Fewer than there are patients, so that some meet."""
    clinic = factories.ClinicFactory()
    found = []
    for _ in range(8):
        practitioner = factories.PractitionerFactory()
        service.practitioners.add(practitioner)
        station = factories.StationFactory(clinic=clinic)
        found += factories.make_slots(practitioner, station, factories.tomorrow_at(8), slots=20)
    return [slot.pk for slot in found]


@pytest.fixture
def provider():
    with double.running() as server:
        yield server


@pytest.fixture
def web(tmp_path, provider):
    web = crash.Web(tmp_path / "web.log", STRIPE_API_BASE=provider.url)
    web.start()
    yield web
    web.close()


class Killer(threading.Thread):
    """Kills the web process at random moments and starts its successor, until told to stop."""

    def __init__(self, web: crash.Web, seed: int) -> None:
        super().__init__(daemon=True)
        self.web, self.random = web, random.Random(seed)
        self.enough, self.kills = threading.Event(), 0

    def run(self) -> None:
        startup_seconds = 1.0  # on a slow machine each life is longer, so that the patients get on
        while not self.enough.wait(self.random.uniform(0, startup_seconds)):
            self.web.kill()
            self.kills += 1
            begin = time.monotonic()
            self.web.start()
            self.web.wait()
            startup_seconds = time.monotonic() - begin

    def stop(self) -> None:
        self.enough.set()
        self.join(60)


def check_out(web, provider, service, slot, n):
    """One patient's visit: what they were told at last, and how many answers were lost."""
    patient = crash.Patient(web.address, is_patient=n % 3 > 0)
    try:
        return go_through(patient, provider, service, slot, n), patient.lost
    except crash.Left:
        return "left", patient.lost


def go_through(patient, provider, service, slot, n):
    """From the first page to the confirmation; the path of the booking, or why there is none."""
    patient.arrive()
    checkout = patient.hold(slot, service.pk)
    if checkout is None:
        return "taken"
    token = provider.engine.confirmation_token("card", OUTCOMES[n % len(OUTCOMES)])
    facts = patient.pay(checkout, confirmation_token=token)
    for _ in range(40):
        if "client_secret" in facts:
            provider.engine.authenticate(facts["client_secret"].split("_secret_")[0])
        elif facts["status"] != "processing":
            break
        facts = patient.standing(checkout)
    return facts.get("redirect", facts["status"])


def pass_time():
    """Five minutes and more pass in the database: every hold has run out, nothing is in anybody's hands."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (
            "UPDATE scheduling_hold SET locked_at = locked_at - interval '301 s',"
            " expires_at = expires_at - interval '301 s'",
            "UPDATE scheduling_slot SET held_until = held_until - interval '301 s' WHERE hold_id IS NOT NULL",
            "UPDATE billing_payment SET updated_at = updated_at - interval '301 s',"
            " checked_at = checked_at - interval '301 s'",
        ):
            cursor.execute(statement)


def test_kills_lose_no_booking_slot_or_money(web, provider, service, times):
    killer = Killer(web, seed=random.randrange(1_000_000))
    killer.start()
    slots = itertools.islice(itertools.cycle(times), CHECKOUTS)
    try:
        with ThreadPoolExecutor(PATIENTS_AT_ONCE) as patients:
            told = list(
                patients.map(
                    lambda n, slot: check_out(web, provider, service, slot, n), range(CHECKOUTS), slots
                )
            )
    finally:
        killer.stop()
        web.kill()
    references = [answer.split("/")[2] for answer, _lost in told if answer.startswith("/bookings/")]
    assert killer.kills >= 3
    assert sum(lost for _answer, lost in told) > 0

    pass_time()
    settings = {"STRIPE_API_BASE": provider.url}
    for command in ("expire_holds", "reconcile_payments --fix", "procrastinate worker --one-shot"):
        done = crash.manage(*command.split(), **settings)
        assert done.returncode == 0, done.stdout + done.stderr
    for command in ("reconcile_payments --json", "check_consistency --json"):
        done = crash.manage(*command.split(), **settings)
        assert done.returncode == 0, done.stdout + done.stderr

    booked = set(Booking.objects.live().values_list("reference", flat=True))
    assert set(references) <= booked
    assert len(references) == len(set(references))
    assert all(payment.is_settled for payment in Payment.objects.all())
    charged = [i for i in provider.engine.store.tables["intents"].values() if i["status"] == "succeeded"]
    assert len(charged) - len(provider.engine.store.tables["refunds"]) == len(booked)
    assert {i["status"] for i in provider.engine.store.tables["intents"].values()} <= {
        "succeeded",
        "canceled",
    }
    assert broken() == {}
    for n, slot in enumerate(Slot.objects.filter(booking=None)):
        assert booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=f"next-{n}")


# -- Redis is away -------------------------------------------------------------------------------


@pytest.fixture
def redis():
    server = servers.RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def web_with(tmp_path, redis):
    web = crash.Web(tmp_path / "web.log", REDIS_URL=redis.url)
    web.start()
    web.wait()
    yield web
    web.close()


def book(web, slot, service):
    """Hold and confirm as a patient does; the booking's page and how long the slowest answer took."""
    patient, slowest = crash.Patient(web.address), 0.0

    def timed(act, *arguments, **fields):
        nonlocal slowest
        begin = time.monotonic()
        answer = act(*arguments, **fields)
        slowest = max(slowest, time.monotonic() - begin)
        return answer

    timed(patient.arrive)
    checkout = timed(patient.hold, slot.pk, service.pk)
    return timed(patient.pay, checkout)["redirect"], slowest


def until(socket, wanted):
    """The messages up to the first that is wanted."""
    for _ in range(50):
        message = json.loads(socket.recv(crash.SECONDS))
        if wanted(message):
            return message
    raise AssertionError("it never came")


def tells_of(slot):
    return lambda message: any(row[0] == slot.pk and row[2] == "booked" for row in message.get("slots", []))


def test_bookings_go_on_without_redis_and_calendars_catch_up(web_with, redis):
    clinic = factories.ClinicFactory(slug="raffles-place", pay_at_clinic=True)
    practitioner = factories.PractitionerFactory()
    service = factories.ServiceFactory(practitioners=[practitioner])
    station = factories.StationFactory(clinic=clinic)
    slots = factories.make_slots(practitioner, station, factories.tomorrow_at(9))
    day = clinic.local_date(slots[0].starts_at)
    calendar = f"{web_with.address}/ws/availability/{clinic.slug}/{day}/".replace("http", "ws", 1)
    with connect(calendar, origin=web_with.address) as socket:
        book(web_with, slots[0], service)
        assert until(socket, tells_of(slots[0]))
        redis.stop()
        pages, times = zip(*(book(web_with, slot, service) for slot in slots[1:4]), strict=True)
        assert all(page.startswith("/bookings/") for page in pages)
        assert max(times) < 5
        redis.start()
        assert until(socket, lambda message: message.get("refetch"))
        book(web_with, slots[4], service)
        # Those who had to miss it are told to look again.
        assert until(socket, lambda message: message.get("refetch") or tells_of(slots[4])(message))
    assert Booking.objects.live().count() == 5
    assert broken() == {}
