"""Holds: a claim on slots for 300 seconds, by the database's clock. See locks.py for the order of locks.

The slot rows carry the claim, so whoever has their locks decides. The hot verb is one statement where nothing stands in
its way, else one that locks and one that writes.
"""

import contextlib
import datetime as dt
import uuid
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction

from clinic_booking.errors import Busy
from patients.models import Patient
from scheduling import live, search
from scheduling.errors import (
    HoldExpired,
    HoldGone,
    NoMoreRenewals,
    NotOffered,
    SlotBlocked,
    SlotGone,
    SlotPast,
    SlotTaken,
)
from scheduling.locks import (
    as_stored,
    database_now,
    end_holds,
    end_run_out,
    free_slots,
    lock_hold,
    lock_slots,
    lock_slots_of_hold,
    to_ms,
)
from scheduling.models import Hold, Slot
from scheduling.models.bookings import HOLD_SECONDS, MAX_RENEWALS

# Of one owner's simultaneous choices one wins each round. A person makes two or three.
ATTEMPTS = 5


class Supply(NamedTuple):
    """A locked slot, with what the service asks of it."""

    id: int
    clinic_id: int
    practitioner_id: int
    station_id: int
    starts_at: dt.datetime
    ends_at: dt.datetime
    booking_id: int | None
    is_blocked: bool
    hold_id: uuid.UUID | None
    day: dt.date
    is_wanted: bool
    is_offered: bool
    duration: dt.timedelta
    occupied: dt.timedelta
    price_cents: int
    prior: list[uuid.UUID]


COLUMNS = ", ".join(f"new.{field.column}" for field in Hold._meta.concrete_fields)

WANTED = """
WITH service AS MATERIALIZED (
    SELECT id, station_kind, price_cents, make_interval(mins => duration_minutes) AS duration,
           make_interval(mins => duration_minutes + buffer_minutes) AS occupied
    FROM scheduling_service WHERE id = %(service)s AND (is_online OR %(any_service)s)
), wanted AS MATERIALIZED (
    SELECT w.id FROM scheduling_slot f, service v, scheduling_slot w
    WHERE f.id = %(slot)s AND w.practitioner_id = f.practitioner_id AND w.station_id = f.station_id
      AND w.starts_at >= f.starts_at AND w.starts_at < f.starts_at + v.occupied
)"""

# The wanted slots and those of the owner's earlier hold are locked together, so that all are locked in pk order.
# `clock_timestamp()` must not be read here: a select list may be computed before the wait for the lock.
LOCK_FOR_HOLD = f"""{WANTED}, prior AS MATERIALIZED (
    SELECT id FROM scheduling_hold WHERE ended_at IS NULL AND owner = %(owner)s
    UNION SELECT id FROM scheduling_hold WHERE ended_at IS NULL AND patient_id = %(patient)s
), ids AS MATERIALIZED (
    TABLE wanted UNION SELECT id FROM scheduling_slot WHERE hold_id IN (TABLE prior)
)
SELECT s.id, s.clinic_id, s.practitioner_id, s.station_id, s.starts_at, s.ends_at, s.booking_id, s.is_blocked,
       s.hold_id, (s.starts_at AT TIME ZONE c.time_zone)::date, s.id IN (TABLE wanted),
       c.is_active AND t.kind = v.station_kind AND EXISTS (
           SELECT FROM scheduling_service_practitioners o
           WHERE o.service_id = v.id AND o.practitioner_id = s.practitioner_id),
       v.duration, v.occupied, v.price_cents, ARRAY(TABLE prior)
FROM ids JOIN scheduling_slot s USING (id) JOIN scheduling_clinic c ON c.id = s.clinic_id
     JOIN scheduling_station t ON t.id = s.station_id, service v
ORDER BY s.id FOR NO KEY UPDATE OF s
"""  # noqa: S608  (constants)

