"""The desk in a browser: a day of 12 columns and 400 visits, and a move that a second receptionist sees."""

import datetime as dt
import gzip
import re
import statistics
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from bench import load
from bench.fill import BOOK, _clinics, _service
from scheduling.models import Booking, Clinic, Practitioner, Slot, Station

COLUMNS, SLOTS, VISITS, MINUTES = 12, 36, 400, 15
PAINTS, MOVES = 7, 60
SLOT_ROWS = """
INSERT INTO scheduling_slot (clinic_id, practitioner_id, station_id, starts_at, ends_at, is_blocked, block_reason)
SELECT %s, who, room, at, at + interval '15 minutes', false, ''
FROM unnest(%s::bigint[], %s::bigint[]) AS staff(who, room), generate_series(0, %s - 1) AS n,
    LATERAL (SELECT %s::timestamptz + n * interval '15 minutes' AS at) AS times
"""
PATIENTS = """
INSERT INTO patients_patient (uuid, name, email, phone)
SELECT gen_random_uuid(), (ARRAY['Tan Wei Jie', 'Nurul Aisyah', 'Arjun Pillai', 'Lim Mei Ling'])[1 + n %% 4] || ' ' || n,
    'desk' || n || '@example.com', '+659' || (1000000 + n)
FROM generate_series(1, %s) AS n
"""
PICKED = """
CREATE TEMP TABLE picked ON COMMIT DROP AS
SELECT s.*, a.id AS patient_id, nextval('scheduling_bookingrequest_id_seq') AS request_id,
    nextval('scheduling_sessionticket_id_seq') AS session_id, nextval('scheduling_visitticket_id_seq') AS visit_id,
    nextval('scheduling_booking_id_seq') AS new_id
FROM (SELECT id AS slot_id, clinic_id, practitioner_id, station_id, starts_at, ends_at, %(day)s::date AS day,
        row_number() OVER (ORDER BY starts_at, practitioner_id) AS n
      FROM scheduling_slot WHERE clinic_id = %(clinic)s) s
JOIN patients_patient a ON a.email = 'desk' || s.n || '@example.com' WHERE s.n <= %(visits)s
"""
# When all boxes stand: two frames after the last one was added, so that it has been painted.
PAINTED = """
new MutationObserver((_changes, self) => {
  if (document.querySelectorAll(".visit-box[data-booking]").length < %d) return;
  self.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.paintedAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
WATCH = """
([reference, time]) => { window.seenAt = new Promise((seen, lost) => {
  const watching = new MutationObserver(() => {
    const box = document.querySelector(`.visit-box[data-booking="${reference}"]`);
    if (!box?.textContent.includes(time)) return;
    watching.disconnect();
    seen(performance.timeOrigin + performance.now());
  });
  watching.observe(document, { childList: true, subtree: true, characterData: true });
  setTimeout(() => lost(new Error(`${reference} never came to ${time}`)), 10000);
}); }
"""
SEEN = "() => window.seenAt"
# What the calendar sends at a drop; when it was sent and when the answer said that it is committed.
DROP = """
async ([url, fields]) => {
  const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  const headers = { "X-CSRFToken": token, Accept: "application/json" };
  const sent = performance.timeOrigin + performance.now();
  const answer = await fetch(url, { method: "POST", headers, body: new URLSearchParams(fields) });
  const said = await answer.json();
  return { sent, committed: performance.timeOrigin + performance.now(), status: answer.status, said };
}
"""


def make_day() -> tuple[Clinic, dt.date]:
    """A clinic of its own, tomorrow from nine: 12 practitioners, 36 times of 15 minutes, 400 of 432 booked."""
    [clinic] = _clinics(1)
    service = _service()
    day = clinic.today() + dt.timedelta(days=1)
    first = clinic.day_bounds(day)[0] + dt.timedelta(hours=9)
    people = Practitioner.objects.bulk_create(
        Practitioner(name=f"Dr {name} {n}", specialty="General practice")
        for n, name in enumerate(["Lim Wei Jie", "Priya Menon", "Farah Osman"] * 4)
    )
    rooms = Station.objects.bulk_create(
        Station(clinic=clinic, name=f"Room {n}", kind="consult") for n in range(COLUMNS)
    )
    service.practitioners.add(*people)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SLOT_ROWS, [clinic.pk, [p.pk for p in people], [r.pk for r in rooms], SLOTS, first])
        cursor.execute(PATIENTS, [VISITS])
        params = {"clinic": clinic.pk, "day": day, "visits": VISITS, "service": service.pk}
        cursor.execute(PICKED, params)
        for statement in BOOK:
            cursor.execute(statement, params)
    service.duration_minutes = MINUTES
    service.save()
    assert Booking.objects.filter(clinic=clinic).count() == VISITS
    return clinic, day


def measure(port: int, session: str, clinic: Clinic, day: dt.date) -> Iterator[tuple[object, ...]]:
    yield from _dataset(port, session, clinic, day)
    with _browser(port, session) as open_page:
        yield _paint(open_page, clinic, day)
        yield from _moves(open_page, clinic, day)


def _dataset(port: int, session: str, clinic: Clinic, day: dt.date) -> Iterator[tuple[object, ...]]:
    from scheduling import calendar

    text = calendar.dataset(clinics=[clinic], first=day, days=1)
    request = load.get(f"/desk/{clinic.slug}/dataset.json?from={day}&to={day}", session)
    load.run(port, [request] * 20, clients=1)
    result = load.run(port, [request] * 200, clients=1)
    assert set(result.statuses) == {200}, result.statuses
    yield "dataset of the day", f"{result.percentile(50):.1f}", f"{result.percentile(99):.1f}", 200
    size = len(gzip.compress(text.encode(), 6))
    yield "its size, kB: plain, gzip", f"{len(text.encode()) / 1000:.1f}", f"{size / 1000:.1f}", 1


def _paint(open_page: Any, clinic: Clinic, day: dt.date) -> tuple[object, ...]:
    """From the start of the navigation, the style sheets and scripts in the browser's cache but for the first."""
    page, took = open_page(PAINTED % VISITS), []
    for _n in range(PAINTS + 1):
        page.goto(f"/desk/{clinic.slug}/?date={day}", wait_until="commit")
        page.wait_for_selector(".visit-box[data-booking]")
        while not (at := page.evaluate("window.paintedAt ?? null")):
            page.wait_for_timeout(20)
        took.append(at)
    page.close()
    cold, *warm = took
    return "first paint of the day", f"{statistics.median(warm):.0f}", f"{max(warm):.0f}", f"cold {cold:.0f}"


