"""How long those who are here will wait: their order, measured durations, and a simulation of who serves whom.

`simulate` is pure. All numbers are minutes from now.
"""

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection

from scheduling.models import Clinic, Slot

MEASURED_DAYS = 90
ENOUGH = 3  # fewer visits say too little: then the planned duration counts
SHORTEST = 1.0  # a visit that overruns is taken to end in a minute


@dataclass(frozen=True)
class Expected:
    """A visit that will be served: of one practitioner, or of whoever of several is free first.

    `due` is the time of the appointment. One whose patient is not here yet goes first when its time has come, but not
    before an earlier one.
    """

    practitioners: Sequence[int]
    minutes: float
    due: float = math.inf


@dataclass
class Desk:
    """Who works now: from when each is free, and the appointments that are still to come to them, by time."""

    free_at: dict[int, float]
    to_come: dict[int, list[Expected]] = field(default_factory=dict)

    def next_free(self, practitioner: int, due: float) -> tuple[float, int]:
        """When they can take who is due then, and how many appointments go first."""
        at, first = max(0.0, self.free_at.get(practitioner, 0.0)), 0
        for appointment in self.to_come.get(practitioner, []):
            if appointment.due > min(at, due):
                break
            at, first = at + appointment.minutes, first + 1
        return at, first


def simulate(queue: Sequence[Expected], desk: Desk) -> list[float]:
    """Minutes until each of the queue is served, in its order. Never negative; of one practitioner never decreasing."""
    free_at = dict(desk.free_at)
    left = Desk(free_at, {who: sorted(them, key=lambda e: e.due) for who, them in desk.to_come.items()})
    waits = []
    for person in queue:
        at, who = min((left.next_free(who, person.due)[0], who) for who in person.practitioners)
        went_first = left.next_free(who, person.due)[1]
        if went_first:
            del left.to_come[who][:went_first]
        free_at[who] = at + max(SHORTEST, person.minutes)
        waits.append(at)
    return waits


# -- What is measured ----------------------------------------------------------------------------

# By clinic and start, which is indexed.
MEDIANS = """
SELECT practitioner_id, service_id,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at) / 60)
FROM scheduling_booking
WHERE clinic_id = %(clinic)s AND starts_at > clock_timestamp() - make_interval(days => %(days)s)
    AND starts_at < clock_timestamp() + interval '1 day' AND status = 'fulfilled'
    AND finished_at - started_at BETWEEN interval '1 minute' AND interval '8 hours'
GROUP BY 1, 2 HAVING count(*) >= %(enough)s
"""

Durations = Mapping[tuple[int, int], float]


def measured(clinic: Clinic) -> Durations:
    """The median minutes from start to end by practitioner and service, of the last 90 days."""
    asked = {"clinic": clinic.pk, "days": MEASURED_DAYS, "enough": ENOUGH}
    with connection.cursor() as cursor:
        cursor.execute(MEDIANS, asked)
        return {(who, what): float(median) for who, what, median in cursor.fetchall()}


def minutes_for(durations: Durations, who: Collection[int], service_id: int, planned: int) -> float:
    """Measured where it is; of several practitioners the mean."""
    known = [durations.get((one, service_id), float(planned)) for one in who]
    return sum(known) / len(known) if known else float(planned)


def at_work(clinic: Clinic, now: dt.datetime) -> dict[int, float]:
    """Each practitioner who works here in the rest of the day, with the minutes until their next hours begin."""
    until = clinic.day_bounds(clinic.local_date(now))[1]
    rest = Slot.objects.filter(clinic=clinic, ends_at__gt=now, starts_at__lt=until, is_blocked=False)
    begins: dict[int, float] = {}
    for who, starts_at in rest.order_by("starts_at").values_list("practitioner_id", "starts_at"):
        begins.setdefault(who, max(0.0, (starts_at - now).total_seconds() / 60))
    return begins
