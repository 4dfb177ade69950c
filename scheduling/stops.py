"""Appointments that follow each other, as pages and letters show them: with the time and the way in between."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from django.db.models import Q, QuerySet

from scheduling.models import Booking, Clinic, Hold, Practitioner, Service, Station, WalkingTime

RELATED = ("clinic__legal_entity", "practitioner", "station", "service", "patient", "hold")
Walks = Mapping[tuple[int, int], int]


class Appointment(Protocol):
    """What a hold, a booking and a proposed stop have in common."""

    @property
    def clinic(self) -> Clinic: ...
    @property
    def station(self) -> Station: ...
    @property
    def starts_at(self) -> dt.datetime: ...
    @property
    def ends_at(self) -> dt.datetime: ...


@dataclass(frozen=True)
class Proposed:
    service: Service
    practitioner: Practitioner
    clinic: Clinic
    station: Station
    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True)
class Shown:
    """One of several appointments. `wait` is in minutes, until the next of the same day; None where there is none."""

    of: Any
    wait: int | None = None
    walk: int = 0
    is_elsewhere: bool = False  # the next one is at another clinic

    @property
    def price_cents(self) -> int:
        cents: int = self.of.price_cents
        return cents


def in_order(appointments: Iterable[Appointment], walks: Walks | None = None) -> list[Shown]:
    """By time. Where the walking times are not at hand, they are read, for several."""
    stops = sorted(appointments, key=lambda stop: stop.starts_at)
    if walks is None:
        walks = walks_between([stop.station.pk for stop in stops]) if len(stops) > 1 else {}
    shown = [_shown(here, there, walks) for here, there in pairwise(stops)]
    return [*shown, *(Shown(stop) for stop in stops[-1:])]


def _shown(here: Appointment, there: Appointment, walks: Walks) -> Shown:
    if here.clinic.local_date(here.starts_at) != there.clinic.local_date(there.starts_at):
        return Shown(here)
    wait = int((there.starts_at - here.ends_at).total_seconds() // 60)
    if here.clinic.pk != there.clinic.pk:
        return Shown(here, wait, is_elsewhere=True)
    return Shown(here, wait, walk_minutes(here.station.pk, there.station.pk, here.clinic, walks))


def walk_minutes(here: int, there: int, clinic: Clinic, walks: Walks) -> int:
    """From one station of the clinic to another, either way."""
    return 0 if here == there else walks.get((min(here, there), max(here, there)), clinic.walking_minutes)


def walks_between(station_ids: Sequence[int]) -> Walks:
    known = WalkingTime.objects.filter(first__in=station_ids, second__in=station_ids)
    return {(first, second): n for first, second, n in known.values_list("first_id", "second_id", "minutes")}


def of_hold(lead: Hold) -> list[Shown]:
    """A hold and what is held together with it."""
    return in_order(held_together(lead))


def held_together(lead: Hold) -> list[Hold]:
    followers = Hold.objects.filter(lead=lead)
    related = followers.select_related("clinic__legal_entity", "service", "practitioner", "station")
    return [lead, *related.order_by("part")]


# -- The appointments of a visit -----------------------------------------------------------------


def stops_of(booking: Booking) -> list[Booking]:
    """The patient's appointments of that day at the clinic, and those of the day that were booked with it, in order.

    Of a cancelled visit what was cancelled with it, at the same moment.
    """
    related = (
        Booking.objects.filter(patient=booking.patient_id).select_related(*RELATED).order_by("starts_at")
    )
    if booking.status == Booking.Status.CANCELLED:
        related = related.filter(cancelled_at=booking.cancelled_at)
    else:
        related = related.live()
    first, until = booking.clinic.day_bounds(booking.clinic.local_date(booking.starts_at))
    same_day = related.filter(starts_at__gte=first, starts_at__lt=until)
    found = list(same_day.filter(Q(visit=booking.visit_id) | _held_with(booking)))
    return found if booking in found else [booking]


def plan_of(booking: Booking) -> QuerySet[Booking]:
    """All that was booked together with it and is still to come, whatever the day."""
    related = Booking.objects.filter(_held_with(booking), status=Booking.Status.BOOKED)
    return related.select_related(*RELATED).order_by("starts_at")


def _held_with(booking: Booking) -> Q:
    if booking.hold is None:
        return Q(pk=booking.pk)
    lead = booking.hold.lead_id or booking.hold_id
    return Q(hold=lead) | Q(hold__lead=lead)


def still_booked(stops: Sequence[Booking]) -> list[Booking]:
    return [stop for stop in stops if stop.status == Booking.Status.BOOKED]
