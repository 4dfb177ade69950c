"""The free times of the coming weeks as arrays, and which session of the plan has which of them. Nothing is written.

Instants are minutes since 1970, days are numbers as `date.toordinal()` gives them, at the clinic.
"""

import bisect
import copy
import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db import connection

from scheduling.matching.demand import DAY_MINUTES, Rule, Stretch, Terms
from scheduling.models import Service

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FREE = -1
EPOCH_DAY = dt.date(1970, 1, 1).toordinal()

# What a placed session is worth, each far more than all of the next: wishes, days, even loads.
SOFT = 10**7
DAY = 10**3
LOAD = 1

# One row is six numbers; as bytes they come ten times faster than as rows.
SLOTS = """
SELECT string_agg(int8send(s.id) || int8send(s.clinic_id) || int8send(s.practitioner_id) || int8send(s.station_id)
    || int8send((extract(epoch FROM s.starts_at) / 60)::bigint)
    || int8send((extract(epoch FROM s.ends_at) / 60)::bigint)
    || int8send((extract(epoch FROM s.starts_at AT TIME ZONE c.time_zone) / 60)::bigint), '')
FROM scheduling_slot s JOIN scheduling_clinic c ON c.id = s.clinic_id
WHERE c.is_active AND s.clinic_id = ANY(%(clinics)s) AND s.practitioner_id = ANY(%(practitioners)s)
    AND s.station_id = ANY(%(stations)s) AND s.starts_at > %(first)s AND s.booking_id IS NULL AND NOT s.is_blocked
    AND (s.held_until IS NULL OR s.held_until <= clock_timestamp())
"""
STATIONS = "SELECT id, kind FROM scheduling_station WHERE kind = ANY(%s) AND clinic_id = ANY(%s)"
UNITS = """
SELECT e.clinic_id, e.kind, u.unit, (extract(epoch FROM r.starts_at) / 60)::bigint,
    ceil(extract(epoch FROM r.ends_at) / 60)::bigint
FROM scheduling_equipment e CROSS JOIN LATERAL generate_series(1, e.units) AS u(unit)
LEFT JOIN scheduling_equipmentreservation r ON r.equipment_id = e.id AND r.unit = u.unit AND r.ends_at > %(first)s
    AND (r.held_until IS NULL OR r.held_until > clock_timestamp())
WHERE e.clinic_id = ANY(%(clinics)s) AND e.kind = ANY(%(kinds)s) ORDER BY 1, 2, 3, 4
"""
BUSY = """
SELECT patient_id, floor(extract(epoch FROM starts_at) / 60)::bigint, ceil(extract(epoch FROM ends_at) / 60)::bigint
FROM scheduling_booking
WHERE patient_id = ANY(%(patients)s) AND ends_at > %(first)s AND status NOT IN ('cancelled', 'noshow')
UNION ALL
SELECT patient_id, floor(extract(epoch FROM starts_at) / 60)::bigint, ceil(extract(epoch FROM ends_at) / 60)::bigint
FROM scheduling_hold
WHERE patient_id = ANY(%(patients)s) AND ended_at IS NULL AND expires_at > clock_timestamp() AND ends_at > %(first)s
"""


class Starts(NamedTuple):
    """Where a service can begin: `length` joining free slots from `first` on. Sorted by day and time."""

    first: Ints
    length: Ints
    begin: Ints
    day: Ints
    minute: Ints
    practitioner: Ints
    clinic: Ints
    duration: int
    occupied: int
    kinds: tuple[str, ...]

    def fitting(self, rule: Rule, at: Ints) -> Bools:
        """Which of them satisfy what the rule says of one session, which is all but its gap."""
        minute, day = self.minute[at], self.day[at]
        fits: Bools = (minute >= rule.from_minute) & (minute + self.duration <= rule.until_minute)
        fits &= (day >= rule.first_day) & (day <= rule.last_day)
        if rule.weekdays:
            fits &= np.isin((day - 1) % 7 + 1, list(rule.weekdays))
        if rule.practitioners:
            fits &= np.isin(self.practitioner[at], list(rule.practitioners))
        if rule.clinics:
            fits &= np.isin(self.clinic[at], list(rule.clinics))
        return fits


