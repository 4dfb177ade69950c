"""What is measured. Each part prints rows: what, the bare database, the product, their ratio."""

import datetime as dt
import itertools
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse

from bench import backlog, books, desk, drain, load, year
from bench.fill import DAYS, SLOTS_PER_CLINIC, add_clinics, book, plan_clinics
from bench.patients import search_patients
from bench.replan import replan_a_sick_day
from bench.servers import granian, hybrid, pgbench
from scheduling import live
from scheduling.calendar import DATASET
from scheduling.inventory import generate
from scheduling.matching import autofill, match_requests
from scheduling.models import Booking, BookingRequest, Clinic, Service, Slot
from scheduling.search import STARTS_WITHOUT_EQUIPMENT as STARTS

ROUNDS = 3
CSRF = "benchbenchbenchbenchbenchbench32"

BARE_HOLD = """
\\set id random(1, :slots)
BEGIN;
SELECT id FROM scheduling_slot WHERE id = :id FOR UPDATE;
INSERT INTO bench_hold (slot_id, expires_at) VALUES (:id, clock_timestamp() + interval '300 seconds');
COMMIT;
"""
BARE_CONFIRM = """
\\set id random(1, :slots)
BEGIN;
SELECT id FROM bench_slot WHERE id = :id FOR UPDATE;
UPDATE bench_slot SET booking_id = :id WHERE id = :id;
INSERT INTO bench_booking (slot_id) VALUES (:id);
INSERT INTO bench_event (topic) VALUES ('appointment.booked');
COMMIT;
"""
BARE_TABLES = """
CREATE TABLE bench_hold (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slot_id bigint, expires_at timestamptz);
CREATE TABLE bench_slot AS SELECT id, booking_id FROM scheduling_slot LIMIT 43200;
ALTER TABLE bench_slot ADD PRIMARY KEY (id);
CREATE TABLE bench_booking (id bigserial PRIMARY KEY, slot_id bigint, created_at timestamptz DEFAULT now());
CREATE TABLE bench_event (id bigserial PRIMARY KEY, topic text, created_at timestamptz DEFAULT now());
"""


def say(*cells: object) -> None:
    print("  ".join(f"{cell!s:>14}" if n else f"{cell!s:<52}" for n, cell in enumerate(cells)), flush=True)


def head(title: str, *columns: str) -> None:
    print(f"\n{title}", flush=True)
    say("", *columns)


def supply(*, quick: bool) -> None:
    """Rows a second into the real table with all its constraints."""
    head("Supply", "rows", "seconds", "rows/s")
    _timed("insert slots, one statement for a clinic", lambda: len(add_clinics(3)) * SLOTS_PER_CLINIC)
    planned = plan_clinics(3)
    for what in ("generate_slots: all new", "generate_slots: all there already"):
        _timed(what, lambda: (report := generate(days=DAYS, clinics=planned)).added + report.unchanged)
    # The other parts count on 43,200.
    Slot.objects.filter(clinic__in=planned)._raw_delete(using="default")
    _need_supply()


def _timed(what: str, work: Callable[[], int]) -> None:
    begin = time.perf_counter()
    count = work()
    took = time.perf_counter() - begin
    say(what, f"{count:,}", f"{took:.1f}", f"{count / took:,.0f}")


def replan(*, quick: bool) -> None:
    """A doctor's full day among three clinics of 20: shown, then applied."""
    head(
        "Change plan: a sick day with 24 visits, supply 60 % taken",
        "slots",
        "visits",
        "moved",
        "show s",
        "apply s",
    )
    say("leave entered, shown with new times, applied", *replan_a_sick_day())