# The common case in one round trip, its own transaction: no earlier hold, all slots free and unheld. What the rows were
# when their locks came decides, so all is read from `locked`. Where it claims nothing, `_hold` finds out why.
HOLD_AT_ONCE = f"""{WANTED}, locked AS MATERIALIZED (
    SELECT s.* FROM wanted JOIN scheduling_slot s USING (id) ORDER BY s.id FOR NO KEY UPDATE OF s
), fit AS MATERIALIZED (
    SELECT array_agg(locked.id) AS ids, min(clinic_id) AS clinic_id, min(practitioner_id) AS practitioner_id,
           min(station_id) AS station_id, min(starts_at) AS starts_at, clock_timestamp() AS now
    FROM locked, service v
    HAVING bool_and(booking_id IS NULL AND hold_id IS NULL AND NOT is_blocked) AND bool_or(locked.id = %(slot)s)
       AND sum(ends_at - starts_at) = max(ends_at) - min(starts_at)
       AND max(ends_at) >= min(starts_at) + min(v.occupied)
), new AS (
    INSERT INTO scheduling_hold (id, owner, patient_id, service_id, clinic_id, practitioner_id, station_id,
        starts_at, ends_at, occupied_until, price_cents, note, locked_at, expires_at)
    SELECT %(hold)s, %(owner)s::varchar, %(patient)s::bigint, v.id, fit.clinic_id, fit.practitioner_id,
        fit.station_id, fit.starts_at, fit.starts_at + v.duration, fit.starts_at + v.occupied, v.price_cents, '', now,
        now + interval '{HOLD_SECONDS} seconds'
    FROM fit, service v, scheduling_clinic c, scheduling_station t
    WHERE fit.starts_at > now AND c.id = fit.clinic_id AND c.is_active AND t.id = fit.station_id
      AND t.kind = v.station_kind
      AND EXISTS (SELECT FROM scheduling_service_practitioners o
                  WHERE o.service_id = v.id AND o.practitioner_id = fit.practitioner_id)
      AND NOT EXISTS (SELECT FROM scheduling_hold WHERE ended_at IS NULL AND owner = %(owner)s::varchar)
      AND NOT EXISTS (SELECT FROM scheduling_hold WHERE ended_at IS NULL AND patient_id = %(patient)s::bigint)
    RETURNING *
), claimed AS (
    UPDATE scheduling_slot s SET hold_id = new.id, held_until = new.expires_at FROM new, fit
    WHERE s.id = ANY(fit.ids) RETURNING s.id, s.version
)
SELECT {COLUMNS},
       (SELECT (new.starts_at AT TIME ZONE time_zone)::date FROM scheduling_clinic c WHERE c.id = new.clinic_id),
       ARRAY(SELECT id FROM claimed), ARRAY(SELECT version FROM claimed)
FROM new
"""  # noqa: S608  (a constant)

# Looks at the slots again under their locks and claims all of them or none.
CLAIM_FOR_HOLD = f"""
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
new AS (
    INSERT INTO scheduling_hold (id, owner, patient_id, service_id, clinic_id, practitioner_id, station_id,
        starts_at, ends_at, occupied_until, price_cents, note, locked_at, expires_at)
    SELECT %(hold)s, %(owner)s, %(patient)s, %(service)s, %(clinic)s, %(practitioner)s, %(station)s,
        %(starts_at)s, %(ends_at)s, %(occupied_until)s, %(price_cents)s, '', now, now + interval '{HOLD_SECONDS} seconds'
    FROM clock
    WHERE %(starts_at)s > now AND %(count)s = (
        SELECT count(*) FROM scheduling_slot WHERE id = ANY(%(slots)s) AND booking_id IS NULL AND NOT is_blocked
            AND (held_until IS NULL OR held_until <= now OR hold_id = ANY(%(prior)s)))
    RETURNING id, created_at, locked_at, expires_at
), claimed AS (
    UPDATE scheduling_slot s SET hold_id = new.id, held_until = new.expires_at FROM new WHERE s.id = ANY(%(slots)s)
    RETURNING s.id, s.version
)
SELECT new.created_at, new.locked_at, new.expires_at, ARRAY(SELECT id FROM claimed), ARRAY(SELECT version FROM claimed)
FROM new
"""  # noqa: S608  (a constant)