class Choice(NamedTuple):
    """Of the starts of a service those that fit all hard rules, and what each is worth by itself."""

    at: Ints
    worth: Ints
    wishes: tuple[Bools, ...]  # of each soft rule with a gap: where all else it says holds


@dataclass
class Units:
    """One kind of equipment at a clinic: of each unit the times it is in use, sorted and apart, and by which session of
    the plan (FREE: by none, it is booked).
    """

    busy: list[list[tuple[int, int, int]]]

    def free(self, begin: Ints, length: int) -> Bools:
        found = np.zeros(len(begin), np.bool_)
        for spans in self.busy:
            if not spans:
                return np.ones(len(begin), np.bool_)
            table = np.array([*spans, (2**60, 2**60, FREE)], np.int64)
            following = np.searchsorted(table[:, 1], begin, "right")
            found |= table[following, 0] >= begin + length
        return found

    def take(self, begin: int, end: int, session: int) -> bool:
        """Where no unit is free all the time, those of the plan are dealt out anew, by time."""
        if self._put(begin, end, session):
            return True
        before = [list(spans) for spans in self.busy]
        planned = sorted(span for spans in self.busy for span in spans if span[2] != FREE)
        self.busy = [[span for span in spans if span[2] == FREE] for spans in self.busy]
        if all(self._put(*span) for span in sorted([*planned, (begin, end, session)])):
            return True
        self.busy = before
        return False

    def _put(self, begin: int, end: int, session: int) -> bool:
        for spans in self.busy:
            at = bisect.bisect(spans, (begin,))
            if (at == 0 or spans[at - 1][1] <= begin) and (at == len(spans) or end <= spans[at][0]):
                spans.insert(at, (begin, end, session))
                return True
        return False

    def give_back(self, begin: int, end: int, session: int) -> None:
        next(spans for spans in self.busy if (begin, end, session) in spans).remove((begin, end, session))

    def holders(self, begin: int, end: int) -> list[list[int]]:
        """Of each unit who has it in this time."""
        return [[who for b, e, who in spans if b < end and begin < e] for spans in self.busy]


class Kept(NamedTuple):
    """What a session has in the plan."""

    stretch: Stretch
    at: int  # among the starts of its service


