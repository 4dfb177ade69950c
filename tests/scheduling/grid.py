"""Random supply for the searches, and the plainest possible answer to "what is free here?"."""

import dataclasses
import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st

from scheduling.models import Clinic, Practitioner, Service, Slot, Station
from tests import factories

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = dt.timedelta(minutes=1)

lengths = st.sampled_from([10, 20, 20, 20, 30])
gaps = st.sampled_from([0, 0, 0, 0, 0, 10, 30])
states = st.sampled_from(["free", "free", "free", "free", "held", "lapsed", "booked", "blocked"])
rows = st.lists(st.tuples(gaps, lengths, states), min_size=1, max_size=9)
grids = st.lists(st.tuples(st.integers(-24, 12), rows), min_size=1, max_size=4)  # start in tenths of an hour


@dataclasses.dataclass
class Supply:
    """Four practitioners with a station each, two at a clinic in Singapore and two in Berlin."""

    clinics: list[Clinic]
    places: list[tuple[Practitioner, Station]]
    booking_id: int

    @classmethod
    def make(cls) -> "Supply":
        clinics = [
            factories.ClinicFactory(),
            factories.ClinicFactory(time_zone="Europe/Berlin", country="DE"),
        ]
        places = [
            (factories.PractitionerFactory(), factories.StationFactory(clinic=clinic))
            for clinic in clinics
            for _ in range(2)
        ]
        return cls(clinics, places, factories.BookingFactory().pk)

    @contextmanager
    def filled(
        self, grid: list[tuple[int, list[tuple[int, int, str]]]], around: dt.datetime
    ) -> Iterator[None]:
        """With these slots, until the block ends. Claims name no real hold: those keys are checked at commit only."""
        savepoint = transaction.savepoint()
        slots = []
        for (practitioner, station), (offset, row) in zip(self.places, grid, strict=False):
            starts_at = around + offset * 10 * MINUTE
            for gap, length, state in row:
                starts_at += gap * MINUTE
                ends_at = starts_at + length * MINUTE
                slots.append(self.slot(practitioner, station, starts_at, ends_at, state))
                starts_at = ends_at
        Slot.objects.bulk_create(slots)
        try:
            yield
        finally:
            transaction.savepoint_rollback(savepoint)

    def slot(
        self,
        practitioner: Practitioner,
        station: Station,
        starts_at: dt.datetime,
        ends_at: dt.datetime,
        state: str,
    ) -> Slot:
        slot = Slot(
            clinic_id=station.clinic_id,
            practitioner=practitioner,
            station=station,
            starts_at=starts_at,
            ends_at=ends_at,
            is_blocked=state == "blocked",
        )
        if state in ("held", "lapsed"):
            minutes = 4 if state == "held" else -1
            slot.hold_id, slot.held_until = uuid.uuid4(), timezone.now() + minutes * MINUTE
        elif state == "booked":
            slot.booking_id = self.booking_id
        return slot


@dataclasses.dataclass(frozen=True)
class Start:
    slot: Slot
    status: str
    held_until: dt.datetime | None
    covers: list[int]


def starts(service: Service, clinic: Clinic) -> list[Start]:
    """Every start of the service at the clinic that lies ahead, by practitioner and time."""
    now = timezone.now()
    offered = set(service.practitioners.values_list("pk", flat=True))
    found = []
    slots = list(Slot.objects.filter(clinic=clinic).select_related("practitioner", "station"))
    for first in sorted(slots, key=lambda s: (s.practitioner.name, s.starts_at)):
        suits = first.practitioner_id in offered and first.station.kind == service.station_kind
        same = {s.starts_at: s for s in slots if s.station_id == first.station_id}
        covered, end = [], first.starts_at
        while end < first.starts_at + service.occupied and end in same:
            covered.append(same[end])
            end = same[end].ends_at
        if suits and first.starts_at > now and end >= first.starts_at + service.occupied:
            found.append(_start(covered, now))
    return found


def _start(covered: list[Slot], now: dt.datetime) -> Start:
    held = [s.held_until for s in covered if s.held_until and s.held_until > now]
    status = "held" if held else "available"
    if any(s.booking_id or s.is_blocked for s in covered):
        status = "booked"
    return Start(covered[0], status, max(held) if status == "held" else None, [slot.pk for slot in covered])


def clock_changes() -> dict[str, dt.date]:
    """The next days of 23 and of 25 hours in Berlin."""
    found, day = {}, timezone.now().astimezone(BERLIN).date()
    while len(found) < 2:
        day += dt.timedelta(days=1)
        midnights = (
            dt.datetime.combine(day + dt.timedelta(n), dt.time(), BERLIN).astimezone(dt.UTC) for n in (0, 1)
        )
        first, second = midnights
        if (hours := (second - first) // dt.timedelta(hours=1)) != 24:
            found[f"{hours} hours"] = day
    return found


def state(slot: Slot) -> str:
    return "held" if slot.held_until and slot.held_until > timezone.now() else slot.status
