"""Holds: a claim on slots for 300 seconds, by the database's clock. See locks.py for the order of locks.

The slot rows carry the claim, so whoever has their locks decides. The hot verb is one statement where nothing stands in
its way, else one that locks and one that writes.
"""

import contextlib
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from clinic_booking.errors import Busy
from patients.models import Patient
from scheduling import live, search
from scheduling.equipment import lock_equipment, reserve
from scheduling.errors import (
    HeldTooMany,
    HoldExpired,
    HoldGone,
    NoMoreRenewals,
    SlotBlocked,
    SlotPast,
    SlotTaken,
    TooMany,
)
from scheduling.locks import (
    as_stored,
    database_now,
    end_holds,
    end_run_out,
    free_slots,
    lock_holds,
    lock_slots,
    lock_slots_of_holds,
    to_ms,
)
from scheduling.models import Hold, SessionTicket, Slot
from scheduling.models.bookings import HOLD_SECONDS, MAX_RENEWALS
from scheduling.parts import MAX_PARTS, Chosen, Part, at, choose, lock_parts, naming

# Of one owner's simultaneous choices one wins each round. A person makes two or three.
ATTEMPTS = 5
TERMS = ("price_cents", "due_cents", "free_cancel_hours", "late_cancel_fee_cents", "no_show_fee_cents")


COLUMNS = ", ".join(f"new.{field.column}" for field in Hold._meta.concrete_fields)

