"""Everybody of a clinic's day by where they are: late, waiting, in treatment, done, still to come."""

import datetime as dt
import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from django.utils.functional import Promise

from scheduling import visit_acts, waiting
from scheduling.arrivals import step_of
from scheduling.models import Booking, Clinic, Practitioner, Service, Station, VisitTicket, WalkIn
from scheduling.visit_acts import Act
from scheduling.waiting import Desk, Expected

LATE_MINUTES = 10


@dataclass
class Person:
    """One visit of the day: a booking, or a walk-in who has none yet."""

    booking: Booking | None
    walk_in: WalkIn | None
    visit: VisitTicket
    service: Service
    practitioner: Practitioner | None
    station: Station | None
    step: str
    due: dt.datetime | None
    arrived_at: dt.datetime | None
    called_at: dt.datetime | None
    started_at: dt.datetime | None
    urgency: int
    urgency_text: str
    acts: list[Act] = field(default_factory=list)
    wait: int | None = None  # minutes

    @classmethod
    def of_booking(cls, booking: Booking, now: dt.datetime) -> "Person":
        request = booking.session.request
        return cls(
            booking=booking,
            walk_in=None,
            visit=booking.visit,
            service=booking.service,
            practitioner=booking.practitioner,
            station=booking.station,
            step=step_of(booking),
            due=booking.starts_at,
            arrived_at=booking.arrived_at,
            called_at=booking.called_at,
            started_at=booking.started_at,
            urgency=request.urgency,
            urgency_text=request.get_urgency_display(),
            acts=visit_acts.acts_on(booking, now),
        )

    @classmethod
    def of_walk_in(cls, walk_in: WalkIn) -> "Person":
        request = walk_in.session.request
        step = "called" if walk_in.called_at else "arrived"
        return cls(
            booking=None,
            walk_in=walk_in,
            visit=walk_in.visit,
            service=request.service,
            practitioner=walk_in.practitioner,
            station=walk_in.called_to,
            step=step,
            due=None,
            arrived_at=walk_in.arrived_at,
            called_at=walk_in.called_at,
            started_at=None,
            urgency=request.urgency,
            urgency_text=request.get_urgency_display(),
            acts=visit_acts.on_walk_in(step),
        )

    @property
    def key(self) -> str:
        return self.booking.reference if self.booking else f"w{self.walk_in.pk if self.walk_in else 0}"

    @property
    def step_text(self) -> str | Promise:
        return visit_acts.STEPS[self.step]

    @property
    def order(self) -> tuple[int, dt.datetime, str]:
        """Urgent ones first; then appointments by their time, walk-ins between them by when they came."""
        return (
            -self.urgency,
            self.due or self.arrived_at or dt.datetime.max.replace(tzinfo=dt.UTC),
            self.key,
        )


@dataclass
class DayQueue:
    clinic: Clinic
    now: dt.datetime
    people: list[Person]

    @cached_property
    def here(self) -> list[Person]:
        """Waiting or called, in the order in which they are served, with their expected waits."""
        found = sorted((p for p in self.people if p.step in ("arrived", "called")), key=lambda p: p.order)
        self._foresee(found)
        return found

    @cached_property
    def treated(self) -> list[Person]:
        return [p for p in self.people if p.step == "started"]

    @cached_property
    def late(self) -> list[Person]:
        latest = self.now - dt.timedelta(minutes=LATE_MINUTES)
        return [p for p in self._to_come if p.due and p.due < latest and p.visit.pk not in self._visits_here]

    @cached_property
    def expected(self) -> list[Person]:
        late = {p.key for p in self.late}
        return [p for p in self._to_come if p.key not in late]

    @cached_property
    def done(self) -> list[Person]:
        return [p for p in self.people if p.step in ("fulfilled", "noshow")]

    @property
    def _to_come(self) -> list[Person]:
        return [p for p in self.people if p.step == "booked"]

    @cached_property
    def _visits_here(self) -> set[int]:
        """Who is at another station is not late."""
        return {p.visit.pk for p in self.people if p.step in ("arrived", "called", "started")}

    def _foresee(self, queue: list[Person]) -> None:
        durations = waiting.measured(self.clinic)
        free_at = waiting.at_work(self.clinic, self.now)
        able = _able({p.service.pk for p in queue})
        for person in self.treated:
            if person.practitioner and person.started_at:
                took = (self.now - person.started_at).total_seconds() / 60
                left = max(waiting.SHORTEST, self._minutes(person, durations) - took)
                who = person.practitioner.pk
                free_at[who] = max(free_at.get(who, 0.0), left)
        to_come = defaultdict(list)
        for person in self.expected:
            if person.practitioner:
                who = person.practitioner.pk
                expected = Expected([who], self._minutes(person, durations), self._due_in(person))
                to_come[who].append(expected)
        served = []
        for person in queue:
            some = [person.practitioner.pk] if person.practitioner else able[person.service.pk]
            if at_work := [who for who in some if who in free_at]:
                minutes = self._minutes(person, durations, at_work)
                served.append((person, Expected(at_work, minutes, self._due_in(person))))
        waits = waiting.simulate([each for _person, each in served], Desk(free_at, to_come))
        for (person, _each), wait in zip(served, waits, strict=True):
            person.wait = round(wait)

    def _due_in(self, person: Person) -> float:
        return (person.due - self.now).total_seconds() / 60 if person.due else math.inf

    @staticmethod
    def _minutes(person: Person, durations: waiting.Durations, who: list[int] | None = None) -> float:
        those = who or ([person.practitioner.pk] if person.practitioner else [])
        return waiting.minutes_for(durations, those, person.service.pk, person.service.duration_minutes)


def _able(services: set[int]) -> dict[int, list[int]]:
    able: dict[int, list[int]] = defaultdict(list)
    pairs = Service.practitioners.through.objects.filter(service__in=services, practitioner__is_active=True)
    for service_id, practitioner_id in pairs.values_list("service_id", "practitioner_id"):
        able[service_id].append(practitioner_id)
    return able


def day_queue(clinic: Clinic, now: dt.datetime) -> DayQueue:
    """The clinic's day that it is at `now`."""
    today = clinic.local_date(now)
    first, until = clinic.day_bounds(today)
    related = "patient", "service", "practitioner", "station", "visit", "session__request", "clinic"
    bookings = (
        Booking.objects.filter(clinic=clinic, starts_at__gte=first, starts_at__lt=until)
        .exclude(status=Booking.Status.CANCELLED)
        .select_related(*related)
        .order_by("starts_at", "pk")
    )
    open_ones = WalkIn.objects.filter(visit__clinic=clinic, visit__date=today, booking=None, left_at=None)
    walk_ins = open_ones.select_related(
        "visit__patient", "practitioner", "called_to", "session__request__service"
    )
    people = [Person.of_booking(booking, now) for booking in bookings]
    return DayQueue(clinic, now, people + [Person.of_walk_in(walk_in) for walk_in in walk_ins])
