"""A visit dragged to another time: what the drop would do, the drop itself, and undoing it. Each act has a key.

An act's first result is found again by its key in the events, so that an act whose answer was lost may be sent again. A
move back is possible while the visit is as the act left it (its version), so it happens once.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from clinic_booking.errors import NamedError
from clinic_booking.models import Event, User
from clinic_booking.templatetags.page import local_short_date, local_time, money
from scheduling import fit, stops
from scheduling.desk_news import PATIENTS_WAIT
from scheduling.errors import BookingError, ChangedMeanwhile, SlotGone
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic, Slot
from scheduling.moves import Move, move_bookings

UNDO_SECONDS = 10  # shown; an answer may be lost on its way, so the act itself can be undone for longer
UNDO_WITHIN = dt.timedelta(seconds=60)
RELATED = ("clinic__legal_entity", "practitioner", "station", "service", "patient", "session", "hold")


class NoTimeThere(SlotGone):
    status = 422
    sentence = gettext_lazy("There are no hours at this place and time. Please choose a free time.")


class TooLateToUndo(BookingError):
    sentence = gettext_lazy("It is too late to undo this. Please move the visit back instead.")


class NothingToUndo(BookingError):
    status = 404
    sentence = gettext_lazy("There is nothing to undo.")


@dataclass(frozen=True)
class Drop:
    """`whole`: the patient's other stops of the day go along. `version` is that of the visit as it was dragged."""

    key: str
    booking: Booking
    version: int
    slot: Slot
    by: User
    whole: bool = False


@dataclass(frozen=True)
class Outlook:
    """What a drop would do. `questions` want a yes first, `notes` are said afterwards."""

    moves: list[Move]
    others: list[Booking]
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# -- Where to ------------------------------------------------------------------------------------


def slot_at(
    *, clinic: Clinic, starts_at: dt.datetime, practitioner_id: int | None, station_id: int | None
) -> Slot:
    """The slot under the pointer: of this practitioner, or at this station, or both. Raises NoTimeThere."""
    found = Slot.objects.filter(clinic=clinic, starts_at__lte=starts_at, ends_at__gt=starts_at)
    if practitioner_id:
        found = found.filter(practitioner=practitioner_id)
    if station_id:
        found = found.filter(station=station_id)
    slot = found.select_related("clinic__legal_entity", "practitioner", "station").first()
    if slot is None or not (practitioner_id or station_id):
        raise NoTimeThere
    return slot


def look_ahead(drop: Drop) -> Outlook:
    """What the drop means to the patient and the clinic; takes no locks, says nothing about what is free.

    Raises NoTimeThere where the whole visit is to go along and has no hours there.
    """
    booking, slot = drop.booking, drop.slot
    others = [o for o in stops.still_booked(stops.stops_of(booking)) if o.pk != booking.pk]
    moves = [Move(booking.pk, slot.pk, drop.version)]
    if drop.whole:
        moves += [_along(other, slot.starts_at - booking.starts_at) for other in others]
    questions = [*_about_clinic(booking, slot), *_about_plan(booking, slot)]
    if others and not drop.whole:
        questions += [_about_others(others), *_about_ways(booking, slot, others)]
    return Outlook(moves, others, questions, [*_about_price(booking), _who_is_told(booking)])


def _along(other: Booking, by: dt.timedelta) -> Move:
    """By as much earlier or later, with the same practitioner at the same station."""
    slot = Slot.objects.filter(
        practitioner=other.practitioner_id, station=other.station_id, starts_at=other.starts_at + by
    ).first()
    if slot is None:
        raise NoTimeThere
    return Move(other.pk, slot.pk, other.version)


def _about_clinic(booking: Booking, slot: Slot) -> list[str]:
    if slot.clinic_id == booking.clinic_id:
        return []
    said = [_("This is another clinic: %(clinic)s.") % {"clinic": slot.clinic}]
    if slot.clinic.legal_entity_id != booking.clinic.legal_entity_id:
        said.append(_("The bill stays that of %(entity)s.") % {"entity": booking.clinic.legal_entity.name})
    return said