def hold_slots(
    *, slot_id: int, service_id: int, owner: str, patient: Patient | None = None, any_service: bool = False
) -> Hold:
    """Claim the slot and as many after it as the service takes, for 300 seconds. An earlier hold of the owner ends.

    The same choice again returns the same hold, not extended. `any_service` allows services that are not online.

    Raises SlotGone, NotOffered, SlotPast, SlotBlocked, SlotTaken; Busy for an owner who asks many times at once.
    """
    # Two requests of one owner at the same moment: what the second does is decided below.
    with contextlib.suppress(IntegrityError):
        if hold := _hold_at_once(slot_id, service_id, owner, patient, any_service):
            return hold
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(durable=True):
                return _hold(slot_id, service_id, owner, patient, any_service)
        except IntegrityError as error:
            # Two requests of one owner at the same moment: the second now sees the hold of the first.
            if "one_hold_for_each" not in str(error):
                raise
        except SlotTaken as refusal:
            # After the rollback: nobody waits for the locks while this looks around.
            refusal.nearby = _free_near(slot_id, service_id)
            raise
    raise Busy


def _hold_at_once(
    slot_id: int, service_id: int, owner: str, patient: Patient | None, any_service: bool
) -> Hold | None:
    asked: dict[str, Any] = {
        "slot": slot_id,
        "service": service_id,
        "owner": owner,
        "any_service": any_service,
    }
    asked |= {"patient": patient.pk if patient else None, "hold": uuid.uuid4()}
    with connection.cursor() as cursor:
        cursor.execute(HOLD_AT_ONCE, asked)
        row = cursor.fetchone()
    if row is None:
        return None
    *values, day, ids, versions = row
    hold = as_stored(Hold(*values))
    hold.patient = patient
    live.announce(
        (hold.clinic_id, day, i, v, "held", to_ms(hold.expires_at))
        for i, v in zip(ids, versions, strict=True)
    )
    return hold


def _free_near(slot_id: int, service_id: int) -> list[search.FreeTime]:
    clinic_id, starts_at = Slot.objects.values_list("clinic_id", "starts_at").get(pk=slot_id)
    return search.nearest_free(service_id=service_id, clinic_ids=[clinic_id], around=starts_at, limit=6)


def _hold(slot_id: int, service_id: int, owner: str, patient: Patient | None, any_service: bool) -> Hold:
    asked: dict[str, Any] = {"slot": slot_id, "service": service_id, "owner": owner}
    asked |= {"patient": patient.pk if patient else None, "any_service": any_service}
    with connection.cursor() as cursor:
        cursor.execute(LOCK_FOR_HOLD, asked)
        locked = [Supply._make(row) for row in cursor.fetchall()]
    wanted = sorted((s for s in locked if s.is_wanted), key=lambda s: s.starts_at)
    _check_supply(wanted, slot_id)
    first, prior = wanted[0], locked[0].prior
    if prior and (same := _same_hold(prior, first, service_id, owner)):
        return same
    end_holds(prior, Hold.EndReason.RELEASED)
    # Only what is still theirs: while this waited for its lock, a slot may have been booked or taken over.
    free_slots([s for s in locked if s.hold_id in prior and not s.is_wanted])
    claim = asked | {
        "hold": uuid.uuid4(),
        "clinic": first.clinic_id,
        "practitioner": first.practitioner_id,
        "station": first.station_id,
        "starts_at": first.starts_at,
        "ends_at": first.starts_at + first.duration,
        "occupied_until": first.starts_at + first.occupied,
        "price_cents": first.price_cents,
        "slots": [s.id for s in wanted],
        "count": len(wanted),
        "prior": prior,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_FOR_HOLD, claim)
        row = cursor.fetchone()
    if row is None:
        return _own_hold_or_refusal(wanted, service_id, owner)
    created_at, locked_at, expires_at, ids, versions = row
    end_run_out({s.hold_id for s in wanted if s.hold_id} - set(prior))
    live.announce(
        (first.clinic_id, first.day, i, v, "held", to_ms(expires_at))
        for i, v in zip(ids, versions, strict=True)
    )
    hold = Hold(
        id=claim["hold"],
        owner=owner,
        patient=patient,
        service_id=service_id,
        clinic_id=first.clinic_id,
        practitioner_id=first.practitioner_id,
        station_id=first.station_id,
        starts_at=first.starts_at,
        ends_at=claim["ends_at"],
        occupied_until=claim["occupied_until"],
        price_cents=first.price_cents,
        created_at=created_at,
        locked_at=locked_at,
        expires_at=expires_at,
    )
    return as_stored(hold)


