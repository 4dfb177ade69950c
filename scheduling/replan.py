"""New times for bookings that lose theirs: the nearest acceptable ones, no two on the same slots. Takes no locks.

Everything is read with a few queries; the choice is made in memory and is the same for the same state.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from scheduling import search
from scheduling.edits import Scope
from scheduling.fit import Rules, Time, booked_days, read_rules
from scheduling.models import Booking, Clinic, Equipment, EquipmentReservation, ScheduleTemplate, Service

ACCEPTABLE = dt.timedelta(days=14)  # how far a visit may be put off, or brought forward
ELSEWHERE_WITHIN = dt.timedelta(days=4)  # the same at clinics where neither the visit nor the practitioner is
NOTICE = dt.timedelta(hours=2)  # the patient must hear of it before
ELSEWHERE = 2000  # times of other practitioners that are looked at for a service
MAX_CHAIN = 4  # how many proposals may make room for one another

NEAREST = """
SELECT starts_at, starts_at + occupied, clinic_id, practitioner_id, station_id, covers FROM (
    SELECT starts.*, practitioner_id = ANY(%(own)s) AS is_own FROM starts WHERE bookable) found
ORDER BY is_own DESC, abs(extract(epoch FROM starts_at - %(around)s)), practitioner_id, starts_at
LIMIT %(limit)s
"""


class Candidate(NamedTuple):
    starts_at: dt.datetime
    occupied_until: dt.datetime
    clinic: Clinic
    practitioner_id: int
    station_id: int
    covers: frozenset[int]
    day: dt.date
    minute: int  # of the day, by the clinic's clock


@dataclass
class Need:
    """A booking in want of a new time."""

    booking: Booking
    candidates: list[Candidate] = field(default_factory=list)  # best first
    chosen: Candidate | None = None

    @property
    def length(self) -> dt.timedelta:
        return self.booking.ends_at - self.booking.starts_at


def find_times(
    bookings: Collection[Booking],
    *,
    scope: Scope,
    now: dt.datetime,
    wanted: Mapping[int, tuple[int, dt.datetime]],
    firm: Collection[int],
) -> list[Need]:
    """A new time for each where there is one. `wanted` are practitioner and start that were proposed before, by booking;
    those of the `firm` ones were chosen by staff and come first."""
    needs = [Need(booking) for booking in sorted(bookings, key=lambda b: (b.starts_at, b.pk))]
    visits = _shared_visits(bookings)
    known, others = _clinics(bookings)
    _add_candidates(needs, known, scope, now, visits, wanted)
    table = Table(needs)
    for need in sorted(needs, key=lambda need: need.booking.pk not in firm):
        table.place(need)
    # A group may have many clinics: the others are asked for the few that found nothing.
    if left := [need for need in needs if not need.chosen]:
        _add_candidates(left, others, scope, now, visits, wanted, within=ELSEWHERE_WITHIN)
        for need in left:
            table.place(need)
    return needs


def _clinics(bookings: Collection[Booking]) -> tuple[dict[int, Clinic], dict[int, Clinic]]:
    """Those of the bookings and of their practitioners; the others."""
    known = {booking.clinic_id for booking in bookings}
    people = {booking.practitioner_id for booking in bookings}
    known |= set(ScheduleTemplate.objects.filter(practitioner__in=people).values_list("clinic", flat=True))
    active = list(Clinic.objects.filter(is_active=True))
    return {c.pk: c for c in active if c.pk in known}, {c.pk: c for c in active if c.pk not in known}


def _add_candidates(
    needs: Iterable[Need],
    clinics: Mapping[int, Clinic],
    scope: Scope,
    now: dt.datetime,
    visits: Collection[int],
    wanted: Mapping[int, tuple[int, dt.datetime]],
    within: dt.timedelta = ACCEPTABLE,
) -> None:
    for service, group in _by_service(needs).items():
        movable = [need for need in group if _can_be_proposed(need)]
        if movable and clinics:
            found = _candidates(service, movable, clinics, scope, now, within)
            for need in movable:
                need.candidates += _ranked(need, found, visits, wanted.get(need.booking.pk))


def _by_service(needs: Iterable[Need]) -> dict[Service, list[Need]]:
    groups: dict[Service, list[Need]] = defaultdict(list)
    for need in needs:
        groups[need.booking.service].append(need)
    return groups


def _can_be_proposed(need: Need) -> bool:
    """Who is at the clinic already, or has a visit of another length than the service now, is left to the staff."""
    service = need.booking.service
    return need.booking.status == Booking.Status.BOOKED and need.length == dt.timedelta(
        minutes=service.duration_minutes
    )


def _shared_visits(bookings: Collection[Booking]) -> set[int]:
    """Visits of which another booking stays: the moved one had better stay on that day."""
    others = Booking.objects.live().filter(visit__in={b.visit_id for b in bookings})
    return set(others.exclude(pk__in=[b.pk for b in bookings]).values_list("visit", flat=True))


def _candidates(
    service: Service,
    needs: list[Need],
    clinics: Mapping[int, Clinic],
    scope: Scope,
    now: dt.datetime,
    within: dt.timedelta,
) -> list[Candidate]:
    first = max(needs[0].booking.starts_at - within, now + NOTICE)
    until = max(need.booking.starts_at for need in needs) + within
    own = sorted({need.booking.practitioner_id for need in needs})
    rows = search._rows(
        NEAREST,
        service,
        clinics,
        first,
        until,
        own=own,
        around=needs[len(needs) // 2].booking.starts_at,
        limit=ELSEWHERE + 600 * len(own),
    )
    found = []
    for starts_at, occupied_until, clinic_id, practitioner_id, station_id, covers in rows:
        absent = scope.absent if scope.concerns(practitioner_id, clinic_id) else None
        if absent and starts_at < absent.ends_at and absent.starts_at < occupied_until:
            continue
        clinic = clinics[clinic_id]
        local = starts_at.astimezone(clinic.zone)
        found.append(
            Candidate(
                starts_at,
                occupied_until,
                clinic,
                practitioner_id,
                station_id,
                frozenset(covers),
                local.date(),
                local.hour * 60 + local.minute,
            )
        )
    return found


def _ranked(
    need: Need,
    found: list[Candidate],
    shared_visits: Collection[int],
    wanted: tuple[int, dt.datetime] | None,
) -> list[Candidate]:
    """Same practitioner, else same service; here, else at another clinic; then nearest in days, then in the day."""
    booking = need.booking
    local = booking.starts_at.astimezone(booking.clinic.zone)
    day, minute = local.date(), local.hour * 60 + local.minute
    stays_together = booking.visit_id in shared_visits

    def rank(c: Candidate) -> tuple[object, ...]:
        apart = abs((c.day - day).days) * 1440 + abs(c.minute - minute)
        elsewhere = c.clinic.pk != booking.clinic_id
        return (
            wanted != (c.practitioner_id, c.starts_at),
            stays_together and (elsewhere or c.day != day),
            c.practitioner_id != booking.practitioner_id,
            elsewhere,
            apart,
            c.starts_at,
            c.practitioner_id,
        )

    near = [c for c in found if abs(c.starts_at - booking.starts_at) <= ACCEPTABLE]
    return sorted(near, key=rank)


class Table:
    """Who sits where so far. A place needs free slots, a free patient, equipment, and the session's hard patterns."""

    def __init__(self, needs: Collection[Need]) -> None:
        bookings = [need.booking for need in needs]
        self.taken: dict[int, Need] = {}
        self.patients = _patients_times(needs)
        self.days = booked_days({b.session.request_id for b in bookings})
        self.rules = self._read_rules(bookings)
        self.units, self.used = _equipment(needs)

    def _read_rules(self, bookings: Collection[Booking]) -> dict[int, Rules]:
        of_request = read_rules({b.session.request_id for b in bookings})
        rules = {b.pk: of_request[b.session.request_id](b.session_id) for b in bookings}
        return {pk: r for pk, r in rules.items() if r.patterns or r.valid_from or r.valid_until}

    def place(self, need: Need, chain: int = 0, asked: set[int] | None = None) -> bool:
        """The best candidate that is free; where none is, others make room as long as they find another one."""
        for candidate in need.candidates:
            if self._fits(need, candidate) and not self._others(candidate):
                self._sit(need, candidate)
                return True
        if chain >= MAX_CHAIN:
            return False
        asked = asked if asked is not None else set()
        for candidate in need.candidates:
            others = self._others(candidate)
            if len(others) != 1 or others[0].booking.pk in asked | {need.booking.pk}:
                continue
            other, was = others[0], others[0].chosen
            asked.add(other.booking.pk)
            self._stand_up(other)
            if self._fits(need, candidate) and not self._others(candidate):
                self._sit(need, candidate)
                if self.place(other, chain + 1, asked):
                    return True
                self._stand_up(need)
            assert was
            self._sit(other, was)
        return False

    def _others(self, candidate: Candidate) -> list[Need]:
        found = {id(self.taken[slot]): self.taken[slot] for slot in candidate.covers if slot in self.taken}
        return list(found.values())

    def _fits(self, need: Need, candidate: Candidate) -> bool:
        booking, ends_at = need.booking, candidate.starts_at + need.length
        if any(
            pk != booking.pk and start < ends_at and candidate.starts_at < end
            for pk, start, end in self.patients[booking.patient_id]
        ):
            return False
        if not all(self._has_unit(kind, candidate) for kind in booking.service.equipment_kinds):
            return False
        if (rules := self.rules.get(booking.pk)) is None:
            return True
        days = self.days.get(booking.session.request_id, {})
        others = tuple(sorted(day for session, day in days.items() if session != booking.session_id))
        time = Time(candidate.starts_at, ends_at, candidate.clinic, candidate.practitioner_id)
        return replace(rules, other_days=others).fits(time)

    def _has_unit(self, kind: str, candidate: Candidate) -> bool:
        """Counts whatever overlaps, so it may say no where a unit would do for one after another; never yes wrongly."""
        key = (candidate.clinic.pk, kind)
        overlapping = {
            unit
            for unit, start, end in self.used[key]
            if start < candidate.occupied_until and candidate.starts_at < end
        }
        return len(overlapping) < self.units.get(key, 0)

    def _sit(self, need: Need, candidate: Candidate) -> None:
        booking = need.booking
        need.chosen = candidate
        self.taken |= dict.fromkeys(candidate.covers, need)
        self.patients[booking.patient_id].append(
            (booking.pk, candidate.starts_at, candidate.starts_at + need.length)
        )
        self.days[booking.session.request_id][booking.session_id] = candidate.day
        for kind in booking.service.equipment_kinds:
            use = (-booking.pk, candidate.starts_at, candidate.occupied_until)
            self.used[candidate.clinic.pk, kind].append(use)

    def _stand_up(self, need: Need) -> None:
        booking, candidate = need.booking, need.chosen
        assert candidate
        for slot in candidate.covers:
            del self.taken[slot]
        self.patients[booking.patient_id].remove(
            (booking.pk, candidate.starts_at, candidate.starts_at + need.length)
        )
        for kind in booking.service.equipment_kinds:
            use = (-booking.pk, candidate.starts_at, candidate.occupied_until)
            self.used[candidate.clinic.pk, kind].remove(use)
        self.days[booking.session.request_id][booking.session_id] = booking.clinic.local_date(
            booking.starts_at
        )
        need.chosen = None


