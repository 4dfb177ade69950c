"""Times that are asked for together: their slots locked in one statement, and looked at under the locks."""

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from patients.models import Patient
from scheduling.equipment import Want
from scheduling.errors import BookingError, NotOffered, PartsOverlap, SessionGone, SlotGone
from scheduling.models import Service, SessionTicket, Slot

E = TypeVar("E", bound=BookingError)

MAX_PARTS = 24


class Part(NamedTuple):
    """A time that is asked for, together with others or alone. With a session it is held for that session."""

    slot_id: int
    service_id: int
    session_id: int | None = None


class Supply(NamedTuple):
    """A locked slot, with the numbers of the parts that want it and of those whose service is offered there."""

    id: int
    clinic_id: int
    practitioner_id: int
    station_id: int
    starts_at: dt.datetime
    ends_at: dt.datetime
    booking_id: int | None
    is_blocked: bool
    held_until: dt.datetime | None
    hold_id: uuid.UUID | None
    day: dt.date
    wanted_by: list[int]
    offered_for: list[int]


class Chosen(NamedTuple):
    """A part with its service, its session's terms and, under their locks, its slots."""

    number: int
    part: Part
    service: Service
    price_cents: int
    slots: list[Supply]

    @property
    def starts_at(self) -> dt.datetime:
        return self.slots[0].starts_at

    @property
    def ends_at(self) -> dt.datetime:
        return self.starts_at + dt.timedelta(minutes=self.service.duration_minutes)

    @property
    def occupied_until(self) -> dt.datetime:
        return self.starts_at + self.service.occupied

    @property
    def want(self) -> Want:
        return Want.of(self.service, self.slots[0].clinic_id, self.starts_at, self.occupied_until)


# All slots that the parts want, locked with those of the owner's earlier holds in one statement, so that all are locked
# in pk order. `clock_timestamp()` must not be read here: a select list may be computed before the wait for the lock.
LOCK_PARTS = """
WITH part AS MATERIALIZED (
    SELECT p.number - 1 AS number, p.slot_id, v.id AS service_id, v.station_kind,
           make_interval(mins => v.duration_minutes + v.buffer_minutes) AS occupied
    FROM unnest(%(slots)s::bigint[], %(services)s::bigint[]) WITH ORDINALITY AS p(slot_id, service_id, number)
    JOIN scheduling_service v ON v.id = p.service_id
), wanted AS MATERIALIZED (
    SELECT p.number, w.id FROM part p JOIN scheduling_slot f ON f.id = p.slot_id
    JOIN scheduling_slot w ON w.practitioner_id = f.practitioner_id AND w.station_id = f.station_id
        AND w.starts_at >= f.starts_at AND w.starts_at < f.starts_at + p.occupied
), ids AS MATERIALIZED (
    SELECT id FROM wanted UNION SELECT id FROM scheduling_slot WHERE hold_id = ANY(%(prior)s::uuid[])
)
SELECT s.id, s.clinic_id, s.practitioner_id, s.station_id, s.starts_at, s.ends_at, s.booking_id, s.is_blocked,
       s.held_until, s.hold_id, (s.starts_at AT TIME ZONE c.time_zone)::date,
       ARRAY(SELECT number FROM wanted w WHERE w.id = s.id),
       ARRAY(SELECT p.number FROM part p JOIN scheduling_service_practitioners o ON o.service_id = p.service_id
             WHERE o.practitioner_id = s.practitioner_id AND p.station_kind = t.kind AND c.is_active)
FROM ids JOIN scheduling_slot s USING (id) JOIN scheduling_clinic c ON c.id = s.clinic_id
     JOIN scheduling_station t ON t.id = s.station_id
ORDER BY s.id FOR NO KEY UPDATE OF s
"""


def lock_parts(parts: Sequence[Part], prior: Sequence[uuid.UUID] = ()) -> list[Supply]:
    """Lock all slots that the parts want, and those of the prior holds, by pk. The first locks of the transaction."""
    asked: dict[str, list[Any]] = {
        "slots": [part.slot_id for part in parts],
        "services": [part.service_id for part in parts],
        "prior": list(prior),
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_PARTS, asked)
        return [Supply._make(row) for row in cursor.fetchall()]


def choose(
    parts: Sequence[Part], locked: list[Supply], patient: Patient | None, *, any_service: bool
) -> list[Chosen]:
    """Each part with its slots, looked at under their locks: they begin with the chosen one, join and reach far enough.

    Raises SlotGone, NotOffered, SessionGone, PartsOverlap.
    """
    services = Service.objects.in_bulk({part.service_id for part in parts})
    agreed = _sessions(parts, patient)
    chosen = []
    for number, part in enumerate(parts):
        service = services.get(part.service_id)
        slots = sorted((s for s in locked if number in s.wanted_by), key=lambda s: s.starts_at)
        with naming(number):
            if service is None or not (any_service or service.is_online or part.session_id):
                raise NotOffered
            check_chain(slots, part.slot_id, number, service.occupied)
        price = agreed.get(part.session_id, service.price_cents)
        chosen.append(Chosen(number, part, service, price, slots))
    in_time = sorted(chosen, key=lambda each: each.starts_at)
    for one, other in pairwise(in_time):
        if other.starts_at < one.ends_at:
            raise at(other.number, PartsOverlap())
    return chosen


def _sessions(parts: Sequence[Part], patient: Patient | None) -> dict[int | None, int]:
    """What each costs, in cents. Raises SessionGone unless all are planned, the patient's, and for the service."""
    wanted = [part.session_id for part in parts if part.session_id is not None]
    if not wanted:
        return {}
    found = SessionTicket.objects.select_related("request__service").in_bulk(wanted)
    if len(set(wanted)) != len(wanted):
        raise SessionGone
    for number, part in enumerate(parts):
        if part.session_id is None:
            continue
        session = found.get(part.session_id)
        if (
            session is None
            or session.status != SessionTicket.Status.PLANNED
            or session.request.closed_at
            or patient is None
            or (session.request.patient_id, session.request.service_id) != (patient.pk, part.service_id)
        ):
            raise at(number, SessionGone())
    return {pk: session.request.session_price_cents for pk, session in found.items()}


def check_chain(slots: list[Supply], slot_id: int, number: int, occupied: dt.timedelta) -> None:
    """The wanted slots begin with the chosen one, have no gap, cover the whole service and are offered for it."""
    # The chosen one alone may have been deleted while this waited for its lock.
    if not slots or slots[0].id != slot_id:
        raise SlotGone if not Slot.objects.filter(pk=slot_id).exists() else NotOffered
    end = slots[0].starts_at
    for slot in slots:
        if slot.starts_at != end:
            raise NotOffered
        end = slot.ends_at
    if number not in slots[0].offered_for or end < slots[0].starts_at + occupied:
        raise NotOffered


def at(number: int, error: E) -> E:
    error.part = number
    return error


@contextlib.contextmanager
def naming(number: int) -> Iterator[None]:
    """Says which part an error is about."""
    try:
        yield
    except BookingError as error:
        error.part = number
        raise