def holds(*, quick: bool) -> None:
    _need_supply()
    with connection.cursor() as cursor:
        cursor.execute(BARE_TABLES)
    count, seconds = (1500, 2) if quick else (4000, 5)
    free = iter(
        Slot.objects.filter(hold=None, booking=None).order_by("?").values_list("pk", flat=True)[: count * 14]
    )
    head("Writes, 32 clients (medians of 3 interleaved rounds)", "rate/s", "of bare", "p50 ms", "p99 ms")
    variables = {"slots": 43200}
    bare: list[float] = []
    runs: dict[str, list[load.Result]] = {"production": [], "one process": []}
    for _round in range(ROUNDS):
        bare.append(pgbench(BARE_HOLD, seconds=seconds, variables=variables)[0])
        for name, server in _servers():
            requests = list(_hold_requests(itertools.islice(free, count)))
            with server as port:
                _warm(port)
                runs[name].append(load.run(port, requests))
    _say_rates("POST /holds/", bare, runs, 303)
    confirm_bare = [
        pgbench(BARE_CONFIRM, seconds=seconds, variables=variables)[0] for _round in range(ROUNDS)
    ]
    confirms: dict[str, list[load.Result]] = {"production": [], "one process": []}
    for _round in range(ROUNDS):
        for name, server in _servers():
            requests = list(_confirm_requests(itertools.islice(free, count // 2)))
            with server as port:
                _warm(port)
                confirms[name].append(load.run(port, requests))
    _say_rates("confirm: details, consent, booking", confirm_bare, confirms, 303)


def _servers() -> list[tuple[str, AbstractContextManager[int]]]:
    return [("production", granian()), ("one process", hybrid())]


def _warm(port: int) -> None:
    load.run(port, [load.get("/book/")] * 64)


def _say_rates(what: str, bare: list[float], runs: dict[str, list[load.Result]], expected: int) -> None:
    reference = statistics.median(bare)
    say(f"{what}: bare transaction, pgbench", f"{reference:,.0f}", "100 %")
    for name, results in runs.items():
        wrong = sum((r.statuses for r in results), start=type(results[0].statuses)())
        del wrong[expected]
        rate = statistics.median(r.rate for r in results)
        p50, p99 = (statistics.median(r.percentile(p) for r in results) for p in (50, 99))
        say(f"{what}: {name}", f"{rate:,.0f}", f"{rate / reference:.1%}", f"{p50:.1f}", f"{p99:.1f}")
        if wrong:
            say(f"  other answers: {dict(wrong)}")


def _session(**values: object) -> str:
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store.update(values)
    store.create()
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}; {settings.CSRF_COOKIE_NAME}={CSRF}"


def _hold_requests(slots: Iterator[int]) -> Iterator[bytes]:
    service = Service.objects.get(slug="bench").pk
    for slot in slots:
        cookies = _session(owner=secrets.token_urlsafe(24))
        yield load.post("/holds/", f"slot={slot}&service={service}&csrfmiddlewaretoken={CSRF}", cookies)


def _confirm_requests(slots: Iterator[int]) -> Iterator[bytes]:
    from scheduling.booking import hold_slots

    service = Service.objects.get(slug="bench").pk
    for n, slot in enumerate(slots):
        owner = secrets.token_urlsafe(24)
        hold = hold_slots(slot_id=slot, service_id=service, owner=owner)
        fields = f"name=Tan+Mei+Ling&email=bench{n}%40example.com&phone=%2B6590000001&consent=on"
        fields += f"&csrfmiddlewaretoken={CSRF}"
        yield load.post(reverse("checkout_payment", args=[hold.pk]), fields, _session(owner=owner))


def _need_supply() -> None:
    if not Clinic.objects.exists():
        add_clinics(3)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def reads(*, quick: bool) -> None:
    """One client: the same statement in pgbench and through the whole stack; then with thirty times the slots."""
    _need_supply()
    if not Booking.objects.exists():
        book(list(Clinic.objects.filter(slots__isnull=False).distinct()), percent=40)
    head("Reads, one client", "slots", "bare ms", "p50 ms", "ratio", "p99 ms")
    small = _read_rows()
    if quick:
        return
    if Slot.objects.count() < 1_000_000:
        book(add_clinics(87), percent=40)
        _need_supply()
    for name, p50 in _read_rows().items():
        say(f"{name}: many slots ÷ few", "", "", f"{p50 / small[name]:.2f} ×")


def _read_rows() -> dict[str, float]:
    clinic, service = Clinic.objects.order_by("pk").first(), Service.objects.get(slug="bench")
    assert clinic
    day = clinic.today() + dt.timedelta(days=1)
    staff = _staff_session(clinic)
    first, until = clinic.day_bounds(day)
    search = {
        "service": service.pk,
        "clinics": [clinic.pk],
        "first": first,
        "until": until,
        "occupied": service.occupied,
    }
    grid = {"clinics": [clinic.pk], "from": day.isoformat(), "first": [first], "practitioner": None}
    grid["midnight"] = dt.datetime.combine(day, dt.time())
    week = {"until": [clinic.day_bounds(day, 7)[1]], "days": 7}
    book = f"{reverse('book')}?service={service.slug}&clinic={clinic.slug}&date={day}"
    dataset = f"/desk/{clinic.slug}/dataset.json?from={day}&to="
    rows = {
        "search, one service, one day": (STARTS + "SELECT * FROM starts", search, load.get(book)),
        "calendar day": (DATASET, grid | {"until": [until], "days": 1}, load.get(f"{dataset}{day}", staff)),
        "calendar week": (DATASET, grid | week, load.get(f"{dataset}{day + dt.timedelta(days=6)}", staff)),
    }
    count, found = f"{Slot.objects.count():,}", {}
    with granian() as port:
        _warm(port)
        for name, (statement, params, request) in rows.items():
            result = load.run(port, [request] * 300, clients=1)
            assert set(result.statuses) == {200}, result.statuses
            bare, p50 = pgbench(_literal(statement, params), clients=1, seconds=2)[1], result.percentile(50)
            say(
                name,
                count,
                f"{bare:.2f}",
                f"{p50:.2f}",
                f"{p50 / bare:.1f} ×",
                f"{result.percentile(99):.1f}",
            )
            found[name] = p50
    return found


def _literal(statement: str, params: dict[str, object]) -> str:
    from psycopg import ClientCursor

    connection.ensure_connection()
    # pgbench wants one line, which a comment would end.
    plain = re.sub(r"--.*", "", statement)
    return " ".join(ClientCursor(connection.connection).mogrify(plain, params).split()) + ";"


def _staff_session(clinic: Clinic) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from clinic_booking.accounts import sessions
    from clinic_booking.models import User
    from scheduling.models import Membership

    user, _made = User.objects.get_or_create(username="bench")
    Membership.objects.get_or_create(user=user, clinic=clinic, defaults={"role": Membership.Role.MANAGER})
    backend = settings.AUTHENTICATION_BACKENDS[0]
    keys = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: backend,
        HASH_SESSION_KEY: user.get_session_auth_hash(),
        sessions.DOOR: sessions.fresh(user, [sessions.TRUSTED]),
    }
    return _session(**keys)


def live_updates(*, quick: bool) -> None:
    """From commit to the text on another socket, 20 changes a second."""
    _need_supply()
    clinic = Clinic.objects.order_by("pk").first()
    assert clinic
    day = clinic.today()
    head("Live: commit to another socket", "sockets", "messages", "p50 ms", "p99 ms", "lost")
    for sockets in (500,) if quick else (500, 2000):
        with hybrid() as port:
            listen = [
                sys.executable,
                "-m",
                "bench.listen",
                str(port),
                f"/ws/availability/{clinic.slug}/{day}/",
                str(sockets),
            ]
            listener = subprocess.Popen(listen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert listener.stdout and listener.stdin
            assert listener.stdout.readline().strip() == "ready"
            sent = {}
            for n in range(1, 101):
                with transaction.atomic():
                    live.announce([(clinic.pk, day, n, 1, "booked", None)])
                    sent[n] = time.monotonic_ns()
                time.sleep(0.05)
            answer, _errors = listener.communicate("stop\n", timeout=120)
        seen = [(n, at) for n, at in json.loads(answer) if n in sent]
        delays = sorted((at - sent[n]) / 1e6 for n, at in seen)
        p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
        say(
            "commit to text",
            sockets,
            len(delays),
            f"{p50:.1f}",
            f"{p99:.1f}",
            sockets * len(sent) - len(delays),
        )


def matching(*, quick: bool) -> None:
    """6,000 sessions against 43,200 slots, 60 % taken. The last seed is booked, the others are only planned."""
    clinics = Clinic.objects.filter(slots__isnull=False).distinct()
    if not Clinic.objects.exists():
        add_clinics(3)
    if Slot.objects.count() > 43_200:
        say("matching wants a fresh database: make bench ARGS='--only matching'")
        return
    book(list(clinics), percent=60)
    backlog.prepare()
    head("Matching", "sessions", "greedy", "result", "bound", "gap", "placed", "seconds")
    seeds = (1,) if quick else (1, 2, 3)
    for seed in seeds:
        backlog.remove()
        backlog.add(seed)
        _need_supply()
        report = match_requests(dry_run=seed != seeds[-1])
        assert report.greedy <= report.planned <= report.bound
        figures = (report.sessions, report.greedy, report.planned, report.bound, f"{report.gap:.2%}")
        say(f"match_requests, seed {seed}", *figures, report.placed or "dry run", f"{report.seconds:.1f}")
    backlog.remove()
    backlog.add(seeds[-1] + 1)
    head("Autofill", "requests", "sessions", "median ms", "p90 ms")
    courses = BookingRequest.objects.filter(sessions__status="planned", quantity__gte=3).distinct()
    took, placed = [], 0
    for pk in courses.order_by("pk").values_list("pk", flat=True)[:100]:
        begin = time.perf_counter()
        placed += len(autofill(request_id=pk, by=None).placed)
        took.append((time.perf_counter() - begin) * 1000)
    p90 = statistics.quantiles(took, n=10)[-1]
    say("autofill of a course", len(took), placed, f"{statistics.median(took):.0f}", f"{p90:.0f}")


def patients(*, quick: bool) -> None:
    head("Finding a patient among 200,000, in ms", "found", "median", "p95", "slowest")
    for row in search_patients():
        say(*row)


def desk_in_a_browser(*, quick: bool) -> None:
    """The database is asked before the browser starts: its driver keeps an event loop in this thread."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    clinic, day = desk.make_day()
    _need_supply()
    session = _staff_session(clinic)
    head("Desk: 12 columns, 400 visits; in ms", "p50", "p99 or slowest", "of")
    with hybrid() as port:
        _warm(port)
        for row in desk.measure(port, session, clinic, day):
            say(*row)


def effort_report(*, quick: bool) -> None:
    """A year of a group of three clinics: 150,000 visits with what the staff did for them."""
    head("Effort report, 150,000 visits of a year", "events", "12 weeks ms", "a year ms")
    say("three clinics", *year.measure())


def events(*, quick: bool) -> None:
    """`appointment.booked` with all its subscribers, delivered by one worker process."""
    columns = "events", "jobs", "seconds", "events/s", "jobs/s", "CPU ms/event"
    head("Events of bookings, one worker (its CPU with its start)", *columns)
    say("drained", *drain.drain(1_000 if quick else 10_000))
    head("Events as they come, jobs that wait", "rate", "seconds", "1st half", "2nd half", "most", "at last")
    say("one worker", *drain.feed(20, 20 if quick else 120))


def ledger(*, quick: bool) -> None:
    exports, days = books.measure(50_000 if quick else 500_000)
    head("Books of three clinics: the ledger's export", "lines", "seconds", "lines/s", "MB", "MB held")
    for row in exports:
        say(*row)
    head("The daily close in them", "median ms")
    for row in days:
        say(*row)


PARTS = {
    "supply": supply,
    "holds": holds,
    "reads": reads,
    "live": live_updates,
    "matching": matching,
    "replan": replan,
    "patients": patients,
    "desk": desk_in_a_browser,
    "report": effort_report,
    "events": events,
    "books": ledger,
}
