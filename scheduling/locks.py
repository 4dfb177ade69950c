"""Locks on slots and holds, and what is done under them. Used by holds.py, booking.py, inventory.py and the demo.

Order: Slot (by pk) → Hold → Booking → Payment (docs/locking.md). Times are the database's clock, read after the lock.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model

from clinic_booking.events import publish
from scheduling import live
from scheduling.errors import HoldGone
from scheduling.models import Hold, Slot

M = TypeVar("M", bound=Model)


class HasId(Protocol):
    @property
    def id(self) -> int: ...


def database_now() -> dt.datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        instant: dt.datetime = cursor.fetchone()[0]
        return instant


def as_stored(instance: M) -> M:
    """A row that was written by SQL, as if it had been read."""
    instance._state.adding = False
    instance._state.db = DEFAULT_DB_ALIAS
    return instance


def to_ms(instant: dt.datetime) -> int:
    return int(instant.timestamp() * 1000)


def lock_slots(ids_query: str, params: dict[str, Any]) -> list[Slot]:
    """Lock the slots whose ids the query gives, by pk. Call before any other lock of the transaction.

    A row that changed while waiting for its lock is returned as it is now: look again whether it still fits.
    """
    query = (
        f"SELECT s.* FROM scheduling_slot s WHERE s.id IN ({ids_query}) ORDER BY s.id FOR NO KEY UPDATE OF s"  # noqa: S608
    )
    return list(Slot.objects.raw(query, params))


def lock_slots_of_hold(hold_id: uuid.UUID) -> list[Slot]:
    slots = lock_slots("SELECT id FROM scheduling_slot WHERE hold_id = %(hold)s", {"hold": hold_id})
    return [s for s in slots if s.hold_id == hold_id]


def lock_slots_of_booking(booking_id: int) -> list[Slot]:
    slots = lock_slots(
        "SELECT id FROM scheduling_slot WHERE booking_id = %(booking)s", {"booking": booking_id}
    )
    return [s for s in slots if s.booking_id == booking_id]


def lock_hold(hold_id: uuid.UUID) -> Hold:
    """Call with the slots' locks held. Raises HoldGone."""
    hold = Hold.objects.select_for_update(no_key=True).filter(pk=hold_id).first()
    if hold is None:
        raise HoldGone
    return hold


def end_holds(ids: list[uuid.UUID], reason: Hold.EndReason) -> None:
    """The caller holds the locks of the holds' slots. Ends those that have not ended; tells of those that ran out."""
    if not ids:
        return
    holds = list(Hold.objects.select_for_update(no_key=True).filter(pk__in=ids, ended_at=None).order_by("pk"))
    now = database_now()
    for hold in holds:
        hold.ended_at, hold.end_reason = now, reason if now < hold.expires_at else Hold.EndReason.EXPIRED
        hold.save(update_fields=["ended_at", "end_reason"])
        if hold.end_reason == Hold.EndReason.EXPIRED:
            publish("hold.expired", f"hold:{hold.pk}", {"hold": str(hold.pk)}, clinic_id=hold.clinic_id)


def end_run_out(ids: set[uuid.UUID]) -> None:
    end_holds(sorted(ids), Hold.EndReason.EXPIRED)


FREE = """
UPDATE scheduling_slot s SET hold_id = NULL, held_until = NULL, booking_id = NULL
FROM scheduling_clinic c WHERE c.id = s.clinic_id AND s.id = ANY(%s)
RETURNING s.clinic_id, (s.starts_at AT TIME ZONE c.time_zone)::date, s.id, s.version
"""


def free_slots(slots: Iterable[HasId]) -> None:
    """The caller holds the slots' locks."""
    if ids := [s.id for s in slots]:
        with connection.cursor() as cursor:
            cursor.execute(FREE, [ids])
            live.announce((*row, "available", None) for row in cursor.fetchall())