WANTED = """
WITH service AS MATERIALIZED (
    SELECT id, station_kind, equipment_kinds, price_cents, make_interval(mins => duration_minutes) AS duration,
           make_interval(mins => duration_minutes + buffer_minutes) AS occupied
    FROM scheduling_service WHERE id = %(service)s AND (is_online OR %(any_service)s)
), wanted AS MATERIALIZED (
    SELECT w.id FROM scheduling_slot f, service v, scheduling_slot w
    WHERE f.id = %(slot)s AND w.practitioner_id = f.practitioner_id AND w.station_id = f.station_id
      AND w.starts_at >= f.starts_at AND w.starts_at < f.starts_at + v.occupied
)"""

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
        starts_at, ends_at, occupied_until, price_cents, note, locked_at, expires_at, address_key)
    SELECT %(hold)s, %(owner)s::varchar, %(patient)s::bigint, v.id, fit.clinic_id, fit.practitioner_id,
        fit.station_id, fit.starts_at, fit.starts_at + v.duration, fit.starts_at + v.occupied, v.price_cents, '', now,
        now + interval '{HOLD_SECONDS} seconds', %(house)s::varchar
    FROM fit, service v, scheduling_clinic c, scheduling_station t
    WHERE fit.starts_at > now AND v.equipment_kinds = '{{}}' AND c.id = fit.clinic_id AND c.is_active
      AND t.id = fit.station_id AND t.kind = v.station_kind
      AND EXISTS (SELECT FROM scheduling_service_practitioners o
                  WHERE o.service_id = v.id AND o.practitioner_id = fit.practitioner_id)
      AND NOT EXISTS (SELECT FROM scheduling_hold WHERE ended_at IS NULL AND owner = %(owner)s::varchar)
      AND NOT EXISTS (SELECT FROM scheduling_hold
                      WHERE ended_at IS NULL AND patient_id = %(patient)s::bigint AND kind = 'checkout')
      AND may_hold(%(house)s::varchar, 1, fit.clinic_id, fit.starts_at, %(most)s::integer, %(share)s::integer)
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
WITH clock AS MATERIALIZED (SELECT coalesce(%(now)s::timestamptz, clock_timestamp()) AS now),
new AS (
    INSERT INTO scheduling_hold (id, kind, owner, lead_id, part, session_id, patient_id, service_id, clinic_id,
        practitioner_id, station_id, starts_at, ends_at, occupied_until, price_cents, note, locked_at, expires_at,
        due_cents, free_cancel_hours, late_cancel_fee_cents, no_show_fee_cents, address_key)
    SELECT %(hold)s, %(kind)s, %(owner)s, %(lead)s::uuid, %(part)s, %(session)s, %(patient)s, %(service)s, %(clinic)s,
        %(practitioner)s, %(station)s, %(starts_at)s, %(ends_at)s, %(occupied_until)s, %(price_cents)s, '', now,
        now + make_interval(secs => %(seconds)s), %(due_cents)s::integer, %(free_cancel_hours)s::smallint,
        %(late_cancel_fee_cents)s::integer, %(no_show_fee_cents)s::integer, %(house)s
    FROM clock
    WHERE %(starts_at)s > now AND %(count)s = (
        SELECT count(*) FROM scheduling_slot WHERE id = ANY(%(slots)s) AND booking_id IS NULL AND NOT is_blocked
            AND (held_until IS NULL OR held_until <= now OR hold_id = ANY(%(prior)s::uuid[])))
    RETURNING *
), claimed AS (
    UPDATE scheduling_slot s SET hold_id = new.id, held_until = new.expires_at FROM new WHERE s.id = ANY(%(slots)s)
    RETURNING s.id, s.version
)
SELECT {COLUMNS}, ARRAY(SELECT id FROM claimed), ARRAY(SELECT version FROM claimed) FROM new
"""  # noqa: S608  (a constant)


def hold_slots(
    *,
    slot_id: int,
    service_id: int,
    owner: str,
    patient: Patient | None = None,
    any_service: bool = False,
    session_id: int | None = None,
    house: str = "",
) -> Hold:
    """Claim the slot and as many after it as the service takes, for 300 seconds. An earlier hold of the owner ends.

    The same choice again returns the same hold, not extended. `any_service` allows services that are not online.
    With `session_id` the hold is for that planned session of the patient. `house` is the key of the address of somebody
    unknown (`addresses.household_key`), of whom only so many may be held.

    Raises SlotGone, NotOffered, SlotPast, SlotBlocked, SlotTaken, SessionGone, HeldTooMany; Busy for an owner who asks
    many times at once.
    """
    if session_id is None:
        # Two requests of one owner at the same moment: what the second does is decided below.
        with contextlib.suppress(IntegrityError):
            if hold := _hold_at_once(slot_id, service_id, owner, patient, any_service, house):
                return hold
    parts = [Part(slot_id, service_id, session_id)]
    return hold_together(parts=parts, owner=owner, patient=patient, any_service=any_service, house=house)[0]


def hold_together(
    *,
    parts: Sequence[Part],
    owner: str,
    patient: Patient | None = None,
    any_service: bool = False,
    house: str = "",
) -> list[Hold]:
    """Claim the times of all parts for 300 seconds, with the equipment they need, or none. The lead comes first.

    Raises what `hold_slots` raises, with `part` as the number of the part that could not be held; PartsOverlap, TooMany.
    """
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(durable=True):
                return _hold(parts, owner, patient, any_service=any_service, house=house)
        except IntegrityError as error:
            # Two requests of one owner at the same moment: the second now sees the hold of the first.
            if "one_hold_for_each" not in str(error):
                raise
        except SlotTaken as refusal:
            # After the rollback: nobody waits for the locks while this looks around.
            lost = parts[refusal.part or 0]
            refusal.nearby = _free_near(lost.slot_id, lost.service_id)
            raise
    raise Busy


def hold_offer(*, slot_id: int, session_id: int, patient: Patient, seconds: int) -> Hold:
    """Keep the time for the patient's planned session for so many seconds, as an offer. Joins the caller's transaction.

    Takes its first locks: the slots. After an error the caller must roll back. Raises what `hold_slots` raises.
    """
    service_id = SessionTicket.objects.values_list("request__service_id", flat=True).get(pk=session_id)
    part = Part(slot_id, service_id, session_id)
    owner, kind = f"offer:{uuid.uuid4().hex}", Hold.Kind.OFFER
    return _hold([part], owner, patient, any_service=True, kind=kind, seconds=seconds)[0]


def take_offer(*, hold_id: uuid.UUID, owner: str) -> Hold:
    """Turn a live offer into a checkout hold of 300 seconds for this browser, on the same slots.

    Raises HoldGone for what is no offer, HoldExpired for one that is over, SessionGone, SlotTaken.
    """
    offer = Hold.objects.filter(pk=hold_id, kind=Hold.Kind.OFFER).select_related("patient").first()
    if offer is None:
        raise HoldGone
    slot = Slot.objects.filter(hold=offer).order_by("starts_at").first()
    if slot is None:
        raise HoldExpired
    with transaction.atomic(durable=True):
        part = Part(slot.pk, offer.service_id, offer.session_id)
        return _hold([part], owner, offer.patient, any_service=True, instead_of=offer)[0]


def _hold_at_once(
    slot_id: int, service_id: int, owner: str, patient: Patient | None, any_service: bool, house: str
) -> Hold | None:
    asked: dict[str, Any] = {
        "slot": slot_id,
        "service": service_id,
        "owner": owner,
        "any_service": any_service,
    }
    asked |= {"patient": patient.pk if patient else None, "hold": uuid.uuid4(), "house": house}
    asked |= {"most": settings.HOLDS_PER_ADDRESS, "share": settings.UNKNOWN_SHARE_PERCENT}
    with connection.cursor() as cursor:
        cursor.execute(HOLD_AT_ONCE, asked)
        row = cursor.fetchone()
    if row is None:
        return None
    *values, day, ids, versions = row
    return _announced(values, patient, day, ids, versions)


def _announced(
    values: Any, patient: Patient | None, day: dt.date, ids: list[int], versions: list[int]
) -> Hold:
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


def _hold(
    parts: Sequence[Part],
    owner: str,
    patient: Patient | None,
    *,
    any_service: bool,
    kind: Hold.Kind = Hold.Kind.CHECKOUT,
    seconds: int = HOLD_SECONDS,
    instead_of: Hold | None = None,
    house: str = "",
) -> list[Hold]:
    if len(parts) > MAX_PARTS:
        raise TooMany
    prior = _prior(owner, patient, kind) + ([instead_of.pk] if instead_of else [])
    locked = lock_parts(parts, prior)
    chosen = choose(parts, locked, patient, any_service=any_service)
    equipment = lock_equipment((c.slots[0].clinic_id, c.want.kinds) for c in chosen)
    if instead_of and not lock_holds(instead_of.pk)[0].is_live(database_now()):
        raise HoldExpired
    if prior and not instead_of and (same := _same_holds(prior, chosen, owner)):
        return same
    end_holds(prior, Hold.EndReason.RELEASED)
    # Only what is still theirs: while this waited for its lock, a slot may have been booked or taken over.
    free_slots([s for s in locked if s.hold_id in prior and not s.wanted_by])
    if house and not _may_hold(house, chosen):
        raise HeldTooMany
    claim: dict[str, Any] = {
        "kind": kind,
        "house": house,
        "owner": owner,
        "patient": patient,
        "seconds": seconds,
        "prior": prior,
    }
    # An offer that is taken keeps its terms, unless it was paid meanwhile; all else has those of now, by the trigger.
    kept = instead_of if chosen[0].price_cents else None
    claim |= {name: getattr(kept, name, None) for name in TERMS}
    holds: list[Hold] = []
    for each in chosen:
        hold = _claim(each, holds[0] if holds else None, **claim)
        if hold is None:
            if len(chosen) == 1 and (own := _own_hold(each, owner)):
                return [own]
            raise at(each.number, _refusal(each))
        holds.append(hold)
    run_out = {s.hold_id for each in chosen for s in each.slots if s.hold_id} - set(prior)
    end_run_out(run_out)
    for each, hold in zip(chosen, holds, strict=True):
        with naming(each.number):
            reserve(each.want, locked=equipment, hold_id=hold.pk)
    return holds


def _may_hold(house: str, chosen: list[Chosen]) -> bool:
    """After the slots' locks, as where it is one statement: those of one address take turns from here on."""
    first = chosen[0]
    asked: list[Any] = [house, len(chosen), first.slots[0].clinic_id, first.starts_at]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT may_hold(%s, %s, %s, %s, %s, %s)",
            [*asked, settings.HOLDS_PER_ADDRESS, settings.UNKNOWN_SHARE_PERCENT],
        )
        return bool(cursor.fetchone()[0])


