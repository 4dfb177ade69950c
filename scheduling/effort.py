"""How much work bookings take, from what was recorded. docs/desk.md says in words what is counted.

A *scheduling act* is what a member of staff does to the plan: books, moves, cancels, blocks or opens times, applies a
change of hours, steers the waitlist. A walk-in is booked when it is served: that is the act. Events of one person that
follow each other within a second come from one click, and are one act: a visit of three parts that is moved, a change
of hours with the 24 visits it moves. What the day asks for anyhow, such as checking in, is counted apart: a paper diary
has it too. Whoever has no membership and is no administrator is a patient, and does no act of staff.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduling.models import Clinic

CHANNELS: dict[str, Promise] = {
    "online": _("Online"),
    "matched": _("Matched"),
    "waitlist": _("Waitlist"),
    "desk": _("Desk"),
    "walk_in": _("Walk-in"),
}
KINDS: dict[str, Promise] = {
    "booked": _("Booked"),
    "moved": _("Moved"),
    "cancelled": _("Cancelled"),
    "hours": _("Hours and blocks"),
    "waitlist": _("Waitlist and requests"),
}
SCHEDULING_ACTS = {
    "appointment.booked": "booked",
    "appointment.moved": "moved",
    "appointment.cancelled": "cancelled",
    "slots.changed": "hours",
    "supply.changed": "hours",
    "waitlist.joined": "waitlist",
    "waitlist.steered": "waitlist",
    "waitlist.offered": "waitlist",
    "waitlist.offer_ended": "waitlist",
    "waitlist.left": "waitlist",
    "request.changed": "waitlist",
    "request.closed": "waitlist",
}
DAY_TOPICS = [
    *(f"appointment.{what}" for what in ("arrived", "called", "started", "fulfilled", "noshow", "reverted")),
    *(f"walk_in.{what}" for what in ("arrived", "called", "left")),
]

BOOKED = """
WITH staff AS (
    SELECT user_id FROM scheduling_membership UNION SELECT id FROM clinic_booking_user WHERE is_superuser
)
SELECT b.clinic_id, date_trunc('week', b.created_at AT TIME ZONE c.time_zone)::date, CASE
        WHEN r.source = 'walk_in' THEN 'walk_in'
        WHEN r.source = 'waitlist' OR b.session_id IN (
            SELECT w.session_id FROM scheduling_waitlistoffer o JOIN scheduling_waitlistentry w ON w.id = o.entry_id
            WHERE o.outcome = 'accepted') THEN 'waitlist'
        WHEN r.source IN ('online', 'desk') THEN r.source
        WHEN b.hold_id IS NULL THEN 'matched'
        -- A session of a contract for which somebody chose the time.
        WHEN EXISTS (SELECT FROM clinic_booking_event e WHERE e.subject = 'booking:' || b.id
            AND e.topic = 'appointment.booked' AND (e.data ->> 'by')::bigint IN (SELECT user_id FROM staff)) THEN 'desk'
        ELSE 'online' END, count(*)
FROM scheduling_booking b JOIN scheduling_clinic c ON c.id = b.clinic_id
JOIN scheduling_sessionticket t ON t.id = b.session_id JOIN scheduling_bookingrequest r ON r.id = t.request_id
WHERE b.clinic_id = ANY(%(clinics)s) AND b.created_at >= %(first)s AND b.created_at < %(until)s
GROUP BY 1, 2, 3
"""
# News that belongs to no clinic (most of the waitlist's) counts where its actor works, if that is one place.
ACTS = """
WITH staff AS (
    SELECT user_id FROM scheduling_membership UNION SELECT id FROM clinic_booking_user WHERE is_superuser
), home AS (
    SELECT user_id, min(clinic_id) AS clinic_id FROM scheduling_membership GROUP BY user_id HAVING count(*) = 1
), acted AS (
    SELECT e.topic, e.created_at, coalesce(e.clinic_id, h.clinic_id) AS clinic_id,
        e.created_at - lag(e.created_at) OVER (PARTITION BY s.user_id ORDER BY e.created_at, e.id) AS since
    FROM clinic_booking_event e JOIN staff s ON s.user_id = (e.data ->> 'by')::bigint
    LEFT JOIN home h ON h.user_id = s.user_id
    WHERE e.created_at >= %(first)s AND e.created_at < %(until)s
        AND e.topic = ANY(%(topics)s) AND e.data ? 'by'
)
SELECT a.clinic_id, date_trunc('week', a.created_at AT TIME ZONE c.time_zone)::date,
    topic, count(*)
