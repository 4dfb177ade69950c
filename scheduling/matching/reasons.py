"""Why a session has no time, in words: which one rule, were it relaxed, would give it times, and how many."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.matching.board import Board, Bools, Ints
from scheduling.matching.chain import gaps_of
from scheduling.matching.demand import FOREVER, Dated, Rule, Stretch
from scheduling.models import BookingRequest

LONGEST = 300
SHOWN = 2  # relaxations named


@dataclass
class Names:
    """Of what the reasons speak, and the last day for which times exist."""

    practitioners: dict[int, str]
    clinics: dict[int, str]
    last_day: int


class Explanation:
    def __init__(self, board: Board, names: Names, stretch: Stretch, request: BookingRequest) -> None:
        self.board, self.names, self.stretch, self.request = board, names, stretch, request
        self.starts = board.starts(stretch.terms.service_id)
        self.every = np.arange(len(self.starts.first))
        self.missing = [s for s in stretch.sessions if s not in board.kept]

    def texts(self, numbers: dict[int, int]) -> dict[int, str]:
        """Of each session without a time, by its number in the request."""
        first, *later = self.missing
        waits = _("Session %(number)s comes before it and has no time yet.") % {"number": numbers[first]}
        return {first: self.text()[:LONGEST], **dict.fromkeys(later, waits)}

    def text(self) -> str:
        if sentence := self._nothing_at_all():
            return sentence
        rules = self._rules()
        free = self.board.is_free(self.starts, self.every)
        fits = {name: free & _all(other for key, other in rules.items() if key != name) for name in rules}
        counts = {name: int(found.sum()) for name, found in fits.items()}
        relaxed = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
        parts = [self._relaxed(name, counts[name], fits[name]) for name in relaxed[:SHOWN]]
        return "; ".join([self._sentence(), *parts]) + "."

    # -- What must hold

    def _rules(self) -> dict[str, Bools]:
        starts, terms, every = self.starts, self.stretch.terms, self.every
        rules = {
            "dates": (starts.day >= terms.first_day) & (starts.day <= terms.last_day),
            "gap": self._gap(),
            "equipment": self.board.has_equipment(starts, every),
        }
        for rule in terms.hard:
            for name, part in _parts(rule).items():
                rules[name] = rules.get(name, True) & starts.fitting(part, every)
        rules["patient"] = self.board.patient_is_free(self.stretch, starts, every)
        return rules

    def _previous(self) -> Dated | None:
        kept = [s for s in self.stretch.sessions if s in self.board.kept]
        if not kept:
            return self.stretch.before
        at = self.board.kept[kept[-1]].at
        begin = int(self.starts.begin[at])
        return Dated(int(self.starts.day[at]), begin, begin + self.starts.occupied)

    def _gap(self) -> Bools:
        starts, gaps = self.starts, gaps_of(self.stretch)
        fits = np.ones(len(self.every), np.bool_)
        if before := self._previous():
            fits &= gaps.fit(starts.day - before.day) & (starts.begin >= before.ends)
        if after := self.stretch.after:
            fits &= (starts.day <= after.day - gaps.least) & (starts.begin + starts.duration <= after.starts)
            if len(self.missing) == 1:
                fits &= after.day - starts.day <= gaps.most
        return fits

    def _window(self) -> tuple[int, int]:
        """First and last day that all rules about dates leave."""
        gaps, before, terms = gaps_of(self.stretch), self._previous(), self.stretch.terms
        first = max([self.board.today, terms.first_day, *(rule.first_day for rule in terms.hard)])
        last = min([terms.last_day, *(rule.last_day for rule in terms.hard)])
        if before:
            first, last = max(first, before.day + gaps.least), min(last, before.day + gaps.most)
        if self.stretch.after:
            last = min(last, self.stretch.after.day - gaps.least)
        return first, last

    # -- In words

    def _nothing_at_all(self) -> str:
        service, first_last = self.request.service, self._window()
        first, last = first_last
        if not self.board.offers[service.pk]:
            return _("Nobody offers %(service)s.") % {"service": service.name}
        if not any(kind == service.station_kind for kind in self.board.kinds.values()):
            return _("No clinic has a room for %(kind)s.") % {"kind": service.station_kind}
        lacking = [k for k in service.equipment_kinds if not any(kind == k for _c, kind in self.board.units)]
        if lacking:
            return _("No clinic has the equipment %(kind)s.") % {"kind": ", ".join(lacking)}
        if first > last:
            return _("The dates leave no day: it would have to be from %(first)s and until %(last)s.") % {
                "first": _date(first),
                "last": _date(last),
            }
        if first > self.names.last_day:
            return _("Times are made until %(last)s so far; this session can be from %(first)s.") % {
                "last": _date(self.names.last_day),
                "first": _date(first),
            }
        return ""

    def _sentence(self) -> str:
        first, last = self._window()
        terms = self.stretch.terms
        words = [_("No %(kind)s room is free") % {"kind": self.request.service.station_kind}]
        if weekdays := _common([rule.weekdays for rule in terms.hard]):
            words.append(_("on %(days)s") % {"days": ", ".join(_plural(day) for day in sorted(weekdays))})
        from_minute = max((rule.from_minute for rule in terms.hard), default=0)
        until_minute = min((rule.until_minute for rule in terms.hard), default=FOREVER)
        if from_minute or until_minute <= 24 * 60:
            words.append(f"{_clock(from_minute)}–{_clock(min(until_minute, 24 * 60))}")
        if who := _common([rule.practitioners for rule in terms.hard]):
            words.append(_("with %(names)s") % {"names": self._names(self.names.practitioners, who)})
        if where := _common([rule.clinics for rule in terms.hard]):
            words.append(_("at %(names)s") % {"names": self._names(self.names.clinics, where)})
        if first > self.board.today:
            words.append(_("from %(day)s") % {"day": _date(first)})
        words.append(_("until %(day)s") % {"day": _date(min(last, self.names.last_day))})
        return " ".join(words)

    def _relaxed(self, name: str, count: int, found: Bools) -> str:
        values = {"count": count} | self._details(name, np.flatnonzero(found))
        return RELAXED[name](count) % values

    def _details(self, name: str, at: Ints) -> dict[str, object]:
        starts = self.starts
        if name == "weekdays":
            return {"what": _plural(_most(starts.day[at] - 1) % 7 + 1, singular=True)}
        if name == "practitioners":
            return {"what": self.names.practitioners.get(_most(starts.practitioner[at]), "")}
        if name == "clinics":
            return {"what": self.names.clinics.get(_most(starts.clinic[at]), "")}
        if name == "times":
            minutes = starts.minute[at]
            return {"what": f"{_clock(int(minutes.min()))}–{_clock(int(minutes.max()) + starts.duration)}"}
        if name == "gap" and (before := self._previous()):
            gaps = starts.day[at] - before.day
            least = gaps_of(self.stretch).least
            return {
                "what": int(gaps.max()) if (gaps < least).all() else int(gaps[gaps >= 0].min(initial=10**6))
            }
        if name in ("dates", "gap"):
            return {"what": _date(int(starts.day[at].min()))}
        return {"what": ", ".join(starts.kinds)}

    def _names(self, names: dict[int, str], ids: frozenset[int]) -> str:
        shown = [names.get(pk, "?") for pk in sorted(ids)]
        return _(" or ").join(shown) if len(shown) < 4 else _("%(count)s chosen ones") % {"count": len(shown)}


RELAXED = {
    "weekdays": lambda n: ngettext(
        "%(count)s other time fits if %(what)s is allowed",
        "%(count)s other times fit if other days such as %(what)s are allowed",
        n,
    ),
    "times": lambda n: ngettext(
        "%(count)s other time fits if %(what)s is allowed",
        "%(count)s other times fit at other hours (%(what)s)",
        n,
    ),
    "practitioners": lambda n: ngettext(
        "%(count)s other time fits with %(what)s", "%(count)s other times fit with others such as %(what)s", n
    ),
    "clinics": lambda n: ngettext(
        "%(count)s other time fits at %(what)s", "%(count)s other times fit at others such as %(what)s", n
    ),
    "dates": lambda n: ngettext(
        "%(count)s other time fits on other dates (%(what)s)",
        "%(count)s other times fit on other dates (the first: %(what)s)",
        n,
    ),
    "gap": lambda n: ngettext(
        "%(count)s other time fits with another gap to the session before or after (%(what)s)",
        "%(count)s other times fit with another gap to the session before or after (nearest: %(what)s)",
        n,
    ),
    "equipment": lambda n: ngettext(
        "%(count)s time fits but %(what)s is in use then",
        "%(count)s times fit but %(what)s is in use at all of them",
        n,
    ),
    "patient": lambda n: ngettext(
        "%(count)s time fits but the patient has another visit then",
        "%(count)s times fit but the patient has other visits then",
        n,
    ),
}


def _parts(rule: Rule) -> dict[str, Rule]:
    """The rule, one of its parts at a time."""
    none = Rule(frozenset(), 0, 10**6, 0, FOREVER, frozenset(), frozenset(), None, None)
    return {
        "weekdays": none._replace(weekdays=rule.weekdays),
        "times": none._replace(from_minute=rule.from_minute, until_minute=rule.until_minute),
        "dates": none._replace(first_day=rule.first_day, last_day=rule.last_day),
        "practitioners": none._replace(practitioners=rule.practitioners),
        "clinics": none._replace(clinics=rule.clinics),
    }


def _all(masks: object) -> Bools:
    return np.logical_and.reduce(list(masks))  # type: ignore[call-overload,no-any-return]


def _common(sets: list[frozenset[int]]) -> frozenset[int]:
    named = [each for each in sets if each]
    return frozenset.intersection(*named) if named else frozenset()


def _most(values: Ints) -> int:
    found, count = np.unique(values, return_counts=True)
    return int(found[count.argmax()])


def _date(day: int) -> str:
    return date_format(dt.date.fromordinal(min(max(day, 1), dt.date.max.toordinal())), "j F")


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02d}"


def _plural(day: int, *, singular: bool = False) -> str:
    names = [
        (_("Monday"), _("Mondays")),
        (_("Tuesday"), _("Tuesdays")),
        (_("Wednesday"), _("Wednesdays")),
        (_("Thursday"), _("Thursdays")),
        (_("Friday"), _("Fridays")),
        (_("Saturday"), _("Saturdays")),
        (_("Sunday"), _("Sundays")),
    ]
    return names[day - 1][0 if singular else 1]


__all__ = ["Explanation", "Names"]
