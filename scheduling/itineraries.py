"""Which free times follow each other: the stops of one visit, and the visits of a course. Pure: no database, no clock.

A visit's stops are services in order. From the end of one to the start of the next there is the way on foot at least,
and the wait that was asked for. A buffer keeps the practitioner and the station busy, not the patient.
"""

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from scheduling.models import Clinic, Service
from scheduling.search import Start
from scheduling.stops import Walks, walk_minutes

TRAVEL = dt.timedelta(minutes=60)  # from clinic to clinic; nobody has measured it
NO_WAIT = dt.timedelta(0)
USUAL_WAIT = dt.timedelta(minutes=30)
ANCHORS = 24  # first visits from which courses are built
Span = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One service of a visit. What is empty is not asked for; times are those of the clinic's wall."""

    service: Service
    practitioners: frozenset[int] = frozenset()
    after: dt.time | None = None  # earliest start
    before: dt.time | None = None  # latest end
    weekdays: frozenset[int] = frozenset()  # ISO
    min_wait: dt.timedelta = NO_WAIT  # since the step before
    max_wait: dt.timedelta = USUAL_WAIT  # on the same day only


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Services in order, once or as a course of `times` visits, `every` so many days."""

    steps: tuple[Step, ...]
    first: dt.date
    days: int = 14  # in which the first visit must be
    same_day: bool = True
    same_clinic: bool = True
    times: int = 1
    every: int = 7

    @property
    def slack(self) -> int:
        """By how many days a visit of a course may come earlier or later."""
        return min(2, self.every // 3)

    @property
    def horizon(self) -> int:
        """Days from `first` on in which all visits are."""
        return self.days + (self.times - 1) * (self.every + self.slack)

    def with_steps(self, **changes: object) -> "Wish":
        return replace(self, steps=tuple(replace(step, **changes) for step in self.steps))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Places:
    clinics: Mapping[int, Clinic]
    walks: Walks = field(default_factory=dict)  # minutes; the lower station first

    def way(self, here: Start, there: Start) -> dt.timedelta:
        if here.clinic_id != there.clinic_id:
            return TRAVEL
        clinic = self.clinics[here.clinic_id]
        return dt.timedelta(minutes=walk_minutes(here.station_id, there.station_id, clinic, self.walks))


class Stop(NamedTuple):
    service: Service
    start: Start
    day: dt.date
    minute: int  # of the day, by the wall clock
    ends_at: dt.datetime

    @property
    def starts_at(self) -> dt.datetime:
        return self.start.starts_at


class Visit(NamedTuple):
    stops: tuple[Stop, ...]
    changes: int  # of clinic
    cost: dt.datetime  # when it is over; a change of clinic counts as if it took that long twice

    @property
    def first(self) -> Stop:
        return self.stops[0]

    @property
    def starts_at(self) -> dt.datetime:
        return self.stops[0].start.starts_at

    @property
    def ends_at(self) -> dt.datetime:
        return self.stops[-1].ends_at

    @property
    def waiting(self) -> dt.timedelta:
        """Between stops of the same day, ways included."""
        gaps = (b.starts_at - a.ends_at for a, b in pairwise(self.stops) if a.day == b.day)
        return sum(gaps, NO_WAIT)

    @property
    def practitioners(self) -> tuple[int, ...]:
        return tuple(stop.start.practitioner_id for stop in self.stops)


Course = tuple[Visit, ...]


# -- One visit -----------------------------------------------------------------------------------


def visits(
    wish: Wish, found: Mapping[int, Sequence[Start]], places: Places, busy: Iterable[Span] = ()
) -> list[Visit]:
    """For each start of the first service the visit that is over first. `found` has each service's starts, in order.

    From the last step backwards: what follows a stop depends on that stop alone, so the best ending of each is enough.
    """
    taken = sorted(busy)
    after: list[Visit] = []
    for number, step in reversed(list(enumerate(wish.steps))):
        stops = stops_of(step, found[step.service.pk], places, taken)
        if number == len(wish.steps) - 1:
            after = [Visit((stop,), 0, stop.ends_at) for stop in stops]
        else:
            endings = _by_clinic(after)
            following = wish.steps[number + 1]
            joined = (_joined(stop, following, endings, wish, places) for stop in stops)
            after = [visit for visit in joined if visit]
    last = wish.first + dt.timedelta(wish.horizon)
    return [visit for visit in after if wish.first <= visit.first.day < last]


def stops_of(
    step: Step, starts: Iterable[Start], places: Places, busy: Collection[Span] = ()
) -> Iterator[Stop]:
    length = dt.timedelta(minutes=step.service.duration_minutes)
    zones = {pk: clinic.zone for pk, clinic in places.clinics.items()}
    for start in starts:
        if step.practitioners and start.practitioner_id not in step.practitioners:
            continue
        local, ends_at = start.starts_at.astimezone(zones[start.clinic_id]), start.starts_at + length
        if step.weekdays and local.isoweekday() not in step.weekdays:
            continue
        if step.after and local.time() < step.after:
            continue
        if step.before:
            over = ends_at.astimezone(zones[start.clinic_id])
            if over.date() > local.date() or over.time() > step.before:
                continue
        if any(start.starts_at < until and since < ends_at for since, until in busy):
            continue
        yield Stop(step.service, start, local.date(), local.hour * 60 + local.minute, ends_at)


Endings = Mapping[int, tuple[list[dt.datetime], list[Visit]]]


def _by_clinic(after: list[Visit]) -> Endings:
    found: dict[int, tuple[list[dt.datetime], list[Visit]]] = defaultdict(lambda: ([], []))
    for visit in after:
        starts, rest = found[visit.first.start.clinic_id]
        starts.append(visit.starts_at)
        rest.append(visit)
    return found


def _joined(stop: Stop, step: Step, endings: Endings, wish: Wish, places: Places) -> Visit | None:
    """The stop with its best ending."""
    best: Visit | None = None
    here = stop.start.clinic_id
    for clinic_id, (starts, rest) in endings.items():
        if wish.same_clinic and clinic_id != here:
            continue
        change = int(clinic_id != here)
        for ending in rest[bisect_left(starts, stop.ends_at + step.min_wait) :]:
            start = ending.starts_at
            # In order of start, and none is over before it starts.
            if (best and start >= best.cost) or (wish.same_day and start > stop.ends_at + step.max_wait):
                break
            if _follows(stop, ending.first, wish, places):
                cost = ending.cost + change * TRAVEL
                if best is None or cost < best.cost:
                    best = Visit((stop, *ending.stops), ending.changes + change, cost)
    return best


def _follows(stop: Stop, following: Stop, wish: Wish, places: Places) -> bool:
    if wish.same_day and stop.day != following.day:
        return False
    here, there = stop.start, following.start
    if there.starts_at - stop.ends_at < places.way(here, there):
        return False
    shared = here.practitioner_id == there.practitioner_id or here.station_id == there.station_id
    return not shared or there.starts_at >= here.starts_at + stop.service.occupied


# -- A course ------------------------------------------------------------------------------------


def courses(wish: Wish, found: Sequence[Visit], anchors: Iterable[Visit]) -> list[Course]:
    """For each of the first visits the course most like it: same practitioners, weekday, time, clinic."""
    by_day: dict[dt.date, list[Visit]] = defaultdict(list)
    for visit in found:
        by_day[visit.first.day].append(visit)
    possible = _possible_days(wish, by_day)
    built = (_course(anchor, wish, by_day, possible) for anchor in anchors if anchor.first.day in possible[0])
    return [course for course in built if course]


def longest(wish: Wish, found: Sequence[Visit]) -> int:
    """How many visits of the course can be had at most."""
    days = {visit.first.day for visit in found}
    for times in range(wish.times, 0, -1):
        if _possible_days(replace(wish, times=times), days)[0]:
            return times
    return 0


def _possible_days(wish: Wish, days: Iterable[dt.date]) -> list[set[dt.date]]:
    """For each visit of the course the days from which the rest can still be reached."""
    every = set(days)
    possible = [every]
    for _ in range(wish.times - 1):
        reachable = {day for day in every if any(later in possible[0] for later in _next_days(day, wish))}
        possible.insert(0, reachable)
    last = wish.first + dt.timedelta(wish.days)
    possible[0] = {day for day in possible[0] if wish.first <= day < last}
    return possible


def _next_days(day: dt.date, wish: Wish) -> list[dt.date]:
    """When the next visit may be, the best first."""
    shifts = sorted(range(-wish.slack, wish.slack + 1), key=abs)
    return [day + dt.timedelta(wish.every + shift) for shift in shifts]


def _course(
    anchor: Visit, wish: Wish, by_day: Mapping[dt.date, list[Visit]], possible: list[set[dt.date]]
) -> Course | None:
    course = [anchor]
    for allowed in possible[1:]:
        ideal = anchor.first.day + dt.timedelta(wish.every * len(course))
        days = [day for day in _next_days(course[-1].first.day, wish) if day in allowed]
        later = [visit for day in days for visit in by_day[day] if visit.starts_at >= course[-1].ends_at]
        if not later:
            return None
        course.append(min(later, key=lambda visit: _unlikeness(visit, anchor, ideal)))
    return tuple(course)


def _unlikeness(visit: Visit, anchor: Visit, ideal: dt.date) -> float:
    """In minutes, so to speak: a day off is as bad as half an hour, another practitioner as 90 minutes."""
    strangers = sum(a != b for a, b in zip(visit.practitioners, anchor.practitioners, strict=True))
    moved = visit.first.start.clinic_id != anchor.first.start.clinic_id
    return (
        30 * abs((visit.first.day - ideal).days)
        + abs(visit.first.minute - anchor.first.minute)
        + 90 * strangers
        + 120 * moved
        + (visit.cost - visit.starts_at).total_seconds() / 60
    )
