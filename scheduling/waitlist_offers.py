"""Offers of freed times to the waitlist: made, answered, taken back. See docs/locking.md for the order of locks.

An offer is a hold. Who gets it is decided under the locks of the slots, then the entry's, then the patient's: two
workers may find the same entry for two times, or two entries for one, and one of them then goes on to the next.
"""

import datetime as dt
from collections.abc import Iterator

from django.db import transaction

from clinic_booking.models import User
from patients.models import Patient
from scheduling import holds, queue
from scheduling.errors import (
    BookingError,
    HoldExpired,
    HoldGone,
    NoTimeToOffer,
    NotOffered,
    NotWaiting,
    OfferAccepted,
    OfferDeclined,
    OfferOver,
    OfferWithdrawn,
    PatientBusy,
    SlotGone,
    SlotTaken,
)
from scheduling.locks import database_now
from scheduling.models import Hold, Slot, WaitlistEntry, WaitlistOffer
from scheduling.models.places import MAX_OFFER_HOURS
from scheduling.queue import MIN_OFFER_MINUTES, Chance, Freed
from scheduling.waitlist import end_holds_of, end_offers, is_wanted, lock_entry, set_status, tell

DAY_FROM, DAY_UNTIL = dt.time(8), dt.time(21)

ENDED: dict[str, type[BookingError]] = {
    WaitlistOffer.Outcome.ACCEPTED: OfferAccepted,
    WaitlistOffer.Outcome.DECLINED: OfferDeclined,
    WaitlistOffer.Outcome.LAPSED: OfferOver,
    WaitlistOffer.Outcome.WITHDRAWN: OfferWithdrawn,
}


# -- Making ------------------------------------------------------------------------------------


def offer_freed(freed: Freed) -> list[WaitlistOffer]:
    """Offer the free times that touch the stretch, each to the one entry that comes first for it. Safe to repeat."""
    made: list[WaitlistOffer] = []
    gone: set[int] = set()
    refused: set[Chance] = set()
    skip: int | None = 0
    while skip is not None:
        found = queue.look(freed, skip)
        chances = [each for each in found.chances if each.slot_id not in gone and each not in refused]
        # Once more where somebody got an offer: others now come into view.
        skip = skip if chances else found.next_skip
        made += _offer_each(chances, gone, refused)
    return made


def _offer_each(chances: list[Chance], gone: set[int], refused: set[Chance]) -> Iterator[WaitlistOffer]:
    """To each entry one time, each time to one entry. Notes the slots that are gone and what was refused."""
    served: set[int] = set()
    for chance in chances:
        if chance.entry_id in served or chance.slot_id in gone:
            continue
        try:
            yield offer(entry_id=chance.entry_id, slot_id=chance.slot_id)
        except (SlotTaken, SlotGone, NotOffered):
            # Somebody was faster, or it overlaps one that was offered just now.
            gone.add(chance.slot_id)
        except BookingError:
            refused.add(chance)
        else:
            gone.add(chance.slot_id)
            served.add(chance.entry_id)


def offer(*, entry_id: int, slot_id: int, by: User | None = None) -> WaitlistOffer:
    """Keep the time for the entry's patient alone, for as long as the clinic says; hours of the night do not count.

    `by`: also where the entry is paused.

    Raises what `holds.hold_offer` raises, NotWaiting, NoTimeToOffer, PatientBusy.
    """
    with transaction.atomic(durable=True):
        entry = WaitlistEntry.objects.select_related("session__request__patient").get(pk=entry_id)
        patient = entry.session.request.patient
        hold = holds.hold_offer(
            slot_id=slot_id,
            session_id=entry.session_id,
            patient=patient,
            seconds=_offer_seconds(slot_id, entry.notice_minutes),
        )
        # From here on nobody else offers anything to this entry, nor another time to this patient.
        entry = lock_entry(entry_id)
        if entry.status != WaitlistEntry.Status.WAITING or not is_wanted(entry.session):
            raise NotWaiting
        if entry.is_paused and by is None:
            raise NotWaiting
        Patient.objects.select_for_update(no_key=True).get(pk=patient.pk)
        if _has_offer_at(patient, hold):
            raise PatientBusy
        made = WaitlistOffer.objects.create(entry=entry, hold=hold)
        set_status(entry, WaitlistEntry.Status.OFFERED)
        tell("waitlist.offered", entry, offer=made.pk, by=by)
        return made