def _check_supply(wanted: list[Supply], slot_id: int) -> None:
    """The wanted slots begin with the chosen one, have no gap, cover the whole service and are offered for it."""
    # The chosen one alone may have been deleted while this waited for its lock.
    if not wanted or wanted[0].id != slot_id:
        raise SlotGone if not Slot.objects.filter(pk=slot_id).exists() else NotOffered
    end = wanted[0].starts_at
    for slot in wanted:
        if slot.starts_at != end:
            raise NotOffered
        end = slot.ends_at
    if not wanted[0].is_offered or end < wanted[0].starts_at + wanted[0].occupied:
        raise NotOffered


def _same_hold(prior: list[uuid.UUID], first: Supply, service_id: int, owner: str) -> Hold | None:
    """Not the patient's hold of another browser: this one could not open its checkout."""
    same = Hold.objects.filter(
        pk__in=prior, owner=owner, service_id=service_id, slots=first.id, starts_at=first.starts_at
    ).first()
    return same if same and same.is_live(database_now()) else None


def _own_hold_or_refusal(wanted: list[Supply], service_id: int, owner: str) -> Hold:
    """A double click waits for the lock of its own first click, which it must not be told is someone else's."""
    first, now = wanted[0], database_now()
    own = Hold.objects.filter(
        slots=first.id, owner=owner, service_id=service_id, starts_at=first.starts_at
    ).first()
    # A slot may still name a hold of theirs that ran out and lost another slot.
    if own and own.is_live(now):
        return own
    if any(s.is_blocked for s in wanted):
        raise SlotBlocked
    raise SlotPast if first.starts_at <= now else SlotTaken


def renew_hold(*, hold_id: uuid.UUID, owner: str) -> Hold:
    """Another 300 seconds from now, at most MAX_RENEWALS times (WCAG 2.2.1: more time on request).

    Raises HoldGone, HoldExpired, NoMoreRenewals.
    """
    with transaction.atomic(durable=True):
        slots = lock_slots_of_hold(hold_id)
        hold = lock_hold(hold_id)
        if hold.owner != owner:
            raise HoldGone
        if not slots or not hold.is_live(now := database_now()):
            raise HoldExpired
        if hold.renewals >= MAX_RENEWALS:
            raise NoMoreRenewals
        hold.renewals += 1
        hold.locked_at, hold.expires_at = now, now + dt.timedelta(seconds=HOLD_SECONDS)
        hold.save(update_fields=["renewals", "locked_at", "expires_at"])
        Slot.objects.filter(pk__in=[s.pk for s in slots]).update(held_until=hold.expires_at)
        day = hold.clinic.local_date(hold.starts_at)
        live.announce((s.clinic_id, day, s.pk, s.version + 1, "held", to_ms(hold.expires_at)) for s in slots)
        return hold


def release_hold(*, hold_id: uuid.UUID, owner: str) -> None:
    """Give the time back. Safe to repeat. Raises HoldGone for an unknown or foreign hold."""
    with transaction.atomic(durable=True):
        slots = lock_slots_of_hold(hold_id)
        if lock_hold(hold_id).owner != owner:
            raise HoldGone
        end_holds([hold_id], Hold.EndReason.RELEASED)
        free_slots(slots)


LEFT_BEHIND = """
SELECT l.id FROM scheduling_slot l JOIN scheduling_hold h ON h.id = l.hold_id
WHERE h.ended_at IS NOT NULL AND l.held_until <= clock_timestamp() LIMIT 500
"""


def expire_holds(*, limit: int = 500) -> int:
    """End run-out holds: tells calendars and payments. Nothing else waits for it. Returns how many it ended."""
    due = "SELECT id FROM scheduling_hold WHERE ended_at IS NULL AND expires_at <= clock_timestamp() ORDER BY expires_at"
    with connection.cursor() as cursor:
        cursor.execute(f"{due} LIMIT %s", [limit])
        ids = [row[0] for row in cursor.fetchall()]
    for hold_id in ids:
        with transaction.atomic(durable=True):
            slots = lock_slots_of_hold(hold_id)
            # Renewed or confirmed meanwhile: the lock shows it, and end_holds passes over ended ones.
            hold = lock_hold(hold_id)
            if hold.ended_at is None and not hold.is_live(database_now()):
                end_run_out({hold_id})
                free_slots(slots)
    with transaction.atomic(durable=True):
        # Left behind where another checkout took only some slots of a run-out hold.
        now = database_now()
        free_slots(s for s in lock_slots(LEFT_BEHIND, {}) if s.held_until and s.held_until <= now)
    return len(ids)
