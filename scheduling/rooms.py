"""Visits that keep their time and practitioner in another room, because the hours went there."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import F, QuerySet

from scheduling.availability import SlotSpec
from scheduling.locks import lock_slots_of_bookings
from scheduling.models import Booking, Slot, Station


def change_rooms(claimed: QuerySet[Slot], wanted: Iterable[SlotSpec]) -> list[int]:
    """Take those of the claimed slots along whose time is planned at another station of the same kind.

    Joins the caller's transaction; locks these slots, where the caller has not. Returns the ids of the bookings. The
    patient's time is the same, so it is no move: nobody is written to.
    """
    planned = {(s.practitioner_id, s.clinic_id, s.starts_at, s.ends_at): s.station_id for s in wanted}
    rooms: dict[int, list[tuple[Slot, int | None]]] = defaultdict(list)
    for slot in claimed.select_related("station"):
        if slot.booking_id:
            key = (slot.practitioner_id, slot.clinic_id, slot.starts_at, slot.ends_at)
            rooms[slot.booking_id].append((slot, planned.get(key)))
    leaving = {pk: pairs for pk, pairs in rooms.items() if any(s.station_id != to for s, to in pairs)}
    return _take_along(leaving) if leaving else []


def _take_along(rooms: dict[int, list[tuple[Slot, int | None]]]) -> list[int]:
    kinds = dict(
        Station.objects.filter(pk__in={to for p in rooms.values() for _s, to in p}).values_list("pk", "kind")
    )
    going: dict[int, list[int]] = defaultdict(list)
    for booking_id, pairs in rooms.items():
        to = {station for _slot, station in pairs}
        station = to.pop()
        if not to and station and all(kinds[station] == slot.station.kind for slot, _to in pairs):
            going[station].append(booking_id)
    for station, bookings in going.items():
        slots = [slot for pk in bookings for slot, _to in rooms[pk]]
        taken = _taken(station, slots)
        going[station] = [pk for pk in bookings if not any(slot.pk in taken for slot, _to in rooms[pk])]
    all_going = sum(going.values(), [])
    if all_going:
        lock_slots_of_bookings(all_going)
    for station, bookings in going.items():
        Slot.objects.filter(booking__in=bookings).update(station=station, version=F("version") + 1)
        Booking.objects.filter(pk__in=bookings).update(station=station)
    return all_going


def _taken(station: int, slots: list[Slot]) -> set[int]:
    """Those for which the room is not free."""
    first, until = min(s.starts_at for s in slots), max(s.ends_at for s in slots)
    there = list(Slot.objects.filter(station=station, ends_at__gt=first, starts_at__lt=until))
    return {
        slot.pk
        for slot in slots
        if any(other.starts_at < slot.ends_at and slot.starts_at < other.ends_at for other in there)
    }