def _about_plan(booking: Booking, slot: Slot) -> list[str]:
    """Rules that the patient's course asks for and the new time breaks."""
    session = booking.session
    rules = fit.read_rules([session.request_id])[session.request_id](session.pk)
    length = booking.ends_at - booking.starts_at
    here = fit.Time(booking.starts_at, booking.ends_at, booking.clinic, booking.practitioner_id)
    there = fit.Time(slot.starts_at, slot.starts_at + length, slot.clinic, slot.practitioner_id)
    broken_before = rules.hard_violations(here)
    return [str(r.sentence) for r in rules.hard_violations(there) if r not in broken_before]


def _about_others(others: Sequence[Booking]) -> str:
    listed = ", ".join(
        f"{local_time(other.starts_at, other.clinic)} {other.service.name}" for other in others
    )
    said = ngettext(
        "The patient has another appointment that day: %(listed)s.",
        "The patient has %(count)s other appointments that day: %(listed)s.",
        len(others),
    )
    return said % {"count": len(others), "listed": listed}


def _about_ways(booking: Booking, slot: Slot, others: Sequence[Booking]) -> list[str]:
    moved = stops.Proposed(
        service=booking.service,
        practitioner=slot.practitioner,
        clinic=slot.clinic,
        station=slot.station,
        starts_at=slot.starts_at,
        ends_at=slot.starts_at + (booking.ends_at - booking.starts_at),
    )
    tight = [here for here, _there in pairwise(stops.in_order([*others, moved])) if _is_tight(here)]
    return [
        _("There is too little time to walk between two of the appointments (%(walk)s min).")
        % {"walk": stop.walk}
        for stop in tight[:1]
    ]


def _is_tight(stop: stops.Shown) -> bool:
    return stop.wait is not None and 0 <= stop.wait < stop.walk


def _about_price(booking: Booking) -> list[str]:
    if booking.price_cents in (0, booking.service.price_cents):
        return []
    said = _("The agreed price of %(price)s stays; this service costs %(now)s now.")
    return [said % {"price": money(booking.price_cents), "now": money(booking.service.price_cents)}]


