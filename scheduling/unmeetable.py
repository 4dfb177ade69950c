"""What of a demand can never be met, said when it is entered.

Looks at who works where and when (templates, exceptions, extra hours), not at what is still free: whether a time is
left is decided when sessions are planned.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking.templatetags.page import place
from scheduling.fit import Pattern, Rules, Time
from scheduling.models import Clinic, Practitioner, Service
from scheduling.models.demand import MAX_SESSIONS
from scheduling.working_hours import HORIZON_DAYS, Hour, Span, Supply, possible_hours

MAX_LOOK_DAYS = 500
MAX_VALID_DAYS = 5 * 366
ON_DAYS = {
    1: gettext_lazy("Mondays"),
    2: gettext_lazy("Tuesdays"),
    3: gettext_lazy("Wednesdays"),
    4: gettext_lazy("Thursdays"),
    5: gettext_lazy("Fridays"),
    6: gettext_lazy("Saturdays"),
    7: gettext_lazy("Sundays"),
}


class Problem(NamedTuple):
    """`pattern` is the index of the pattern that is meant, if it is one; `field` that of the form."""

    sentence: str
    field: str = ""
    pattern: int | None = None


def unmeetable(
    *,
    service: Service,
    quantity: int,
    valid_from: dt.date | None = None,
    valid_until: dt.date | None = None,
    patterns: Sequence[Pattern] = (),
    today: dt.date | None = None,
) -> list[Problem]:
    """Empty when the demand can be met as far as plans go."""
    today = today or min((c.today() for c in Clinic.objects.filter(is_active=True)), default=dt.date.max)
    plain = [*_numbers(quantity, valid_from, valid_until, today), *_contradictions(patterns)]
    if plain:
        return plain
    span = Span(max(valid_from or today, today), valid_until)
    places = _Places.of(service)
    if nobody := places.why_nobody():
        return [Problem(nobody, "service")]
    looked = _look_at(span, quantity, patterns)
    supply = possible_hours(service=service, span=looked, clinics=places.usable)
    alone = [
        problem
        for n, p in enumerate(patterns)
        for problem in _Check(places, supply, span, looked, p, n).problems()
    ]
    return alone or list(_together(supply, span, looked, quantity, patterns))


def _look_at(span: Span, quantity: int, patterns: Sequence[Pattern]) -> Span:
    """The days whose hours are computed: some weeks, what a pattern asks for later, and as long as the gaps take."""
    latest = max([span.first, *(p.earliest for p in patterns if p.earliest)])
    gap = max((p.max_gap_days or p.min_gap_days or 0 for p in patterns if p.is_hard), default=0)
    days = (latest - span.first).days + HORIZON_DAYS + (quantity - 1) * gap
    end = span.first + dt.timedelta(min(days, MAX_LOOK_DAYS) - 1)
    return Span(span.first, min(end, span.last) if span.last else end)


# -- What needs no plan --------------------------------------------------------------------------


def _numbers(
    quantity: int, valid_from: dt.date | None, valid_until: dt.date | None, today: dt.date
) -> Iterator[Problem]:
    if not 1 <= quantity <= MAX_SESSIONS:
        text = _("Between 1 and %(most)d sessions can be asked for, not %(quantity)d.")
        yield Problem(text % {"most": MAX_SESSIONS, "quantity": quantity}, "quantity")
    if valid_from and valid_until and valid_until < valid_from:
        yield Problem(_("“Valid until” is before “valid from”."), "valid_until")
    elif valid_until and valid_until < today:
        yield Problem(_("The validity is over: it ends on %s.") % _day(valid_until), "valid_until")
    if valid_until and (valid_until - max(valid_from or today, today)).days > MAX_VALID_DAYS:
        yield Problem(_("The validity is longer than five years."), "valid_until")
    if valid_from and not -MAX_VALID_DAYS <= (valid_from - today).days <= MAX_VALID_DAYS:
        yield Problem(_("“Valid from” is more than five years away."), "valid_from")


def _contradictions(patterns: Sequence[Pattern]) -> Iterator[Problem]:
    for number, p in enumerate(patterns):
        if p.from_time and p.until_time and p.until_time <= p.from_time:
            yield Problem(_("The window ends before it begins."), "until_time", number)
        if p.earliest and p.latest and p.latest < p.earliest:
            yield Problem(_("The last day is before the first."), "latest", number)
        if (p.min_gap_days or 0) > (p.max_gap_days if p.max_gap_days is not None else p.min_gap_days or 0):
            text = _("The largest gap (%(most)d days) is smaller than the smallest (%(least)d days).")
            yield Problem(text % {"most": p.max_gap_days, "least": p.min_gap_days}, "max_gap_days", number)


# -- Where and by whom ---------------------------------------------------------------------------


class _Places(NamedTuple):
    service: Service
    clinics: dict[int, Clinic]  # active
    names: dict[int, str]  # of the practitioners who offer it
    with_room: set[int]
    lacking: dict[int, list[str]]  # kinds of equipment, by clinic

    @classmethod
    def of(cls, service: Service) -> "_Places":
        clinics = {c.pk: c for c in Clinic.objects.filter(is_active=True).prefetch_related("equipment")}
        lacking = {}
        for clinic in clinics.values():
            present = {each.kind for each in clinic.equipment.all() if each.units}
            lacking[clinic.pk] = sorted(set(service.equipment_kinds) - present)
        rooms = Clinic.objects.filter(stations__kind=service.station_kind).values_list("pk", flat=True)
        offering = service.practitioners.filter(is_active=True)
        return cls(service, clinics, dict(offering.values_list("pk", "name")), set(rooms), lacking)

    @property
    def usable(self) -> list[Clinic]:
        return [c for pk, c in self.clinics.items() if pk in self.with_room and not self.lacking[pk]]

    def why_nobody(self) -> str:
        name = {"service": self.service.name}
        if not self.names:
            return _("Nobody offers %(service)s at present.") % name
        if not any(pk in self.with_room for pk in self.clinics):
            return _("No clinic has a room for %(service)s.") % name
        if not self.usable:
            return _("No clinic has the equipment for %(service)s.") % name
        return ""

    def why_not_at(self, clinic_ids: Collection[int]) -> str:
        where = _either(place(c.name) for c in Clinic.objects.filter(pk__in=clinic_ids))
        if not any(pk in self.with_room for pk in clinic_ids):
            return _("There is no %(kind)s room in %(where)s.") % {
                "kind": self.service.station_kind,
                "where": where,
            }
        missing = [kind for pk in clinic_ids for kind in self.lacking.get(pk, [])]
        if missing and not any(c.pk in clinic_ids for c in self.usable):
            return _("There is no %(kind)s in %(where)s.") % {"kind": missing[0], "where": where}
        return _("Nobody offers %(service)s in %(where)s.") % {"service": self.service.name, "where": where}


# -- One pattern ---------------------------------------------------------------------------------


class _Check(NamedTuple):
    places: _Places
    supply: Supply
    span: Span
    looked: Span
    pattern: Pattern
    number: int

    def problems(self) -> Iterator[Problem]:
        p = self.pattern
        if plain := [*self._dates(), *self._window(), *self._strangers()]:
            yield from plain
            return
        hours: Collection[Hour] = self.supply
        broken = broken_codes(p, self.supply)
        for codes, sentence in (
            ({"clinic"}, self._no_clinic),
            ({"practitioner"}, self._not_there),
            ({"weekday"}, self._no_weekday),
            ({"too_early_in_day", "too_late_in_day"}, self._no_time),
        ):
            left = [hour for hour in hours if not codes & broken[hour]]
            if not left:
                yield self._problem(sentence(hours))
                return
            hours = left
        inside = _narrowed(self.span, p)
        if inside.first not in self.looked:
            return  # too far ahead to be judged
        if not any(day in inside for hour in hours for day in self.supply[hour]):
            yield self._problem(_("%(who)s on these days.") % {"who": self._who_is_away()})

    def _dates(self) -> Iterator[Problem]:
        p, span = self.pattern, self.span
        if (p.latest and p.latest < span.first) or (p.earliest and span.last and p.earliest > span.last):
            yield self._problem(
                _("Its dates lie outside the validity."), "earliest" if p.earliest else "latest"
            )

    def _window(self) -> Iterator[Problem]:
        p, service = self.pattern, self.places.service
        if p.from_time and p.until_time:
            window = _minutes(p.until_time) - _minutes(p.from_time)
            if window < service.duration_minutes:
                text = _("The window of %(window)d minutes is shorter than a visit (%(visit)d minutes).")
                values = {"window": window, "visit": service.duration_minutes}
                yield self._problem(text % values, "until_time")

    def _strangers(self) -> Iterator[Problem]:
        for who in Practitioner.objects.filter(pk__in=self.pattern.practitioners - set(self.places.names)):
            text = _("%(who)s does not offer %(service)s.")
            yield self._problem(text % {"who": who.name, "service": self.places.service.name})

    def _no_clinic(self, hours: Collection[Hour]) -> str:
        usable = {clinic.pk for clinic in self.places.usable}
        if not hours and not (self.pattern.clinics - usable):
            return _("Nobody has working hours for %(service)s in this time.") % {
                "service": self.places.service.name
            }
        return self.places.why_not_at(self.pattern.clinics)

    def _not_there(self, hours: Collection[Hour]) -> str:
        who = _either(self.places.names[pk] for pk in self.pattern.practitioners)
        clinics = [self.places.clinics[pk] for pk in self.pattern.clinics if pk in self.places.clinics]
        if clinics:
            where = _either(place(c.name) for c in clinics)
            return _("%(who)s does not work in %(where)s.") % {"who": who, "where": where}
        return _("%(who)s has no working hours in this time.") % {"who": who}

    def _no_weekday(self, hours: Collection[Hour]) -> str:
        days = _either(str(ON_DAYS[day]) for day in sorted(self.pattern.weekdays))
        return _("%(who)s on %(days)s.") % {"who": self._who_is_away(), "days": days}

    def _no_time(self, hours: Collection[Hour]) -> str:
        text = _("Visits are possible between %(first)s and %(last)s only.")
        first, last = min(h.start for h in hours), max(h.end for h in hours)
        return text % {"first": f"{first:%H:%M}", "last": f"{last:%H:%M}"}

    def _who_is_away(self) -> str:
        if self.pattern.practitioners:
            who = _either(self.places.names[pk] for pk in sorted(self.pattern.practitioners))
            text = _("%(who)s does not work")
        else:
            who, text = self.places.service.name, _("Nobody offers %(who)s")
        where = _either(place(self.places.clinics[pk].name) for pk in sorted(self.pattern.clinics))
        return text % {"who": who} + (_(" in %s") % where if where else "")

    def _problem(self, sentence: str, field: str = "") -> Problem:
        return Problem(sentence, field, self.number)


def broken_codes(pattern: Pattern, supply: Supply) -> dict[Hour, set[str]]:
    """What `fit` says to each time of the week. Dates and gaps are not looked at."""
    undated = replace(pattern, is_hard=True, earliest=None, latest=None, min_gap_days=None, max_gap_days=None)
    rules = Rules(patterns=(undated,))
    found = {}
    for hour, days in supply.items():
        start, end = (dt.datetime.combine(min(days), time, dt.UTC) for time in (hour.start, hour.end))
        at = Time(start, end, _Utc(hour.clinic_id), hour.practitioner_id)  # type: ignore[arg-type]
        found[hour] = {reason.code for reason in rules.hard_violations(at)}
    return found


class _Utc(NamedTuple):
    """Stands for a clinic where wall-clock times are at hand already."""

    pk: int
    zone: dt.tzinfo = dt.UTC


# -- All together --------------------------------------------------------------------------------


def _together(
    supply: Supply, span: Span, looked: Span, quantity: int, patterns: Sequence[Pattern]
) -> Iterator[Problem]:
    """Every hard pattern must hold at once, for as many sessions as are asked for."""
    left: Supply = dict(supply)
    for number, pattern in enumerate(patterns):
        if not pattern.is_hard:
            continue
        inside = _narrowed(span, pattern)
        if inside.first not in looked:
            return
        broken = broken_codes(pattern, left)
        kept = {h: {day for day in days if day in inside} for h, days in left.items() if not broken[h]}
        left = {hour: days for hour, days in kept.items() if days}
        if not left:
            yield Problem(_("This rule cannot hold together with the rules before it."), "", number)
            return
    if not left:
        yield Problem(_("Nobody has working hours for it in this time."), "valid_until")
        return
    hard = [p for p in patterns if p.is_hard]
    least = max((p.min_gap_days or 0 for p in hard), default=0)
    most = min((p.max_gap_days for p in hard if p.max_gap_days is not None), default=None)
    if most is not None and most < least:
        yield Problem(_("The gaps that the rules ask for contradict each other."))
        return
    days = sorted(set().union(*left.values()))
    if least:
        yield from _fitting(days, span, looked, quantity, least, most)
    elif looked.last == span.last and (quantity > len(days) or most == 0):
        yield from _fitting_side_by_side(left, quantity, is_one_day=most == 0)


def _fitting(
    days: list[dt.date], span: Span, looked: Span, quantity: int, least: int, most: int | None
) -> Iterator[Problem]:
    if span.last is None:
        return
    possible = longest_row(days, least, most)
    if looked.last != span.last and (most is None or _is_cut_short(looked)):
        # There are more days than were looked at: count by the gaps alone.
        possible = max(possible, 1 + (span.last - days[0]).days // least)
    if possible < quantity:
        text = _(
            "At least %(gap)d days apart, only %(possible)d of %(quantity)d sessions fit until %(last)s."
        )
        values = {"gap": least, "possible": possible, "quantity": quantity, "last": _day(span.last)}
        yield Problem(text % values, "valid_until")


def _fitting_side_by_side(supply: Supply, quantity: int, *, is_one_day: bool) -> Iterator[Problem]:
    """Several on a day, one after the other: the patient is in one place at a time."""
    rows: dict[dt.date, list[Hour]] = defaultdict(list)
    for hour in sorted(supply, key=lambda hour: hour.end):
        for day in supply[hour]:
            if not rows[day] or hour.start >= rows[day][-1].end:
                rows[day].append(hour)
    a_day = [len(row) for row in rows.values()]
    possible = max(a_day) if is_one_day else sum(a_day)
    if possible < quantity:
        text = _("There are hours for %(possible)d of %(quantity)d sessions in this time.")
        yield Problem(text % {"possible": possible, "quantity": quantity}, "quantity")


def _is_cut_short(looked: Span) -> bool:
    return looked.last is not None and (looked.last - looked.first).days + 1 >= MAX_LOOK_DAYS


def longest_row(days: list[dt.date], least: int, most: int | None) -> int:
    """How many of the days can follow each other with gaps from `least` to `most`."""
    best: dict[dt.date, int] = {}
    for day in days:
        before = [n for other, n in best.items() if least <= (day - other).days <= (most or 10**6)]
        best[day] = 1 + max(before, default=0)
    return max(best.values(), default=0)


def _narrowed(span: Span, pattern: Pattern) -> Span:
    first = max(span.first, pattern.earliest or span.first)
    ends = [day for day in (span.last, pattern.latest) if day]
    return Span(first, min(ends) if ends else None)


def _either(names: Collection[str] | Iterator[str]) -> str:
    *rest, last = [*names] or [""]
    return _("%(these)s or %(last)s") % {"these": ", ".join(rest), "last": last} if rest else last


def _minutes(time: dt.time) -> int:
    return time.hour * 60 + time.minute


def _day(day: dt.date) -> str:
    return date_format(day, "j F Y")
