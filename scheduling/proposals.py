"""The best ways to have one or several services, each with its reasons; or why there is none."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from patients.models import Patient
from scheduling import search
from scheduling.itineraries import (
    ANCHORS,
    NO_WAIT,
    Course,
    Places,
    Span,
    Stop,
    Visit,
    Wish,
    courses,
    longest,
    visits,
)
from scheduling.models import Booking, Clinic, Practitioner, Station, WalkingTime
from scheduling.stops import Proposed, Shown, in_order

BEST = 10
A_DAY = 3  # proposals at most that begin on one day, while there are others
LATER_DAYS = 28  # how far is looked where the period has nothing
PERIODS = (12, 17, 24)
Starts = Mapping[int, Sequence[search.Start]]


@dataclass(frozen=True)
class Proposal:
    """Visits that can be held with one click. `parts` is what the page posts back."""

    course: Course
    reasons: list[str]
    shown: list[Shown]

    @property
    def parts(self) -> list[str]:
        return [f"{stop.start.slot_id}:{stop.service.pk}" for stop in self.stops]

    @property
    def stops(self) -> list[Stop]:
        return [stop for visit in self.course for stop in visit.stops]

    @property
    def first(self) -> Proposed:
        proposed: Proposed = self.shown[0].of
        return proposed

    @property
    def is_dated(self) -> bool:
        """On more than one day."""
        return len({stop.day for stop in self.stops}) > 1

    @property
    def price_cents(self) -> int:
        return sum(stop.service.price_cents for stop in self.stops)

    @property
    def minutes(self) -> int:
        """From the first stop of each day to its last, waiting included."""
        days = groupby(self.stops, key=lambda stop: stop.day)
        spans = [(stops[0].starts_at, stops[-1].ends_at) for _, each in days if (stops := list(each))]
        return minutes(sum((until - since for since, until in spans), NO_WAIT))


@dataclass(frozen=True)
class Answer:
    proposals: list[Proposal]
    blocks: list["Block"]  # where there are no proposals


def minutes(span: dt.timedelta) -> int:
    return int(span.total_seconds() // 60)


def propose(
    *, wish: Wish, clinics: Sequence[Clinic], patient: Patient | None = None, leaving: Iterable[int] = ()
) -> Answer:
    """Up to BEST proposals at these clinics. Around what the patient has booked, but for the bookings they leave."""
    places = _places(clinics)
    found = _starts(wish, clinics, wish.first, wish.horizon)
    busy = _busy(patient, leaving, clinics, wish) if patient else []
    fitting = visits(wish, found, places, busy)
    best = _best(wish, fitting)
    if not best:
        return Answer([], list(_blocks(wish, found, places, busy, clinics)))
    shown = _shown(best, places)
    return Answer([Proposal(each, reasons(each, best, wish), shown(each)) for each in best], [])


def _shown(best: Sequence[Course], places: Places) -> Callable[[Course], list[Shown]]:
    starts = [stop.start for course in best for visit in course for stop in visit.stops]
    people = Practitioner.objects.in_bulk({start.practitioner_id for start in starts})
    stations = Station.objects.in_bulk({start.station_id for start in starts})

    def proposed(stop: Stop) -> Proposed:
        start = stop.start
        who, where = people[start.practitioner_id], places.clinics[start.clinic_id]
        return Proposed(stop.service, who, where, stations[start.station_id], stop.starts_at, stop.ends_at)

    return lambda course: in_order((proposed(s) for visit in course for s in visit.stops), places.walks)


def _places(clinics: Sequence[Clinic]) -> Places:
    walks = WalkingTime.objects.filter(first__clinic__in=clinics)
    by_pair = {(a, b): m for a, b, m in walks.values_list("first_id", "second_id", "minutes")}
    return Places({clinic.pk: clinic for clinic in clinics}, by_pair)


def _starts(wish: Wish, clinics: Sequence[Clinic], first: dt.date, days: int) -> Starts:
    if not clinics:
        return {step.service.pk: [] for step in wish.steps}
    bounds = [clinic.day_bounds(first, days) for clinic in clinics]
    since, until = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    services = {step.service.pk: step.service for step in wish.steps}
    ids = [clinic.pk for clinic in clinics]
    return {
        pk: search.free_starts(service=service, clinics=ids, first=since, until=until)
        for pk, service in services.items()
    }


def _busy(patient: Patient, leaving: Iterable[int], clinics: Sequence[Clinic], wish: Wish) -> list[Span]:
    if not clinics:
        return []
    since, until = clinics[0].day_bounds(wish.first - dt.timedelta(1), wish.horizon + 2)
    own = Booking.objects.filter(patient=patient, ends_at__gt=since, starts_at__lt=until).live()
    return list(own.exclude(pk__in=leaving).values_list("starts_at", "ends_at"))


# -- The best ------------------------------------------------------------------------------------


def _best(wish: Wish, fitting: Sequence[Visit]) -> list[Course]:
    ranked = sorted(fitting, key=lambda visit: (_cost(visit, wish), visit.starts_at))
    if wish.times == 1:
        return [(visit,) for visit in _diverse(ranked, BEST)]
    last = wish.first + dt.timedelta(wish.days)
    anchors = _diverse([visit for visit in ranked if visit.first.day < last], ANCHORS)
    built = courses(wish, fitting, anchors)
    return sorted(built, key=lambda course: _course_cost(course, wish))[:BEST]


def _cost(visit: Visit, wish: Wish) -> float:
    """In minutes: a day later is as bad as waiting half an hour, a change of clinic as waiting two."""
    later = (visit.first.day - wish.first).days
    return 30 * later + minutes(visit.waiting) + 120 * visit.changes


def _course_cost(course: Course, wish: Wish) -> float:
    strangers = len({visit.practitioners for visit in course}) - 1
    clinics = len({visit.first.start.clinic_id for visit in course}) - 1
    times = len({(visit.first.day.weekday(), visit.first.minute) for visit in course}) - 1
    own = sum(_cost(visit, wish) - 30 * (visit.first.day - wish.first).days for visit in course)
    return (
        own / len(course)
        + 30 * (course[0].first.day - wish.first).days
        + 40 * strangers
        + 60 * clinics
        + 10 * times
    )


def _diverse(ranked: Sequence[Visit], limit: int) -> list[Visit]:
    """The best, but not ten times the same morning: one of each part of a day and clinic, few of each day."""
    chosen: list[Visit] = []
    seen: set[tuple[dt.date, int, int]] = set()
    a_day: Counter[dt.date] = Counter()
    for visit in ranked:
        first = visit.first
        part = first.day, _period(first), first.start.clinic_id
        if part not in seen and a_day[first.day] < A_DAY and len(chosen) < limit:
            chosen.append(visit)
            seen.add(part)
            a_day[first.day] += 1
    picked = {id(visit) for visit in chosen}
    # Where there is little else: other times of the same mornings, then the same times with others.
    times = {(visit.starts_at, visit.first.start.clinic_id) for visit in chosen}
    for visit in ranked:
        key = visit.starts_at, visit.first.start.clinic_id
        if len(chosen) < limit and id(visit) not in picked and key not in times:
            chosen.append(visit)
            times.add(key)
    return sorted(chosen, key=ranked.index)


def _period(stop: Stop) -> int:
    return next(until for until in PERIODS if stop.minute < until * 60)


# -- Reasons -------------------------------------------------------------------------------------


def reasons(course: Course, others: Sequence[Course], wish: Wish) -> list[str]:
    return [*_advantages(course, others, wish), *_as_asked(wish), *_drawbacks(course)]


def _advantages(course: Course, others: Sequence[Course], wish: Wish) -> Iterator[str]:
    if course[0].starts_at == min(other[0].starts_at for other in others):
        yield _("Earliest")
    if len(wish.steps) > 1:
        waits = [b.starts_at - a.ends_at for v in course for a, b in zip(v.stops, v.stops[1:], strict=False)]
        if all(wait <= dt.timedelta(minutes=10) for wait in waits):
            yield _("Hardly any waiting between")
    if len(course) > 1:
        yield from _regular(course)


def _regular(course: Course) -> Iterator[str]:
    if len({visit.practitioners for visit in course}) == 1:
        is_one = len(set(course[0].practitioners)) == 1
        same = _("Same person for all %(n)s visits") if is_one else _("Same people for all %(n)s visits")
        yield same % {"n": len(course)}
    times = {visit.first.minute for visit in course}
    days = {visit.first.day.weekday() for visit in course}
    at = f"{course[0].first.minute // 60:02d}:{course[0].first.minute % 60:02d}"
    if len(days) == 1 and len(times) == 1:
        yield _("Always %(weekday)s at %(time)s") % {"weekday": WEEKDAYS[days.pop()], "time": at}
    elif len(days) == 1:
        yield _("Always on %(weekday)s") % {"weekday": WEEKDAYS[days.pop()]}
    elif len(times) == 1:
        yield _("Always at %(time)s") % {"time": at}


def _as_asked(wish: Wish) -> Iterator[str]:
    step = wish.steps[0]
    if step.after:
        yield _("After %(time)s, as asked") % {"time": f"{step.after:%H:%M}"}
    if step.before:
        yield _("Over by %(time)s, as asked") % {"time": f"{step.before:%H:%M}"}
    if any(each.practitioners for each in wish.steps):
        yield _("With whom you asked for")


def _drawbacks(course: Course) -> Iterator[str]:
    if any(visit.changes for visit in course):
        yield _("Needs a change of clinic")
    waiting = max(minutes(visit.waiting) for visit in course)
    if waiting > 10:
        yield _("%(n)s min of waiting") % {"n": waiting}
    if any(visit.first.day != visit.stops[-1].day for visit in course):
        yield _("On different days")
    if len({visit.first.start.clinic_id for visit in course}) > 1:
        yield _("At different clinics")


# -- Why there is none ---------------------------------------------------------------------------


class Block(NamedTuple):
    """What stands in the way, said as what would help; `change` are the fields of the form that would do it."""

    sentence: str
    change: dict[str, str] = {}  # noqa: RUF012  (never written to)


class Relaxed(NamedTuple):
    wish: Wish
    busy: Sequence[Span]
    help: str
    change: dict[str, str]


def _blocks(
    wish: Wish, found: Starts, places: Places, busy: Sequence[Span], clinics: Sequence[Clinic]
) -> Iterator[Block]:
    """Each wish is left out in turn."""
    missing = dict.fromkeys(step.service.name for step in wish.steps if not found[step.service.pk])
    for name in missing:
        yield Block(_("There is no free time for %(service)s in these days.") % {"service": name})
    if not missing:
        yield from _wishes_in_the_way(wish, found, places, busy)
        if wish.times > 1 and (most := longest(wish, visits(wish, found, places, busy))):
            sentence = _("%(most)s of %(all)s visits fit, the others do not.") % {
                "most": most,
                "all": wish.times,
            }
            yield Block(sentence, {"times": str(most)})
    yield from _elsewhere(wish, clinics, busy)


def _wishes_in_the_way(wish: Wish, found: Starts, places: Places, busy: Sequence[Span]) -> Iterator[Block]:
    alone = False
    for each in _relaxed(wish, busy):
        if number := _count(each.wish, visits(each.wish, found, places, each.busy)):
            alone = True
            yield Block(
                _("%(found)s if %(help)s.") % {"found": _times(number), "help": each.help}, each.change
            )
    free = _free(wish)
    if not alone and (number := _count(free, visits(free, found, places))):
        change = {"after": "", "before": "", "weekday": "", "with": "", "min_wait": "0", "same_day": "no"}
        sentence = _("%(found)s without all of your wishes together.") % {"found": _times(number)}
        yield Block(sentence, change | {"same_clinic": "no"})


def _count(wish: Wish, fitting: Sequence[Visit]) -> int:
    """Distinct times, not whom they are with; none where the course does not fit."""
    if wish.times > 1 and longest(wish, fitting) < wish.times:
        return 0
    return len({(visit.starts_at, visit.first.start.clinic_id) for visit in fitting})


def _times(number: int) -> str:
    return ngettext("There is %(n)s time", "There are %(n)s times", number) % {"n": number}


def _relaxed(wish: Wish, busy: Sequence[Span]) -> Iterator[Relaxed]:
    step = wish.steps[0]
    if step.after:
        sentence = _("before %(time)s is allowed") % {"time": f"{step.after:%H:%M}"}
        yield Relaxed(wish.with_steps(after=None), busy, sentence, {"after": ""})
    if step.before:
        sentence = _("after %(time)s is allowed") % {"time": f"{step.before:%H:%M}"}
        yield Relaxed(wish.with_steps(before=None), busy, sentence, {"before": ""})
    if step.weekdays:
        other = wish.with_steps(weekdays=frozenset())
        yield Relaxed(other, busy, _("other weekdays are allowed"), {"weekday": ""})
    if any(each.practitioners for each in wish.steps):
        anyone = wish.with_steps(practitioners=frozenset())
        yield Relaxed(anyone, busy, _("it may be with somebody else"), {"with": ""})
    if len(wish.steps) > 1:
        yield from _relaxed_between(wish, busy)
    if busy:
        yield Relaxed(wish, (), _("you did not have another visit then"), {})


def _relaxed_between(wish: Wish, busy: Sequence[Span]) -> Iterator[Relaxed]:
    longest_wait = minutes(wish.steps[1].max_wait)
    if wish.same_day and longest_wait < 1440:
        sentence = _("you can wait longer than %(n)s minutes between") % {"n": longest_wait}
        yield Relaxed(wish.with_steps(max_wait=dt.timedelta(1)), busy, sentence, {"max_wait": "1440"})
    if any(step.min_wait for step in wish.steps):
        sooner = wish.with_steps(min_wait=NO_WAIT)
        yield Relaxed(sooner, busy, _("there may be less time between"), {"min_wait": "0"})
    if wish.same_day:
        apart = replace(wish, same_day=False)
        yield Relaxed(apart, busy, _("they may be on different days"), {"same_day": "no"})
    if wish.same_clinic:
        around = replace(wish, same_clinic=False)
        yield Relaxed(around, busy, _("a change of clinic is allowed"), {"same_clinic": "no"})


def _free(wish: Wish) -> Wish:
    none: frozenset[int] = frozenset()
    bare = wish.with_steps(after=None, before=None, weekdays=none, practitioners=none, min_wait=NO_WAIT)
    return replace(bare, same_day=False, same_clinic=False)


def _elsewhere(wish: Wish, clinics: Sequence[Clinic], busy: Sequence[Span]) -> Iterator[Block]:
    """Clinics that were not chosen, and what comes after the days that were."""
    others = list(Clinic.objects.filter(is_active=True).exclude(pk__in=[clinic.pk for clinic in clinics]))
    every = [*clinics, *others]
    places = _places(every)
    if others:
        found = _starts(wish, every, wish.first, wish.horizon)
        if number := _count(wish, visits(wish, found, places, busy)):
            sentence = _("%(found)s if other clinics are allowed.") % {"found": _times(number)}
            yield Block(sentence, {"clinic": ""})
    later = replace(wish, first=wish.first + dt.timedelta(wish.days), days=LATER_DAYS, times=1)
    if clinics and (
        fitting := visits(later, _starts(later, clinics, later.first, later.horizon), places, busy)
    ):
        day = min(visit.first.day for visit in fitting)
        sentence = _("The first time after these days is on %(day)s.") % {
            "day": date_format(day, "DATE_FORMAT")
        }
        yield Block(sentence, {"date": day.isoformat()})
