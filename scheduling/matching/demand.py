"""What is asked for: requests with planned sessions, their rules and wishes, and the dates they already have."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import Prefetch, QuerySet

from scheduling.models import Booking, BookingPattern, BookingRequest, Hold, SessionTicket
from scheduling.models.demand import MAX_GAP_DAYS

DAY_MINUTES = 24 * 60
FOREVER = 10**7  # a day number later than any date


class Rule(NamedTuple):
    """A pattern in the units of the search: days since 0001, minutes of the clinic's wall clock."""

    weekdays: frozenset[int]
    from_minute: int
    until_minute: int
    first_day: int
    last_day: int
    practitioners: frozenset[int]
    clinics: frozenset[int]
    min_gap: int | None
    max_gap: int | None

    @property
    def has_gap(self) -> bool:
        return self.min_gap is not None or self.max_gap is not None

    def gap_fits(self, days: int) -> bool:
        return (self.min_gap or 0) <= days and (self.max_gap is None or days <= self.max_gap)


class Terms(NamedTuple):
    """All that decides which starts fit, whatever request says it: the key under which they are kept."""

    service_id: int
    first_day: int
    last_day: int
    hard: tuple[Rule, ...]
    soft: tuple[Rule, ...]

    @property
    def min_gap(self) -> int:
        return max((rule.min_gap or 0 for rule in self.hard), default=0)

    @property
    def max_gap(self) -> int | None:
        return min((rule.max_gap for rule in self.hard if rule.max_gap is not None), default=None)

    @property
    def clinics(self) -> frozenset[int] | None:
        """None where all are allowed."""
        named = [rule.clinics for rule in self.hard if rule.clinics]
        return frozenset.intersection(*named) if named else None


class Dated(NamedTuple):
    """A session that has its date: booked, done, or kept by a hold. Minutes since 1970."""

    day: int
    starts: int
    ends: int


@dataclass(frozen=True, eq=False)
class Stretch:
    """Planned sessions that follow each other, between two that have their date. They are placed in order, from the
    first, so that none is left out before another: the gap to the next is not asked of a session that has no date yet.
    """

    request_id: int
    patient_id: int
    urgency: int
    terms: Terms
    sessions: tuple[int, ...]
    before: Dated | None
    after: Dated | None


@dataclass
class Backlog:
    stretches: list[Stretch] = field(default_factory=list)
    requests: dict[int, BookingRequest] = field(default_factory=dict)
    booked: dict[int, set[tuple[int, int]]] = field(default_factory=dict)  # of a request: session and begin


def load(*, request_ids: Collection[int] | None = None, now: dt.datetime) -> Backlog:
    """Open requests that have planned sessions. A session under a live hold counts as dated: it is being decided."""
    found = BookingRequest.objects.filter(closed_at=None).select_related("service", "patient")
    if request_ids is None:
        planned = SessionTicket.objects.filter(status=SessionTicket.Status.PLANNED).values("request_id")
        found = found.plannable().filter(pk__in=planned)
    else:
        found = found.filter(pk__in=list(request_ids))
    backlog = Backlog()
    for request in _with_details(found, now).order_by("-urgency", "pk"):
        _add(backlog, request)
    return backlog


def _with_details(found: QuerySet[BookingRequest], now: dt.datetime) -> QuerySet[BookingRequest]:
    sessions = SessionTicket.objects.exclude(
        status__in=[SessionTicket.Status.CANCELLED, SessionTicket.Status.FORFEITED]
    ).order_by("number")
    held = Hold.objects.filter(ended_at=None, expires_at__gt=now).select_related("clinic")
    return found.prefetch_related(
        Prefetch("sessions", sessions),
        Prefetch("sessions__bookings", Booking.objects.live().select_related("clinic")),
        Prefetch("sessions__holds", held),
        Prefetch("patterns", BookingPattern.objects.order_by("pk")),
        "patterns__practitioners",
        "patterns__clinics",
    )


def _add(backlog: Backlog, request: BookingRequest) -> None:
    terms, run, before = terms_of(request), list[int](), None
    items: list[tuple[int, Dated | None]] = [(s.pk, dated(s)) for s in request.sessions.all()]
    for pk, date in [*items, (0, None)]:
        if pk and date is None:
            run.append(pk)
            continue
        if run:
            stretch = Stretch(
                request.pk, request.patient_id, request.urgency, terms, tuple(run), before, date
            )
            backlog.stretches.append(stretch)
        run, before = [], date
    backlog.requests[request.pk] = request
    backlog.booked[request.pk] = {
        (session.pk, minutes(booking.starts_at))
        for session in request.sessions.all()
        for booking in session.bookings.all()
    }


def dated(session: SessionTicket) -> Dated | None:
    for claim in [*session.bookings.all(), *session.holds.all()]:
        day = claim.clinic.local_date(claim.starts_at).toordinal()
        return Dated(day, minutes(claim.starts_at), minutes(claim.ends_at))
    return None


def minutes(instant: dt.datetime) -> int:
    return int(instant.timestamp()) // 60


def terms_of(request: BookingRequest) -> Terms:
    rules: dict[bool, list[Rule]] = defaultdict(list)
    for pattern in request.patterns.all():
        rules[pattern.is_hard].append(_rule(pattern))
    return Terms(
        request.service_id,
        _day(request.valid_from, 0),
        _day(request.valid_until, FOREVER),
        tuple(rules[True]),
        tuple(rules[False]),
    )


def _rule(pattern: BookingPattern) -> Rule:
    return Rule(
        frozenset(pattern.weekdays),
        _minute(pattern.from_time, 0),
        _minute(pattern.until_time, 2 * DAY_MINUTES),
        _day(pattern.earliest, 0),
        _day(pattern.latest, FOREVER),
        _ids(pattern.practitioners.all()),
        _ids(pattern.clinics.all()),
        pattern.min_gap_days,
        pattern.max_gap_days,
    )


def _ids(rows: Iterable[object]) -> frozenset[int]:
    return frozenset(row.pk for row in rows)  # type: ignore[attr-defined]


def _day(date: dt.date | None, missing: int) -> int:
    return date.toordinal() if date else missing


def _minute(time: dt.time | None, missing: int) -> int:
    return time.hour * 60 + time.minute if time else missing


__all__ = ["MAX_GAP_DAYS", "Backlog", "Dated", "Rule", "Stretch", "Terms", "load", "terms_of"]