FROM acted a JOIN scheduling_clinic c ON c.id = a.clinic_id
WHERE a.clinic_id = ANY(%(clinics)s) AND (since IS NULL OR since > interval '1 second')
GROUP BY 1, 2, 3
"""
# Nobody but the staff does these, one at a time.
DAY_ACTS = """
SELECT e.clinic_id, date_trunc('week', e.created_at AT TIME ZONE c.time_zone)::date, count(*)
FROM clinic_booking_event e JOIN scheduling_clinic c ON c.id = e.clinic_id
WHERE e.clinic_id = ANY(%(clinics)s) AND e.created_at >= %(first)s AND e.created_at < %(until)s
    AND e.topic = ANY(%(day_topics)s)
GROUP BY 1, 2
"""
VISITS = """
SELECT b.clinic_id, date_trunc('week', b.starts_at AT TIME ZONE c.time_zone)::date AS week, count(*),
    count(*) FILTER (WHERE b.status = 'noshow'), count(*) FILTER (WHERE b.status = 'cancelled'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM b.starts_at - b.created_at)) / 86400
FROM scheduling_booking b JOIN scheduling_clinic c ON c.id = b.clinic_id
WHERE b.clinic_id = ANY(%(clinics)s) AND b.starts_at >= %(first)s AND b.starts_at < %(until)s
GROUP BY GROUPING SETS ((b.clinic_id, 2), (b.clinic_id), (2), ())
"""
MINUTES = """
SELECT s.clinic_id, date_trunc('week', s.starts_at AT TIME ZONE c.time_zone)::date,
    (extract(epoch FROM sum(s.ends_at - s.starts_at) FILTER (WHERE s.status = 'booked')) / 60)::bigint,
    (extract(epoch FROM sum(s.ends_at - s.starts_at) FILTER (WHERE s.status <> 'blocked')) / 60)::bigint
FROM scheduling_slot s JOIN scheduling_clinic c ON c.id = s.clinic_id
WHERE s.clinic_id = ANY(%(clinics)s) AND s.starts_at >= %(first)s AND s.starts_at < %(until)s
GROUP BY 1, 2
"""


@dataclass
class Figures:
    """Of a clinic's week, or of several together. Rates are None where there is nothing to divide by."""

    channels: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    day_acts: int = 0
    visits: int = 0
    no_shows: int = 0
    cancelled: int = 0
    booked_minutes: int = 0
    offered_minutes: int = 0
    lead_days: float | None = None
    manual_acts: float = 0
    manual_minutes: float = 0
    act_minutes: float = 0

    @property
    def bookings(self) -> int:
        return sum(self.channels.values())

    @property
    def by_channel(self) -> list[tuple[str, int]]:
        return [(slug, self.channels[slug]) for slug in CHANNELS]

    @property
    def scheduling_acts(self) -> int:
        return sum(self.acts.values())

    @property
    def acts_each(self) -> float | None:
        return _ratio(self.scheduling_acts, self.bookings)

    @property
    def manual_each(self) -> float | None:
        return _ratio(self.manual_acts, self.bookings)

    @property
    def saved(self) -> float | None:
        """The part of the acts by hand that is not needed: the goal is 0.4 and more."""
        return 1 - self.scheduling_acts / self.manual_acts if self.manual_acts else None

    @property
    def saved_minutes(self) -> float:
        return self.manual_minutes - self.act_minutes

    @property
    def self_service(self) -> float | None:
        alone = self.bookings - self.channels["desk"] - self.channels["walk_in"]
        return _ratio(alone, self.bookings)

    @property
    def utilisation(self) -> float | None:
        return _ratio(self.booked_minutes, self.offered_minutes)

    @property
    def no_show_rate(self) -> float | None:
        return _ratio(self.no_shows, self.visits - self.cancelled)

    @property
    def cancel_rate(self) -> float | None:
        return _ratio(self.cancelled, self.visits)

    def value(self, clinic: Clinic) -> None:
        """Beside the clinic's own baseline."""
        self.manual_acts = self.bookings * float(clinic.manual_acts)
        self.manual_minutes = self.manual_acts * float(clinic.manual_minutes)
        self.act_minutes = self.scheduling_acts * float(clinic.manual_minutes)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


