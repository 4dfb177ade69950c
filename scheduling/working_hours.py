"""When a service could be delivered as far as plans go: the times of the week, with the days on which they exist.

Looks at who works where and when (templates, exceptions, extra hours), not at what is still free.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from django.db.models import Q

from scheduling.availability import SlotSpec
from scheduling.inventory import planned_on
from scheduling.models import Clinic, Service, Slot

HORIZON_DAYS = 112  # plans repeat every few weeks: sixteen show all of them


class Hour(NamedTuple):
    """A time of the week at which a visit could be. Times are those of the clinic."""

    clinic_id: int
    practitioner_id: int
    weekday: int
    start: dt.time
    end: dt.time


class Span(NamedTuple):
    first: dt.date
    last: dt.date | None

    def __contains__(self, day: object) -> bool:
        return isinstance(day, dt.date) and self.first <= day and (self.last is None or day <= self.last)


Supply = dict[Hour, set[dt.date]]


def possible_hours(*, service: Service, span: Span, clinics: Sequence[Clinic]) -> Supply:
    """Every time of the week at which somebody could deliver the service, with the days on which it exists."""
    people = dict(service.practitioners.filter(is_active=True).values_list("pk", "name"))
    days = (span.last - span.first).days + 1 if span.last else HORIZON_DAYS
    length = dt.timedelta(minutes=service.duration_minutes)
    supply: Supply = defaultdict(set)
    for clinic in clinics:
        rooms = set(clinic.stations.filter(kind=service.station_kind).values_list("pk", flat=True))
        plans = planned_on(clinic=clinic, practitioners=people, first=span.first, days=days)
        planned = [spec for spec in plans if spec.station_id in rooms]
        planned += _by_hand(clinic, people, rooms, span.first, days)
        for starts_at, practitioner_id in _starts(planned, service.occupied):
            start = starts_at.astimezone(clinic.zone)
            end = (starts_at + length).astimezone(clinic.zone)
            if end.date() == start.date():
                hour = Hour(clinic.pk, practitioner_id, start.isoweekday(), start.time(), end.time())
                supply[hour].add(start.date())
    return supply


def _by_hand(
    clinic: Clinic, people: Collection[int], rooms: Collection[int], first: dt.date, days: int
) -> Iterator[SlotSpec]:
    """Slots that no plan made are hours too."""
    from_, until = clinic.day_bounds(first, days)
    found = Slot.objects.filter(
        Q(template=None, exception=None),
        clinic=clinic,
        practitioner__in=people,
        station__in=rooms,
        starts_at__gte=from_,
        starts_at__lt=until,
        is_blocked=False,
    )
    for starts_at, ends_at, practitioner_id, station_id in found.values_list(
        "starts_at", "ends_at", "practitioner", "station"
    ):
        yield SlotSpec(clinic.pk, practitioner_id, station_id, None, None, starts_at, ends_at)


def _starts(specs: Collection[SlotSpec], occupied: dt.timedelta) -> Iterator[tuple[dt.datetime, int]]:
    """The starts after which one slot follows the other for long enough."""
    ordered = sorted(specs, key=lambda s: (*_row(s), s.starts_at))
    for (practitioner_id, _station), group in groupby(ordered, _row):
        run_ends, later = None, None
        for slot in reversed(list(group)):
            if later is None or slot.ends_at != later:
                run_ends = slot.ends_at
            later = slot.starts_at
            if run_ends and slot.starts_at + occupied <= run_ends:
                yield slot.starts_at, practitioner_id


def _row(spec: SlotSpec) -> tuple[int, int]:
    return spec.practitioner_id, spec.station_id