@dataclass
class Board:
    services: dict[int, Service]
    slots: (
        Ints  # a row for each free slot: id, clinic, practitioner, station, begin, end, begin at the clinic
    )
    today: int
    offers: dict[int, set[int]]
    kinds: dict[int, str]
    units: dict[tuple[int, str], Units]
    busy: dict[int, list[tuple[int, int]]]
    taken: Ints = field(init=False)
    fixed_busy: dict[int, list[tuple[int, int]]] = field(
        init=False
    )  # as they were before anything was planned
    fixed_units: dict[tuple[int, str], Units] = field(init=False)
    kept: dict[int, Kept] = field(default_factory=dict)
    load: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    _starts: dict[int, Starts] = field(default_factory=dict)
    _choices: dict[Terms, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = self.slots[np.lexsort((self.slots[:, 4], self.slots[:, 3], self.slots[:, 2]))]
        self.taken = np.full(len(self.slots), FREE, np.int64)
        self.fixed_busy, self.fixed_units = copy.deepcopy(self.busy), copy.deepcopy(self.units)

    # -- What there is

    def starts(self, service_id: int) -> Starts:
        if service_id not in self._starts:
            self._starts[service_id] = self._find_starts(self.services[service_id])
        return self._starts[service_id]

    def _find_starts(self, service: Service) -> Starts:
        slots = self.slots
        _id, clinic, practitioner, station, begin, end, local = slots.T
        stations = [pk for pk, kind in self.kinds.items() if kind == service.station_kind]
        offered = np.isin(practitioner, list(self.offers[service.pk])) & np.isin(station, stations)
        joins = np.zeros(len(slots), np.bool_)
        joins[1:] = (slots[1:, 2:4] == slots[:-1, 2:4]).all(1) & (begin[1:] == end[:-1])
        run = np.cumsum(~joins)
        occupied = int(service.occupied.total_seconds()) // 60
        # Ends grow within a run, and runs do not mix: one search finds the last slot of every visit.
        base, span = begin.min(initial=0), 10**9
        last = np.searchsorted(run * span + end - base, run * span + begin - base + occupied)
        fits = offered & (last < len(slots))
        fits[fits] = run[last[fits]] == run[fits]
        first = np.flatnonzero(fits)
        day = local[first] // DAY_MINUTES + EPOCH_DAY
        order = np.lexsort((practitioner[first], begin[first], day))
        first = first[order]
        return Starts(
            first,
            last[first] - first + 1,
            begin[first],
            day[order],
            local[first] % DAY_MINUTES,
            practitioner[first],
            clinic[first],
            service.duration_minutes,
            occupied,
            tuple(sorted(set(service.equipment_kinds))),
        )

    def choice(self, terms: Terms) -> Choice:
        if terms not in self._choices:
            self._choices[terms] = self._choose(terms)
        return self._choices[terms]

    def _choose(self, terms: Terms) -> Choice:
        starts = self.starts(terms.service_id)
        at = np.flatnonzero((starts.day >= terms.first_day) & (starts.day <= terms.last_day))
        for rule in terms.hard:
            at = at[starts.fitting(rule, at)]
        worth = -DAY * (starts.day[at] - self.today)
        wishes = []
        for rule in terms.soft:
            granted = starts.fitting(rule, at)
            if rule.has_gap:
                wishes.append(granted)
            else:
                worth = worth + SOFT * granted
        return Choice(at, worth, tuple(wishes))

    # -- What is left of it

    def is_free(self, starts: Starts, at: Ints) -> Bools:
        """By the slots alone."""
        found: Bools = self.occupants(starts, at, self.taken != FREE) == 0
        return found

    def occupants(self, starts: Starts, at: Ints, weight: npt.NDArray[np.generic]) -> Ints:
        """The sum of `weight`, which is given for each slot, over the slots that each start covers."""
        first, count = starts.first[at], starts.length[at]
        total = weight[first].astype(np.int64)
        for n in range(1, int(count.max(initial=1))):
            total += np.where(n < count, weight[np.minimum(first + n, len(weight) - 1)], 0)
        return total

    def suits(self, stretch: Stretch, starts: Starts, at: Ints, *, alone: bool = False) -> Bools:
        """Where patient and equipment are free too; `alone`: were nothing else planned."""
        free = self.patient_is_free(stretch, starts, at, alone=alone)
        return free & self.has_equipment(starts, at, alone=alone)

    def patient_is_free(self, stretch: Stretch, starts: Starts, at: Ints, *, alone: bool = False) -> Bools:
        begin, found = starts.begin[at], np.ones(len(at), np.bool_)
        for busy_from, busy_until in (self.fixed_busy if alone else self.busy).get(stretch.patient_id, ()):
            found &= (begin >= busy_until) | (begin + starts.duration <= busy_from)
        return found

    def has_equipment(self, starts: Starts, at: Ints, *, alone: bool = False) -> Bools:
        units = self.fixed_units if alone else self.units
        begin, found = starts.begin[at], np.ones(len(at), np.bool_)
        for kind in starts.kinds:
            for clinic in np.unique(starts.clinic[at]):
                here = starts.clinic[at] == clinic
                if existing := units.get((int(clinic), kind)):
                    found[here] &= existing.free(begin[here], starts.occupied)
                else:
                    found[here] = False
        return found

    # -- The plan

    def keep(self, session: int, stretch: Stretch, at: int) -> bool:
        """False, and nothing changes, where it does not fit any more."""
        starts = self.starts(stretch.terms.service_id)
        covers = self._covers(starts, at)
        span = self._visit(starts, at)
        if (self.taken[covers] != FREE).any() or any(
            span[0] < until and begin < span[1] for begin, until in self.busy.get(stretch.patient_id, ())
        ):
            return False
        if not self._take_units(starts, at, session):
            return False
        self.taken[covers] = session
        self.busy.setdefault(stretch.patient_id, []).append(span)
        self.load[int(starts.practitioner[at])] += 1
        self.kept[session] = Kept(stretch, at)
        return True

    def drop(self, session: int) -> None:
        if (kept := self.kept.pop(session, None)) is None:
            return
        starts = self.starts(kept.stretch.terms.service_id)
        self.taken[self._covers(starts, kept.at)] = FREE
        self.busy[kept.stretch.patient_id].remove(self._visit(starts, kept.at))
        self.load[int(starts.practitioner[kept.at])] -= 1
        self._give_units_back(starts, kept.at, session, starts.kinds)

    def _take_units(self, starts: Starts, at: int, session: int) -> bool:
        begin, clinic = int(starts.begin[at]), int(starts.clinic[at])
        for n, kind in enumerate(starts.kinds):
            units = self.units.get((clinic, kind))
            if not (units and units.take(begin, begin + starts.occupied, session)):
                self._give_units_back(starts, at, session, starts.kinds[:n])
                return False
        return True

    def _give_units_back(self, starts: Starts, at: int, session: int, kinds: tuple[str, ...]) -> None:
        begin, clinic = int(starts.begin[at]), int(starts.clinic[at])
        for kind in kinds:
            self.units[clinic, kind].give_back(begin, begin + starts.occupied, session)

    def _covers(self, starts: Starts, at: int) -> slice:
        return slice(int(starts.first[at]), int(starts.first[at] + starts.length[at]))

    def _visit(self, starts: Starts, at: int) -> tuple[int, int]:
        begin = int(starts.begin[at])
        return begin, begin + starts.duration

    def plan(self) -> Iterator[tuple[int, int, int]]:
        """Session, slot and begin of each session that has a time."""
        for session, kept in self.kept.items():
            starts = self.starts(kept.stretch.terms.service_id)
            yield session, int(self.slots[starts.first[kept.at], 0]), int(starts.begin[kept.at])


def load(
    *, services: Collection[Service], patients: Collection[int], clinics: Collection[int], first: dt.datetime
) -> Board:
    """All that is free after the instant for these services at these clinics."""
    offers: dict[int, set[int]] = {service.pk: set() for service in services}
    through = Service.practitioners.through.objects.filter(
        service_id__in=list(offers), practitioner__is_active=True
    )
    for service_id, practitioner_id in through.values_list("service_id", "practitioner_id"):
        offers[service_id].add(practitioner_id)
    params: dict[str, Any] = {"first": first, "clinics": list(clinics), "patients": list(patients)}
    params["kinds"] = sorted({kind for service in services for kind in service.equipment_kinds})
    params["practitioners"] = sorted({pk for offered in offers.values() for pk in offered})
    busy: dict[int, list[tuple[int, int]]] = {}
    units: dict[tuple[int, str], Units] = {}
    with connection.cursor() as cursor:
        cursor.execute(STATIONS, [sorted({service.station_kind for service in services}), list(clinics)])
        kinds: dict[int, str] = dict(cursor.fetchall())
        cursor.execute(SLOTS, params | {"stations": list(kinds)})
        slots = np.frombuffer(cursor.fetchone()[0] or b"", ">i8").reshape(-1, 7).astype(np.int64)
        if params["kinds"]:
            cursor.execute(UNITS, params)
            _add_units(units, cursor.fetchall())
        cursor.execute(BUSY, params)
        for patient, begin, end in cursor.fetchall():
            busy.setdefault(patient, []).append((begin, end))
    return Board(
        {service.pk: service for service in services},
        slots,
        first.date().toordinal(),
        offers,
        kinds,
        units,
        busy,
    )


def _add_units(
    units: dict[tuple[int, str], Units], rows: list[tuple[int, str, int, int | None, int]]
) -> None:
    for clinic, kind, unit, begin, end in rows:
        spans = units.setdefault((clinic, kind), Units([])).busy
        while len(spans) < unit:
            spans.append([])
        if begin is not None:
            spans[unit - 1].append((begin, end, FREE))
