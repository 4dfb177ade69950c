"""Does a time fit what a request asks for? Hard patterns are rules, soft ones are wishes that count. No clock, no locks.

Sessions of a request are alike, so gaps are counted to the nearest of its other dates, before and after.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduling.models import Booking, BookingRequest, Clinic, PatternFields


class Time(NamedTuple):
    starts_at: dt.datetime
    ends_at: dt.datetime  # of the visit, without the buffer
    clinic: Clinic
    practitioner_id: int


class Reason(NamedTuple):
    code: str
    sentence: str | Promise


# In the words of whoever asks why a time was not taken. `code` is stable: for counting and for tests.
REASONS = {
    reason.code: reason
    for reason in (
        Reason("not_valid_yet", _("The request is not valid yet on this day.")),
        Reason("not_valid_any_more", _("The request is no longer valid on this day.")),
        Reason("clinic", _("The request asks for another clinic.")),
        Reason("practitioner", _("The request asks for another practitioner.")),
        Reason("weekday", _("The request does not allow this weekday.")),
        Reason("too_early_in_day", _("It starts earlier in the day than the request allows.")),
        Reason("too_late_in_day", _("It ends later in the day than the request allows.")),
        Reason("before_dates", _("It is before the dates the request allows.")),
        Reason("after_dates", _("It is after the dates the request allows.")),
        Reason("too_close", _("It is too close to another session of the request.")),
        Reason("too_far", _("It is too long after or before another session of the request.")),
    )
}


class _Local(NamedTuple):
    """A time by the clinic's clock."""

    day: dt.date
    start: dt.time
    end: dt.time
    ends_on: dt.date
    clinic_id: int
    practitioner_id: int

    @classmethod
    def of(cls, time: Time) -> "_Local":
        zone = time.clinic.zone
        start, end = time.starts_at.astimezone(zone), time.ends_at.astimezone(zone)
        return cls(start.date(), start.time(), end.time(), end.date(), time.clinic.pk, time.practitioner_id)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A rule or wish at hand. What is empty is not asked for."""

    is_hard: bool = False
    weekdays: frozenset[int] = frozenset()  # ISO
    from_time: dt.time | None = None
    until_time: dt.time | None = None
    earliest: dt.date | None = None
    latest: dt.date | None = None
    min_gap_days: int | None = None
    max_gap_days: int | None = None
    practitioners: frozenset[int] = frozenset()
    clinics: frozenset[int] = frozenset()

    @classmethod
    def of(cls, pattern: PatternFields) -> "Pattern":
        """Prefetch `practitioners` and `clinics` where there are many."""
        return cls(
            is_hard=pattern.is_hard,
            weekdays=frozenset(pattern.weekdays),
            from_time=pattern.from_time,
            until_time=pattern.until_time,
            earliest=pattern.earliest,
            latest=pattern.latest,
            min_gap_days=pattern.min_gap_days,
            max_gap_days=pattern.max_gap_days,
            practitioners=frozenset(who.pk for who in pattern.practitioners.all()),
            clinics=frozenset(clinic.pk for clinic in pattern.clinics.all()),
        )

    def broken_by(self, at: _Local, gaps: Collection[int]) -> Iterator[str]:
        """The codes of what does not hold, cheapest first."""
        if self.clinics and at.clinic_id not in self.clinics:
            yield "clinic"
        if self.practitioners and at.practitioner_id not in self.practitioners:
            yield "practitioner"
        if self.weekdays and at.day.isoweekday() not in self.weekdays:
            yield "weekday"
        if self.from_time and at.start < self.from_time:
            yield "too_early_in_day"
        # A visit over midnight ends later than any time of its day.
        if self.until_time and (at.ends_on > at.day or at.end > self.until_time):
            yield "too_late_in_day"
        if self.earliest and at.day < self.earliest:
            yield "before_dates"
        if self.latest and at.day > self.latest:
            yield "after_dates"
        if self.min_gap_days is not None and any(gap < self.min_gap_days for gap in gaps):
            yield "too_close"
        if self.max_gap_days is not None and any(gap > self.max_gap_days for gap in gaps):
            yield "too_far"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All that one session of a request asks for. `other_days` are the dates of its other sessions that have one."""

    patterns: tuple[Pattern, ...] = ()
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    other_days: tuple[dt.date, ...] = ()

    @classmethod
    def of(cls, request: BookingRequest, other_days: Iterable[dt.date] = ()) -> "Rules":
        """Prefetch `patterns__practitioners` and `patterns__clinics` where there are many requests."""
        return cls(
            patterns=tuple(Pattern.of(pattern) for pattern in request.patterns.all()),
            valid_from=request.valid_from,
            valid_until=request.valid_until,
            other_days=tuple(sorted(other_days)),
        )

    def fits(self, time: Time) -> bool:
        return next(self._broken(_Local.of(time)), None) is None

    def hard_violations(self, time: Time) -> list[Reason]:
        """Why the time may not be taken, each reason once; empty when it may."""
        return [REASONS[code] for code in dict.fromkeys(self._broken(_Local.of(time)))]

    def score(self, time: Time) -> int:
        """How many of the wishes hold."""
        at = _Local.of(time)
        gaps = self._gaps(at.day)
        return sum(not p.is_hard and next(p.broken_by(at, gaps), None) is None for p in self.patterns)

    def _broken(self, at: _Local) -> Iterator[str]:
        if self.valid_from and at.day < self.valid_from:
            yield "not_valid_yet"
        if self.valid_until and at.day > self.valid_until:
            yield "not_valid_any_more"
        gaps = self._gaps(at.day)
        for pattern in self.patterns:
            if pattern.is_hard:
                yield from pattern.broken_by(at, gaps)

    def _gaps(self, day: dt.date) -> list[int]:
        """Whole days to the neighbouring sessions, before and after. Another one on the same day is 0 away."""
        apart = [(day - other).days for other in self.other_days]
        before = min((gap for gap in apart if gap >= 0), default=None)
        after = min((-gap for gap in apart if gap < 0), default=None)
        return [gap for gap in (before, after) if gap is not None]


# -- Read from the database ----------------------------------------------------------------------

RulesOf = Callable[[int], Rules]


def read_rules(request_ids: Collection[int]) -> dict[int, RulesOf]:
    """For each request a function from the id of a session to its rules: five queries, however many there are."""
    requests = BookingRequest.objects.filter(pk__in=request_ids).prefetch_related(
        "patterns__practitioners", "patterns__clinics"
    )
    days = booked_days(request_ids)

    def rules_of(request: BookingRequest) -> RulesOf:
        known = Rules.of(request)
        booked = days.get(request.pk, {})

        def of_session(session_id: int) -> Rules:
            others = tuple(sorted(day for other, day in booked.items() if other != session_id))
            return Rules(
                patterns=known.patterns,
                valid_from=known.valid_from,
                valid_until=known.valid_until,
                other_days=others,
            )

        return of_session

    return {request.pk: rules_of(request) for request in requests}


def booked_days(request_ids: Collection[int]) -> dict[int, dict[int, dt.date]]:
    """By request and session: the date, at its clinic, of every session that is booked or was delivered."""
    found: dict[int, dict[int, dt.date]] = defaultdict(dict)
    bookings = (
        Booking.objects.live().filter(session__request__in=request_ids).select_related("clinic", "session")
    )
    for booking in bookings.only("starts_at", "clinic__time_zone", "session__request"):
        found[booking.session.request_id][booking.session_id] = booking.clinic.local_date(booking.starts_at)
    return found
