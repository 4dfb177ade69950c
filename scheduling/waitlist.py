"""The waitlist: join, leave, and exclusive offers of times that became free. See docs/locking.md for the order of locks.

An offer is a hold. Who gets it is decided under the locks of the slots, then the entry's, then the patient's: two
workers may find the same entry for two times, or two entries for one, and one of them then goes on to the next.
"""

import contextlib
import datetime as dt
import uuid
from dataclasses import dataclass, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Patient
from scheduling.demand import close_request, request_sessions
from scheduling.errors import (
    AlreadyWaiting,
    ChangedMeanwhile,
    NotWaiting,
    TooManyWaiting,
)
from scheduling.fit import Pattern
from scheduling.locks import database_now, end_holds, free_slots, lock_slots
from scheduling.models import (
    BookingRequest,
    Clinic,
    Hold,
    Practitioner,
    Service,
    SessionTicket,
    Urgency,
    WaitlistEntry,
    WaitlistOffer,
)

MAX_WAITING = 10
ATTEMPTS = 5
OPEN = (WaitlistEntry.Status.WAITING, WaitlistEntry.Status.OFFERED)
PLACED = (SessionTicket.Status.SCHEDULED, SessionTicket.Status.COMPLETED)


# -- Joining -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Where and when, always kept to; which days, hours and practitioner, kept to where `is_strict`."""

    clinics: tuple[Clinic, ...] = ()
    earliest: dt.date | None = None
    latest: dt.date | None = None
    weekdays: tuple[int, ...] = ()
    from_time: dt.time | None = None
    until_time: dt.time | None = None
    practitioner: Practitioner | None = None
    is_strict: bool = True

    def patterns(self) -> list[Pattern]:
        """What is not strict counts one by one, so each is a pattern of its own."""
        where = Pattern(
            clinics=frozenset(clinic.pk for clinic in self.clinics),
            earliest=self.earliest,
            latest=self.latest,
        )
        days = Pattern(weekdays=frozenset(self.weekdays))
        hours = Pattern(from_time=self.from_time, until_time=self.until_time)
        who = Pattern(practitioners=frozenset([self.practitioner.pk] if self.practitioner else []))
        when = replace(hours, weekdays=days.weekdays, practitioners=who.practitioners)
        hard = [where, when] if self.is_strict else [where]
        soft = [] if self.is_strict else [days, hours, who]
        return [replace(p, is_hard=True) for p in hard if p != Pattern()] + [
            p for p in soft if p != Pattern()
        ]


def join(
    *,
    patient: Patient,
    service: Service,
    wishes: Wishes,
    by: User | None,
    urgency: Urgency = Urgency.ROUTINE,
    notice_minutes: int = 120,
    note: str = "",
    limit: int | None = MAX_WAITING,
) -> WaitlistEntry:
    """A request for one session, which waits. Raises AlreadyWaiting, TooManyWaiting, Unmeetable."""
    with transaction.atomic(durable=True):
        # A second click waits here, and then finds the entry of the first.
        Patient.objects.select_for_update(no_key=True).get(pk=patient.pk)
        waiting = _open_entries(patient).select_related("session__request")
        if limit is not None and len(waiting) >= limit:
            raise TooManyWaiting
        asked = wishes.patterns()
        same_service = [e.session.request for e in waiting if e.session.request.service_id == service.pk]
        if any([Pattern.of(p) for p in each.patterns.order_by("pk")] == asked for each in same_service):
            raise AlreadyWaiting
        request = request_sessions(
            patient=patient,
            service=service,
            quantity=1,
            source=BookingRequest.Source.WAITLIST,
            patterns=asked,
            urgency=urgency,
            by=by,
        )
        return _join(request.sessions.get(), by, notice_minutes=notice_minutes, note=note)


def join_session(*, session_id: int, by: User | None, notice_minutes: int = 120) -> WaitlistEntry:
    """A session that is planned already waits. Raises AlreadyWaiting, NotWaiting where nothing is to be planned."""
    with transaction.atomic(durable=True):
        session = SessionTicket.objects.select_related("request").get(pk=session_id)
        if not is_wanted(session):
            raise NotWaiting
        try:
            with transaction.atomic():
                return _join(session, by, notice_minutes=notice_minutes)
        except IntegrityError as error:
            raise AlreadyWaiting from error