def _prior(owner: str, patient: Patient | None, kind: Hold.Kind) -> list[uuid.UUID]:
    """An offer leaves the patient's checkout alone, and a checkout the patient's offers."""
    if kind == Hold.Kind.OFFER:
        return []
    mine = Q(owner=owner) | Q(patient=patient, kind=Hold.Kind.CHECKOUT) if patient else Q(owner=owner)
    return list(Hold.objects.filter(mine, ended_at=None).values_list("pk", flat=True))


def _claim(each: Chosen, lead: Hold | None, **claim: Any) -> Hold | None:
    first, patient = each.slots[0], claim.pop("patient")
    values = claim | {
        "hold": uuid.uuid4(),
        "now": lead.locked_at if lead else None,
        "lead": lead.pk if lead else None,
        "part": each.number,
        "session": each.part.session_id,
        "patient": patient.pk if patient else None,
        "service": each.service.pk,
        "clinic": first.clinic_id,
        "practitioner": first.practitioner_id,
        "station": first.station_id,
        "starts_at": each.starts_at,
        "ends_at": each.ends_at,
        "occupied_until": each.occupied_until,
        "price_cents": claim["price_cents"] if claim["price_cents"] is not None else each.price_cents,
        "slots": [s.id for s in each.slots],
        "count": len(each.slots),
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_FOR_HOLD, values)
        row = cursor.fetchone()
    if row is None:
        return None
    *columns, ids, versions = row
    return _announced(columns, patient, first.day, ids, versions)