def _who_is_told(booking: Booking) -> str:
    if not booking.patient.email:
        return _("The patient has no e-mail address: please call %(phone)s.") % {
            "phone": booking.patient.phone
        }
    minutes = int(PATIENTS_WAIT.total_seconds() // 60)
    return _("The patient is told by e-mail in %(minutes)s minutes.") % {"minutes": minutes}


# -- The acts ------------------------------------------------------------------------------------


def try_out(drop: Drop) -> Outlook:
    """The dry run: the move is made, with all its checks, and taken back. Raises what `commit` raises."""
    outlook = look_ahead(drop)
    with transaction.atomic(durable=True):
        move_bookings(moves=outlook.moves, by=drop.by, act=drop.key)
        transaction.set_rollback(True)
    return outlook


def commit(drop: Drop) -> list[Booking]:
    """Make the move, or find what it made when it was sent before. Raises what `move_bookings` raises, NoTimeThere."""
    outlook = look_ahead(drop)
    return _once(drop.key, drop.booking, outlook.moves, drop.by)


def undo(*, booking: Booking, key: str, by: User) -> list[Booking]:
    """Move back what the act moved: by who made it, soon after, and once. Raises NothingToUndo, TooLateToUndo,
    ChangedMeanwhile and, where somebody has taken the old time, what `move_bookings` raises.
    """
    undone = f"undo {key}"
    if done := made_before(undone, booking):
        return done
    events = _events(key, booking)
    if not events or any(event.data.get("by") != by.pk for event in events):
        raise NothingToUndo
    if database_now() > events[0].created_at + UNDO_WITHIN:
        raise TooLateToUndo
    return _once(undone, booking, [_back(event) for event in events], by, back=True)


def _once(
    key: str, booking: Booking, moves: Sequence[Move], by: User, *, back: bool = False
) -> list[Booking]:
    """A second try meets the versions that the first one left behind, and returns what that one made."""
    if done := made_before(key, booking):
        return done
    try:
        with transaction.atomic(durable=True):
            return move_bookings(moves=moves, by=by, act=key, back=back)
    except BookingError:
        if done := made_before(key, booking):
            return done
        raise


def _back(event: Event) -> Move:
    said = event.data
    slot = Slot.objects.filter(
        practitioner=said["from_practitioner"],
        station=said["from_station"],
        starts_at=dt.datetime.fromisoformat(said["from"]),
    ).first()
    if slot is None:
        raise NoTimeThere
    return Move(said["booking"], slot.pk, said["version"])


def _events(key: str, booking: Booking) -> list[Event]:
    """Those of all visits that the act moved."""
    moved = Event.objects.filter(topic="appointment.moved", data__act=key).order_by("pk")
    first = moved.filter(subject=f"booking:{booking.pk}").first()
    if first is None:
        return []
    return list(moved.filter(subject__in=[f"booking:{pk}" for pk in first.data["moved"]]))


def made_before(key: str, booking: Booking) -> list[Booking]:
    """What the act has moved when it was sent before, as it is now; empty for a new one."""
    ids = [event.data["booking"] for event in _events(key, booking)]
    found = Booking.objects.select_related(*RELATED).in_bulk(ids)
    return [found[pk] for pk in ids]


# -- In words ------------------------------------------------------------------------------------


def state(booking: Booking) -> dict[str, Any]:
    """Of a booking as it is now, with times of the clinic's wall."""
    start, end = (at.astimezone(booking.clinic.zone) for at in (booking.starts_at, booking.ends_at))
    return {
        "ref": booking.reference,
        "version": booking.version,
        "status": booking.status,
        "clinic": booking.clinic.slug,
        "practitioner": booking.practitioner_id,
        "station": booking.station_id,
        "start": f"{start:%Y-%m-%dT%H:%M}",
        "end": f"{end:%Y-%m-%dT%H:%M}",
    }


def place_of(booking: Booking) -> str:
    """ "Mon 5 Oct, 10:40, Dr Lim" """
    day, time = (
        local_short_date(booking.starts_at, booking.clinic),
        local_time(booking.starts_at, booking.clinic),
    )
    return f"{day}, {time}, {booking.practitioner}"


def told_loser(refusal: NamedError, booking: Booking) -> str:
    """Who was faster and where the visit is now."""
    if not isinstance(refusal, ChangedMeanwhile):
        return str(OF_DESK.get(type(refusal).__name__, refusal.sentence))
    last = Event.objects.filter(subject=f"booking:{booking.pk}", data__has_key="by").order_by("-pk").first()
    who = User.objects.filter(pk=last.data["by"]).first() if last else None
    said = {"who": who.get_full_name() or who.username if who else _("Someone"), "where": place_of(booking)}
    if booking.status == Booking.Status.CANCELLED:
        return _("%(who)s cancelled this visit just now.") % said
    return _("%(who)s changed this visit just now. It is: %(where)s.") % said


# The sentences of the verbs speak to patients.
OF_DESK = {
    "PatientBusy": gettext_lazy("The patient already has a visit at this time."),
    "SlotTaken": gettext_lazy("This time is taken. Please choose another one."),
    "SlotPast": gettext_lazy("This time is already over. Please choose a later one."),
    "SlotBlocked": gettext_lazy("This time is blocked. Please choose another one, or open it first."),
    "NotOffered": gettext_lazy(
        "This service cannot be given there: other people, another room, or too little time."
    ),
    "EquipmentTaken": gettext_lazy("The equipment for this visit is in use at this time."),
    "WrongState": gettext_lazy("Only visits that are booked and have not begun can be moved."),
}