def _join(session: SessionTicket, by: User | None, **values: Any) -> WaitlistEntry:
    entry = WaitlistEntry.objects.create(session=session, **values)
    tell("waitlist.joined", entry, by=by)
    return entry


def _open_entries(patient: Patient) -> QuerySet[WaitlistEntry]:
    return WaitlistEntry.objects.filter(session__request__patient=patient, status__in=OPEN)


def is_wanted(session: SessionTicket) -> bool:
    return session.status == SessionTicket.Status.PLANNED and session.request.closed_at is None


# -- Steering, by the staff ----------------------------------------------------------------------


def steer(
    *,
    entry_id: int,
    by: User,
    move: int = 0,
    is_paused: bool | None = None,
    urgency: Urgency | None = None,
    note: str | None = None,
) -> WaitlistEntry:
    """Move it up or down among its equals, pause it, say how urgent it is, note something. Raises NotWaiting."""
    with transaction.atomic(durable=True):
        entry = lock_entry(entry_id)
        if entry.status not in OPEN:
            raise NotWaiting
        entry.boost = max(-1000, min(1000, entry.boost + move))
        entry.is_paused = entry.is_paused if is_paused is None else is_paused
        entry.note = entry.note if note is None else note
        entry.save(update_fields=["boost", "is_paused", "note"])
        if urgency is not None:
            BookingRequest.objects.filter(pk=entry.session.request_id).update(urgency=urgency)
        tell("waitlist.steered", entry, by=by)
        return entry


def leave(*, entry_id: int, by: User | None) -> WaitlistEntry:
    """Off the list; what was offered goes on to the next. A demand that existed only to wait ends too.

    Raises NotWaiting.
    """
    entry = WaitlistEntry.objects.select_related("session__request__patient").get(pk=entry_id)
    of_patient = by is None or by.pk == entry.session.request.patient.user_id
    outcome = WaitlistOffer.Outcome.DECLINED if of_patient else WaitlistOffer.Outcome.WITHDRAWN
    return _end(entry_id, WaitlistEntry.Status.LEFT, outcome, by)


# -- What time and others decide -----------------------------------------------------------------


def settle(entry_id: int) -> WaitlistEntry:
    """Bring the entry to what has become of its offer and its checkout. Safe to repeat."""
    with transaction.atomic(durable=True):
        entry = lock_entry(entry_id)
        offer = entry.offers.filter(outcome=WaitlistOffer.Outcome.OPEN).select_related("hold").first()
        if entry.status != WaitlistEntry.Status.OFFERED or (offer and offer.hold.ended_at is None):
            return entry
        in_checkout = _has_checkout(entry)
        if offer:
            # Between the two transactions of `accept` the offer's hold has ended and the checkout's runs.
            outcome = WaitlistOffer.Outcome.ACCEPTED if in_checkout else WaitlistOffer.Outcome.LAPSED
            end_offers([offer.pk], outcome)
        if not in_checkout:
            set_status(entry, WaitlistEntry.Status.WAITING)
            tell("waitlist.offer_ended", entry, offer=entry.offers.latest("pk").pk, by=None)
        return entry


def _has_checkout(entry: WaitlistEntry) -> bool:
    now = database_now()
    return any(hold.is_live(now) for hold in Hold.objects.filter(session=entry.session_id, ended_at=None))


def end_where_over(**of: Any) -> int:
    """End those whose session has a time, from an offer or otherwise, or is not wanted any more. Safe to repeat."""
    waiting = WaitlistEntry.objects.filter(status__in=OPEN, **of).select_related("session")
    over = waiting.exclude(session__status=SessionTicket.Status.PLANNED, session__request__closed_at=None)
    count = 0
    for entry in over:
        status = WaitlistEntry.Status.BOOKED if entry.session.status in PLACED else WaitlistEntry.Status.LEFT
        with contextlib.suppress(NotWaiting):
            _end(entry.pk, status, WaitlistOffer.Outcome.WITHDRAWN, None)
            count += 1
    return count