def _same_holds(prior: list[uuid.UUID], chosen: list[Chosen], owner: str) -> list[Hold] | None:
    """Not the patient's hold of another browser: this one could not open its checkout."""
    held = {
        (hold.starts_at, hold.practitioner_id, hold.service_id, hold.session_id): hold
        for hold in Hold.objects.filter(pk__in=prior, owner=owner, slots__isnull=False).distinct()
    }
    asked = [(c.starts_at, c.slots[0].practitioner_id, c.service.pk, c.part.session_id) for c in chosen]
    if set(asked) != held.keys():
        return None
    now = database_now()
    same = sorted(held.values(), key=lambda hold: hold.part)
    return same if all(hold.is_live(now) for hold in same) else None


def _own_hold(each: Chosen, owner: str) -> Hold | None:
    """A double click waits for the lock of its own first click, which it must not be told is someone else's."""
    own = Hold.objects.filter(
        slots=each.slots[0].id, owner=owner, service=each.service, starts_at=each.starts_at
    ).first()
    # A slot may still name a hold of theirs that ran out and lost another slot.
    return own if own and own.is_live(database_now()) else None


def _refusal(each: Chosen) -> SlotTaken:
    if any(s.is_blocked for s in each.slots):
        return SlotBlocked()
    return SlotPast() if each.starts_at <= database_now() else SlotTaken()


def renew_hold(*, hold_id: uuid.UUID, owner: str) -> Hold:
    """Another 300 seconds from now, at most MAX_RENEWALS times (WCAG 2.2.1: more time on request).

    Raises HoldGone, HoldExpired, NoMoreRenewals.
    """
    with transaction.atomic(durable=True):
        slots = lock_slots_of_holds(hold_id)
        holds = lock_holds(hold_id)
        if holds[0].owner != owner or holds[0].kind != Hold.Kind.CHECKOUT:
            raise HoldGone
        now = database_now()
        own = {hold.pk: [s for s in slots if s.hold_id == hold.pk] for hold in holds}
        if not all(own[hold.pk] and hold.is_live(now) for hold in holds):
            raise HoldExpired
        if holds[0].renewals >= MAX_RENEWALS:
            raise NoMoreRenewals
        for hold in holds:
            _renew(hold, own[hold.pk], now)
        return holds[0]


def _renew(hold: Hold, slots: list[Slot], now: dt.datetime) -> None:
    hold.renewals += 1
    hold.locked_at, hold.expires_at = now, now + dt.timedelta(seconds=HOLD_SECONDS)
    hold.save(update_fields=["renewals", "locked_at", "expires_at"])
    Slot.objects.filter(pk__in=[s.pk for s in slots]).update(held_until=hold.expires_at)
    hold.reservations.update(held_until=hold.expires_at)
    day = hold.clinic.local_date(hold.starts_at)
    live.announce((s.clinic_id, day, s.pk, s.version + 1, "held", to_ms(hold.expires_at)) for s in slots)


def release_hold(*, hold_id: uuid.UUID, owner: str) -> None:
    """Give the time back. Safe to repeat. Raises HoldGone for an unknown or foreign hold."""
    with transaction.atomic(durable=True):
        slots = lock_slots_of_holds(hold_id)
        holds = lock_holds(hold_id)
        if holds[0].owner != owner:
            raise HoldGone
        _end(holds, slots, Hold.EndReason.RELEASED)


def _end(holds: list[Hold], slots: list[Slot], reason: Hold.EndReason) -> None:
    ids = [hold.pk for hold in holds]
    end_holds(ids, reason)
    free_slots(s for s in slots if s.hold_id in ids)


LEFT_BEHIND = """
SELECT l.id FROM scheduling_slot l JOIN scheduling_hold h ON h.id = l.hold_id
WHERE h.ended_at IS NOT NULL AND l.held_until <= clock_timestamp() LIMIT 500
"""


def expire_holds(*, limit: int = 500) -> int:
    """End run-out holds: tells calendars and payments. Nothing else waits for it. Returns how many it ended."""
    due = """
        SELECT coalesce(lead_id, id) FROM scheduling_hold WHERE ended_at IS NULL AND expires_at <= clock_timestamp()
        GROUP BY 1 ORDER BY min(expires_at)"""
    with connection.cursor() as cursor:
        cursor.execute(f"{due} LIMIT %s", [limit])
        ids = [row[0] for row in cursor.fetchall()]
    for hold_id in ids:
        with transaction.atomic(durable=True):
            slots = lock_slots_of_holds(hold_id)
            # Renewed or confirmed meanwhile: the lock shows it, and end_holds passes over ended ones.
            holds, now = lock_holds(hold_id), database_now()
            if over := [hold for hold in holds if hold.ended_at is None and not hold.is_live(now)]:
                _end(over, slots, Hold.EndReason.EXPIRED)
    with transaction.atomic(durable=True):
        # Left behind where another checkout took only some slots of a run-out hold.
        now = database_now()
        free_slots(s for s in lock_slots(LEFT_BEHIND, {}) if s.held_until and s.held_until <= now)
    return len(ids)