SUMMED = (
    "day_acts",
    "visits",
    "no_shows",
    "cancelled",
    "booked_minutes",
    "offered_minutes",
    "manual_acts",
    "manual_minutes",
    "act_minutes",
)


def together(parts: Iterable[Figures], lead_days: float | None) -> Figures:
    whole = Figures(lead_days=lead_days)
    for part in parts:
        whole.channels += part.channels
        whole.acts += part.acts
        for name in SUMMED:
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
    return whole


@dataclass
class Report:
    clinics: Sequence[Clinic]
    first: dt.date
    last: dt.date
    weeks: list[dt.date]
    cells: dict[tuple[int, dt.date], Figures]
    leads: dict[tuple[int | None, dt.date | None], float]

    def of(self, clinic: Clinic | None = None, week: dt.date | None = None) -> Figures:
        """Of one clinic or of all, of one week or of all."""
        if clinic and week:
            return self.cells[clinic.pk, week]
        parts = [
            figures
            for (clinic_id, monday), figures in self.cells.items()
            if clinic_id == (clinic.pk if clinic else clinic_id) and monday == (week or monday)
        ]
        return together(parts, self.leads.get((clinic.pk if clinic else None, week)))


def report(*, clinics: Sequence[Clinic], first: dt.date, last: dt.date) -> Report:
    """Bookings and acts by when they were made, visits and minutes by when they take place. Weeks begin on Monday."""
    asked: dict[str, Any] = {
        "clinics": [clinic.pk for clinic in clinics],
        "first": clinics[0].day_bounds(first)[0],
        "until": clinics[0].day_bounds(last)[1],
        "topics": list(SCHEDULING_ACTS),
        "day_topics": DAY_TOPICS,
    }
    cells: dict[tuple[int, dt.date], Figures] = defaultdict(Figures)
    leads: dict[tuple[int | None, dt.date | None], float] = {}
    for clinic_id, week, channel, n in _rows(BOOKED, asked):
        cells[clinic_id, week].channels[channel] += n
    for clinic_id, week, topic, n in _rows(ACTS, asked):
        cells[clinic_id, week].acts[SCHEDULING_ACTS[topic]] += n
    for clinic_id, week, n in _rows(DAY_ACTS, asked):
        cells[clinic_id, week].day_acts += n
    for clinic_id, week, visits, no_shows, cancelled, lead in _rows(VISITS, asked):
        leads[clinic_id, week] = lead
        if clinic_id and week:
            cell = cells[clinic_id, week]
            cell.visits, cell.no_shows, cell.cancelled, cell.lead_days = visits, no_shows, cancelled, lead
    for clinic_id, week, booked, offered in _rows(MINUTES, asked):
        cell = cells[clinic_id, week]
        cell.booked_minutes, cell.offered_minutes = booked or 0, offered or 0
    for clinic in clinics:
        for (clinic_id, _week), cell in cells.items():
            if clinic_id == clinic.pk:
                cell.value(clinic)
    return Report(clinics, first, last, _mondays(first, last), cells, leads)


def _mondays(first: dt.date, last: dt.date) -> list[dt.date]:
    monday = first - dt.timedelta(first.weekday())
    return [monday + dt.timedelta(7 * n) for n in range((last - monday).days // 7 + 1)]


def _rows(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")  # a year's sorts stay in memory
        cursor.execute(statement, asked)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