def _end(
    entry_id: int, status: WaitlistEntry.Status, outcome: WaitlistOffer.Outcome, by: User | None
) -> WaitlistEntry:
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic(durable=True):
                return _end_once(entry_id, status, outcome, by)
        except ChangedMeanwhile:
            # An offer was made or accepted between finding its slots and locking the entry.
            continue
    raise ChangedMeanwhile


def _end_once(
    entry_id: int, status: WaitlistEntry.Status, outcome: WaitlistOffer.Outcome, by: User | None
) -> WaitlistEntry:
    claims = _claims(entry_id)
    end_holds_of(claims)
    # `close_request` writes sessions, then entries: the same order.
    SessionTicket.objects.select_for_update(no_key=True).get(waitlist_entries=entry_id)
    entry = lock_entry(entry_id)
    if entry.status not in OPEN:
        raise NotWaiting
    if _claims(entry_id):
        raise ChangedMeanwhile
    ended = list(entry.offers.filter(outcome=WaitlistOffer.Outcome.OPEN))
    end_offers([each.pk for each in ended], outcome)
    set_status(entry, status)
    if status == WaitlistEntry.Status.LEFT:
        if entry.session.request.source == BookingRequest.Source.WAITLIST:
            # It was made only to wait. Sessions of contracts and other requests stay to be planned.
            close_request(request_id=entry.session.request_id, by=by)
        tell("waitlist.left", entry, by=by)
    for each in ended:
        tell("waitlist.offer_ended", entry, offer=each.pk, by=by)
    return entry


def _claims(entry_id: int) -> list[uuid.UUID]:
    """The offer's hold, or the checkout's."""
    running = Hold.objects.filter(ended_at=None, session__waitlist_entries=entry_id)
    return list(running.values_list("pk", flat=True))


def sweep() -> int:
    """Put right what an event did not tell: checkouts given up, offers without a hold, demand that ended elsewhere."""
    count = end_where_over()
    live = Hold.objects.filter(session=OuterRef("session"), ended_at=None)
    offered = WaitlistEntry.objects.filter(~Exists(live), status=WaitlistEntry.Status.OFFERED)
    for entry_id in offered.values_list("pk", flat=True):
        settle(entry_id)
        count += 1
    return count


# -- Under the locks -------------------------------------------------------------------------------

OF_HOLDS = "SELECT id FROM scheduling_slot WHERE hold_id = ANY(%(holds)s)"


def end_holds_of(ids: list[uuid.UUID]) -> set[uuid.UUID]:
    """Release those that run still, and say which they were. The first locks of the transaction: slots, then holds."""
    slots = [slot for slot in lock_slots(OF_HOLDS, {"holds": ids}) if slot.hold_id in ids]
    running = set(Hold.objects.filter(pk__in=ids, ended_at=None).values_list("pk", flat=True))
    end_holds(sorted(running), Hold.EndReason.RELEASED)
    free_slots(slots)
    return running


def lock_entry(entry_id: int) -> WaitlistEntry:
    """Call with the locks of slots and holds held. Its offers are written under this lock only."""
    locked = WaitlistEntry.objects.select_for_update(of=("self",), no_key=True)
    return locked.select_related("session__request__patient").get(pk=entry_id)


def end_offers(ids: list[int], outcome: WaitlistOffer.Outcome) -> None:
    still_open = WaitlistOffer.objects.filter(pk__in=ids, outcome=WaitlistOffer.Outcome.OPEN)
    still_open.update(outcome=outcome, ended_at=database_now())


def set_status(entry: WaitlistEntry, status: WaitlistEntry.Status) -> None:
    entry.status = status
    entry.ended_at = None if status in OPEN else database_now()
    entry.save(update_fields=["status", "ended_at"])


def tell(topic: str, entry: WaitlistEntry, *, by: User | None, offer: int | None = None) -> None:
    data = {"entry": entry.pk, "by": by.pk if by else None} | ({"offer": offer} if offer else {})
    clinic_id = Hold.objects.get(offer=offer).clinic_id if offer else None
    publish(topic, f"waitlist:{entry.pk}", data, clinic_id=clinic_id)