Visits = dict[int, list[tuple[int, dt.datetime, dt.datetime]]]


def _patients_times(needs: Collection[Need]) -> Visits:
    """All visits of the patients. The old time of one that is moved is not for another: it may be left open."""
    times: Visits = defaultdict(list)
    if not needs:
        return times
    first = min(need.booking.starts_at for need in needs) - ACCEPTABLE
    until = max(need.booking.starts_at for need in needs) + ACCEPTABLE + dt.timedelta(days=1)
    visits = Booking.objects.live().filter(
        patient__in={need.booking.patient_id for need in needs}, starts_at__gte=first, starts_at__lt=until
    )
    for patient_id, pk, starts_at, ends_at in visits.values_list("patient", "pk", "starts_at", "ends_at"):
        times[patient_id].append((pk, starts_at, ends_at))
    return times


Used = dict[tuple[int, str], list[tuple[int, dt.datetime, dt.datetime]]]


def _equipment(needs: Collection[Need]) -> tuple[dict[tuple[int, str], int], Used]:
    """Units by clinic and kind, and when each is used."""
    used: Used = defaultdict(list)
    kinds = {kind for need in needs for kind in need.booking.service.equipment_kinds}
    if not kinds:
        return {}, used
    units = {(e.clinic_id, e.kind): e.units for e in Equipment.objects.filter(kind__in=kinds)}
    first = min(need.booking.starts_at for need in needs) - ACCEPTABLE
    reserved = EquipmentReservation.objects.filter(equipment__kind__in=kinds, ends_at__gt=first)
    rows = reserved.values_list("equipment__clinic", "equipment__kind", "unit", "starts_at", "ends_at")
    for clinic_id, kind, unit, starts_at, ends_at in rows:
        used[clinic_id, kind].append((unit, starts_at, ends_at))
    return units, used


def alternatives(needs: Collection[Need], booking_id: int, *, limit: int) -> Iterator[Candidate]:
    """What else the booking could get, best first, leaving the others where they are."""
    table = Table(needs)
    mine = next(need for need in needs if need.booking.pk == booking_id)
    for need in needs:
        if need is not mine and need.chosen:
            candidate, need.chosen = need.chosen, None
            table._sit(need, candidate)
    found = (c for c in mine.candidates if table._fits(mine, c) and not table._others(c))
    for _number, candidate in zip(range(limit), found, strict=False):
        yield candidate
