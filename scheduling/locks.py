"""Locks on slots, holds and bookings, and what is done under them. Used by the verbs, inventory.py and the demo.

Order: Slot (by pk) → Equipment (by pk) → Hold → Booking → Payment (docs/locking.md). Times are the database's clock,
read after the lock.
"""

import contextlib
import datetime as dt
import secrets
import uuid
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection
from django.db.models import Model, Q

from clinic_booking.events import News, publish, publish_all
from clinic_booking.models import User
from scheduling import equipment, live
from scheduling.errors import ChangedMeanwhile, HoldGone, PatientBusy, SessionGone, WrongState
from scheduling.models import Booking, BookingRequest, Hold, Overbooking, SessionTicket, Slot

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


SLOTS_OF_GROUP = """
SELECT s.id FROM scheduling_hold h JOIN scheduling_slot s ON s.hold_id = h.id
WHERE h.id = %(hold)s OR h.lead_id = %(hold)s
"""


def lock_slots_of_holds(lead_id: uuid.UUID) -> list[Slot]:
    """The slots that the hold and those held together with it claimed. One may be lost meanwhile: compare `hold_id`."""
    return lock_slots(SLOTS_OF_GROUP, {"hold": lead_id})


def lock_slots_of_bookings(ids: Collection[int]) -> list[Slot]:
    slots = lock_slots(
        "SELECT id FROM scheduling_slot WHERE booking_id = ANY(%(bookings)s)", {"bookings": list(ids)}
    )
    return [s for s in slots if s.booking_id in ids]


def lock_holds(lead_id: uuid.UUID) -> list[Hold]:
    """The hold and those held together with it, the lead first. Call with the slots' locks held. Raises HoldGone."""
    found = Hold.objects.select_for_update(no_key=True).filter(Q(pk=lead_id) | Q(lead=lead_id))
    holds = sorted(found.order_by("pk"), key=lambda hold: hold.part)
    if not holds or holds[0].pk != lead_id or holds[0].lead_id:
        raise HoldGone
    return holds


def end_holds(ids: list[uuid.UUID], reason: Hold.EndReason) -> None:
    """The caller holds the locks of the holds' slots. Ends those that have not ended; tells of those that ran out."""
    if not ids:
        return
    holds = list(Hold.objects.select_for_update(no_key=True).filter(pk__in=ids, ended_at=None).order_by("pk"))
    equipment.free_of_holds([hold.pk for hold in holds])
    now = database_now()
    for hold in holds:
        hold.ended_at, hold.end_reason = now, reason if now < hold.expires_at else Hold.EndReason.EXPIRED
        hold.save(update_fields=["ended_at", "end_reason"])
        if hold.end_reason == Hold.EndReason.EXPIRED:
            publish("hold.expired", f"hold:{hold.pk}", {"hold": str(hold.pk)}, clinic_id=hold.clinic_id)


def end_run_out(ids: set[uuid.UUID]) -> None:
    end_holds(sorted(ids), Hold.EndReason.EXPIRED)


# A claim may outlast the hours it stands in. When it ends during leave or a closure, nobody is to take the time again.
OUTSIDE_HOURS = "Outside the hours"
FREE = """
UPDATE scheduling_slot s SET hold_id = NULL, held_until = NULL, booking_id = NULL,
    (is_blocked, block_reason) = (
        SELECT count(*) > 0, CASE WHEN count(*) > 0 THEN %s ELSE '' END FROM scheduling_scheduleexception e
        WHERE e.withdrawn_at IS NULL AND e.starts_at < s.ends_at AND e.ends_at > s.starts_at
            AND (e.kind = 'closure' OR e.kind = 'leave' OR (e.kind = 'public_holiday' AND s.exception_id IS NULL))
            AND (e.clinic_id IS NULL OR e.clinic_id = s.clinic_id)
            AND (e.practitioner_id IS NULL OR e.practitioner_id = s.practitioner_id)
            AND (e.station_id IS NULL OR e.station_id = s.station_id))
FROM scheduling_clinic c WHERE c.id = s.clinic_id AND s.id = ANY(%s)
RETURNING s.clinic_id, (s.starts_at AT TIME ZONE c.time_zone)::date, s.id, s.version,
    CASE WHEN s.is_blocked THEN 'blocked' ELSE 'available' END
"""


def free_slots(slots: Iterable[HasId]) -> None:
    """The caller holds the slots' locks."""
    if ids := [s.id for s in slots]:
        with connection.cursor() as cursor:
            cursor.execute(FREE, [OUTSIDE_HOURS, ids])
            live.announce((*row, None) for row in cursor.fetchall())


# -- Bookings ---------------------------------------------------------------------------------------

# Without 0, 1, I, O: read out on the telephone. 10 characters are 50 bits.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def new_reference() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(10))


def lock_bookings(ids: Collection[int], slots: Collection[Slot]) -> list[Booking]:
    """Lock the bookings by pk, after their slots.

    Raises ChangedMeanwhile when one was moved between finding the slots and locking them.
    """
    found = (
        Booking.objects.select_for_update(of=("self",), no_key=True)
        .select_related("clinic", "session__request", "service")
        .filter(pk__in=ids)
        .order_by("pk")
    )
    bookings = list(found)
    if len(bookings) != len(set(ids)):
        raise Booking.DoesNotExist
    own = set(Slot.objects.filter(booking__in=ids).values_list("pk", "booking_id"))
    if own != {(s.pk, s.booking_id) for s in slots if s.booking_id in ids}:
        raise ChangedMeanwhile
    return bookings


def end_overbookings(bookings: Iterable[Booking]) -> None:
    """Cancelled, or about to be moved: their places are free again. The caller holds the bookings' locks."""
    running = Overbooking.objects.filter(booking__in=list(bookings), ended_at=None).select_related("booking")
    for each in running:
        # No slot tells the calendars of a visit that has none.
        live.nudge(each.booking.clinic_id, each.date)
    if running:
        running.update(ended_at=database_now())


def require(booking: Booking, *statuses: str) -> None:
    if booking.status not in statuses:
        raise WrongState


def end_session(session: SessionTicket, policy: str) -> None:
    """What becomes of the session of a booking that will not be. Only those of an open contract are ever returned."""
    if policy == BookingRequest.Policy.RETURN and session.request.is_returnable:
        session.status = SessionTicket.Status.PLANNED
    else:
        session.status = SessionTicket.Status.FORFEITED
    session.save(update_fields=["status"])


@contextlib.contextmanager
def named_conflicts() -> Iterator[None]:
    """Says a constraint's refusal in the words of the verb."""
    try:
        yield
    except IntegrityError as error:
        if "patient_in_one_place" in str(error):
            raise PatientBusy from error
        if "session_booked_once" in str(error):
            raise SessionGone from error
        raise


def acted(by: User | None) -> dict[str, int]:
    """Who did it, for the data of an event: the effort report counts the acts of staff."""
    return {"by": by.pk} if by else {}


def tell(topic: str, booking: Booking, **more: Any) -> None:
    publish_all([news_of(topic, booking, **more)])


def news_of(topic: str, booking: Booking, **more: Any) -> News:
    data = {"booking": booking.pk, "reference": booking.reference, "version": booking.version} | more
    return News(topic, f"booking:{booking.pk}", data, booking.clinic_id)