def _offer_seconds(slot_id: int, notice_minutes: int) -> int:
    slot = Slot.objects.select_related("clinic").filter(pk=slot_id).first()
    if slot is None:
        raise NoTimeToOffer
    now = database_now()
    left = (slot.starts_at - now).total_seconds() - 60 * notice_minutes
    if left < 60 * MIN_OFFER_MINUTES:
        raise NoTimeToOffer
    patience = (answer_by(now.astimezone(slot.clinic.zone), slot.clinic.offer_minutes) - now).total_seconds()
    return int(min(patience, left, 3600 * MAX_OFFER_HOURS))


def answer_by(now: dt.datetime, minutes: int) -> dt.datetime:
    """When so many minutes have passed in which people are awake (`DAY_FROM` to `DAY_UNTIL`, in the zone of `now`)."""
    left = dt.timedelta(minutes=minutes)
    while True:
        wakes, sleeps = (dt.datetime.combine(now, time, now.tzinfo) for time in (DAY_FROM, DAY_UNTIL))
        now = max(now, wakes)
        if now + left <= sleeps:
            return now + left
        left -= max(sleeps - now, dt.timedelta(0))
        now = wakes + dt.timedelta(1)


def _has_offer_at(patient: Patient, hold: Hold) -> bool:
    others = Hold.objects.filter(patient=patient, kind=Hold.Kind.OFFER, ended_at=None).exclude(pk=hold.pk)
    return others.filter(starts_at__lt=hold.ends_at, ends_at__gt=hold.starts_at).exists()


# -- Answering -----------------------------------------------------------------------------------


def accept(*, offer_id: int, owner: str) -> Hold:
    """The checkout hold of this browser, for 300 seconds. Asked again, the same one.

    Raises OfferOver, OfferDeclined, OfferWithdrawn, OfferAccepted for another browser, and what `take_offer` raises.
    """
    found = WaitlistOffer.objects.select_related("entry__session__request", "hold").get(pk=offer_id)
    if found.outcome == WaitlistOffer.Outcome.ACCEPTED and (own := own_checkout(found, owner)):
        return own
    if found.outcome != WaitlistOffer.Outcome.OPEN:
        raise ENDED[found.outcome]
    if not is_wanted(found.entry.session):
        raise OfferWithdrawn
    try:
        hold = holds.take_offer(hold_id=found.hold_id, owner=owner)
    except (HoldExpired, HoldGone) as error:
        # A double click: the first one has taken it.
        if own := own_checkout(found, owner):
            return own
        raise OfferOver from error
    with transaction.atomic(durable=True):
        lock_entry(found.entry_id)
        end_offers([offer_id], WaitlistOffer.Outcome.ACCEPTED)
    return hold


def own_checkout(found: WaitlistOffer, owner: str) -> Hold | None:
    """What this browser is booking after it has accepted."""
    running = Hold.objects.filter(session=found.entry.session_id, owner=owner, kind=Hold.Kind.CHECKOUT)
    hold = running.filter(ended_at=None).first()
    return hold if hold and hold.is_live(database_now()) else None


def decline(*, offer_id: int, by: User | None) -> WaitlistOffer:
    """The time goes on to the next, the entry waits on.

    Raises OfferOver, OfferDeclined, OfferAccepted, OfferWithdrawn.
    """
    return _give_back(offer_id, WaitlistOffer.Outcome.DECLINED, by)


def withdraw(*, offer_id: int, by: User) -> WaitlistOffer:
    """The clinic takes the offer back; the entry waits on. Raises as `decline` does."""
    return _give_back(offer_id, WaitlistOffer.Outcome.WITHDRAWN, by)


def _give_back(offer_id: int, outcome: WaitlistOffer.Outcome, by: User | None) -> WaitlistOffer:
    with transaction.atomic(durable=True):
        found = WaitlistOffer.objects.get(pk=offer_id)
        ended = end_holds_of([found.hold_id])
        entry = lock_entry(found.entry_id)
        found = WaitlistOffer.objects.select_related("hold").get(pk=offer_id)
        if found.outcome != WaitlistOffer.Outcome.OPEN:
            raise ENDED[found.outcome]
        if found.hold.end_reason == Hold.EndReason.EXPIRED:
            raise OfferOver
        if not ended:
            # The checkout has taken the time over, and is about to say so.
            raise OfferAccepted
        end_offers([offer_id], outcome)
        set_status(entry, WaitlistEntry.Status.WAITING)
        tell("waitlist.offer_ended", entry, offer=offer_id, by=by)
        return found
