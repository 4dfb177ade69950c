"""Units of equipment: reserved with a hold or a booking, under the lock of their `Equipment` row.

Locked after the slots and before the holds (docs/locking.md). A reservation goes with its claim: freeing needs no lock.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable
from typing import NamedTuple

from django.db import connection
from django.db.models import Q

from scheduling.errors import EquipmentTaken
from scheduling.models import Equipment, EquipmentReservation, Hold, Service


class Want(NamedTuple):
    """What a service needs at a clinic from its start until the end of its buffer."""

    clinic_id: int
    kinds: tuple[str, ...]
    starts_at: dt.datetime
    ends_at: dt.datetime

    @classmethod
    def of(cls, service: Service, clinic_id: int, starts_at: dt.datetime, ends_at: dt.datetime) -> "Want":
        return cls(clinic_id, tuple(sorted(set(service.equipment_kinds))), starts_at, ends_at)


Locked = dict[tuple[int, str], int]  # clinic and kind: id


def lock_equipment(wants: Iterable[tuple[int, Collection[str]]]) -> Locked:
    """Lock what the (clinic, kinds) ask for, by pk. Call with the slots' locks held, before any hold's."""
    named = {(clinic_id, kind) for clinic_id, kinds in wants for kind in kinds}
    if not named:
        return {}
    asked = Q()
    for clinic_id, kind in sorted(named):
        asked |= Q(clinic_id=clinic_id, kind=kind)
    rows = Equipment.objects.select_for_update(no_key=True).filter(asked).order_by("pk")
    return {(row.clinic_id, row.kind): row.pk for row in rows}


# Reservations of run-out holds count for nothing; no constraint can see the clock, so they are removed first.
FORGET_RUN_OUT = """
DELETE FROM scheduling_equipmentreservation
WHERE equipment_id = %(equipment)s AND held_until <= clock_timestamp()
    AND starts_at < %(ends_at)s AND ends_at > %(starts_at)s
"""

RESERVE = """
INSERT INTO scheduling_equipmentreservation (equipment_id, unit, starts_at, ends_at, hold_id, held_until, booking_id)
SELECT e.id, u.unit, %(starts_at)s, %(ends_at)s, %(hold)s::uuid, h.expires_at, %(booking)s::bigint
FROM scheduling_equipment e LEFT JOIN scheduling_hold h ON h.id = %(hold)s::uuid
CROSS JOIN LATERAL (
    SELECT n AS unit FROM generate_series(1, e.units) n
    WHERE NOT EXISTS (
        SELECT FROM scheduling_equipmentreservation r WHERE r.equipment_id = e.id AND r.unit = n
            AND r.starts_at < %(ends_at)s AND r.ends_at > %(starts_at)s)
    ORDER BY n LIMIT 1) u
WHERE e.id = %(equipment)s
"""


def reserve(
    want: Want, *, locked: Locked, hold_id: uuid.UUID | None = None, booking_id: int | None = None
) -> None:
    """One unit of each kind for the hold or the booking. The caller holds the locks (`lock_equipment`).

    Raises EquipmentTaken; then the caller must roll back.
    """
    claim = {"hold": hold_id, "booking": booking_id, "starts_at": want.starts_at, "ends_at": want.ends_at}
    for kind in want.kinds:
        if (pk := locked.get((want.clinic_id, kind))) is None:
            raise EquipmentTaken
        with connection.cursor() as cursor:
            cursor.execute(FORGET_RUN_OUT, claim | {"equipment": pk})
            cursor.execute(RESERVE, claim | {"equipment": pk})
            if not cursor.rowcount:
                raise EquipmentTaken


def reserve_again(hold: Hold, locked: Locked) -> None:
    """What a hold that is won back reserved may be gone. The caller holds the locks. Raises EquipmentTaken."""
    if not hold.service.equipment_kinds:
        return
    free_of_holds([hold.pk])
    want = Want.of(hold.service, hold.clinic_id, hold.starts_at, hold.occupied_until)
    reserve(want, locked=locked, hold_id=hold.pk)


def free_of_bookings(ids: Collection[int]) -> None:
    """The caller holds the bookings' locks."""
    EquipmentReservation.objects.filter(booking__in=ids).delete()


def free_of_holds(ids: Collection[uuid.UUID]) -> None:
    """The caller holds the locks of the holds' slots."""
    EquipmentReservation.objects.filter(hold__in=ids).delete()