def _moves(open_page: Any, clinic: Clinic, day: dt.date) -> Iterator[tuple[object, ...]]:
    """Each visit is dropped on a free time of its practitioner and back, by the calendar's own request."""
    mine, other = open_page(), open_page()
    for page in (mine, other):
        page.goto(f"/desk/{clinic.slug}/?date={day}")
        page.wait_for_selector('[data-live-status][data-state="live"]')
    answered, shown = [], []
    for reference, version, fields, time in _drops(clinic):
        other.evaluate(WATCH, [reference, time])
        fields |= {"version": str(version), "key": str(uuid.uuid4()), "sure": "on"}
        made = mine.evaluate(DROP, [f"/desk/{clinic.slug}/moves/{reference}/", fields])
        assert made["status"] == 200 and "moved" in made["said"], made
        answered.append(made["committed"] - made["sent"])
        shown.append(other.evaluate(SEEN) - made["sent"])
    for what, took in (("drop to its answer", answered), ("drop to the other screen", shown)):
        took.sort()
        yield what, f"{statistics.median(took):.0f}", f"{took[int(len(took) * 0.99)]:.0f}", len(took)


def _drops(clinic: Clinic) -> Iterator[tuple[str, int, dict[str, str], str]]:
    free = list(Slot.objects.filter(clinic=clinic, booking=None).order_by("starts_at", "pk"))
    for n in range(MOVES):
        slot = free[n % len(free)]
        visit = (
            Booking.objects.filter(clinic=clinic, practitioner=slot.practitioner_id)
            .exclude(starts_at=slot.starts_at)
            .order_by("version", "pk")[0]
        )
        wall = slot.starts_at.astimezone(clinic.zone)
        fields = {
            "clinic": clinic.slug,
            "practitioner": str(slot.practitioner_id),
            "start": f"{wall:%Y-%m-%dT%H:%M}",
        }
        free[n % len(free)] = Slot.objects.get(booking=visit)
        yield visit.reference, visit.version, fields, f"{wall:%H:%M}"


@contextmanager
def _browser(port: int, session: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from tests import chromium

    url = f"http://127.0.0.1:{port}"
    cookies = [
        {"name": name, "value": value, "url": url} for name, value in re.findall(r"(\w+)=([^;]+)", session)
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.of_the_system(), args=chromium.FLAGS)

        def open_page(script: str = "") -> Any:
            """In a window of its own: what lies behind another is not drawn."""
            context = browser.new_context(
                base_url=url, viewport={"width": 1440, "height": 900}, locale="en-SG", reduced_motion="reduce"
            )
            context.add_cookies(cookies)
            page = context.new_page()
            if script:
                page.add_init_script(script)
            return page

        yield open_page
        browser.close()
