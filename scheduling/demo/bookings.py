"""Bookings for the demo: planned in Python, written in sets, a day at a time. No events, no mails."""

import datetime as dt
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F

from patients.models import Patient
from scheduling.locks import ALPHABET, database_now, lock_slots
from scheduling.models import (
    Booking,
    BookingRequest,
    Clinic,
    Equipment,
    EquipmentReservation,
    Service,
    SessionTicket,
    Slot,
    Station,
    VisitTicket,
)

JOINED = 0.2  # of those who may, come for a second thing
WAIT = dt.timedelta(minutes=60)
LOGIN_DAYS = 5  # every so many days the patient with the login has a visit
NO_SHOWS, CANCELLATIONS = 0.05, 0.04
ARRIVES_BEFORE = dt.timedelta(minutes=10)
BOOKED_BEFORE = dt.timedelta(days=35)

LIVE = [Booking.Status.BOOKED, Booking.Status.ARRIVED, Booking.Status.FULFILLED]
SESSION_STATUS = {
    Booking.Status.BOOKED: SessionTicket.Status.SCHEDULED,
    Booking.Status.ARRIVED: SessionTicket.Status.SCHEDULED,
    Booking.Status.FULFILLED: SessionTicket.Status.COMPLETED,
    Booking.Status.NOSHOW: SessionTicket.Status.FORFEITED,
    Booking.Status.CANCELLED: SessionTicket.Status.CANCELLED,
}


class Visit(NamedTuple):
    """A booking to be written."""

    reference: str
    patient_id: int
    service: Service
    slots: list[Slot]
    luck: float

    @property
    def starts_at(self) -> dt.datetime:
        return self.slots[0].starts_at

    @property
    def ends_at(self) -> dt.datetime:
        return self.starts_at + dt.timedelta(minutes=self.service.duration_minutes)


def density(days_ahead: int) -> float:
    """The booked part of a day: much of today, little of next month, 40 % of the 30 days."""
    return 0.3 + 0.5 * math.exp(-days_ahead / 10)


def book_day(clinics: Sequence[Clinic], patients: Sequence[Patient], day: dt.date, *, booked: float) -> int:
    """Book a part of the day's free slots, in one transaction. A day that has been done is left as it is."""
    pick = random.Random(f"bookings {day}")  # noqa: S311
    reference = new_reference(pick)
    if Booking.objects.filter(reference=reference).exists():
        return 0
    with transaction.atomic():
        choices = _equipped(_choices(_free_slots(clinics, day), booked, pick), clinics, day)
        pool = _pool(patients, clinics[0], day, pick)
        return _write(list(_visits(choices, pool, reference, pick)), day)


SLOTS_OF_DAY = """
SELECT id FROM scheduling_slot WHERE clinic_id = ANY(%(clinics)s) AND starts_at >= %(from)s AND starts_at < %(until)s
"""


def _free_slots(clinics: Sequence[Clinic], day: dt.date) -> list[Slot]:
    from_, until = clinics[0].day_bounds(day)
    clinic_ids = [clinic.pk for clinic in clinics]
    slots = lock_slots(SLOTS_OF_DAY, {"clinics": clinic_ids, "from": from_, "until": until})
    return [slot for slot in slots if slot.status == "available" and not slot.hold_id]


def _choices(slots: list[Slot], booked: float, pick: random.Random) -> list[tuple[Service, list[Slot]]]:
    """Which service goes into which slots, by start."""
    rows: dict[tuple[int, int], list[Slot]] = defaultdict(list)
    for slot in sorted(slots, key=lambda s: s.starts_at):
        rows[slot.practitioner_id, slot.station_id].append(slot)
    offers = _offers()
    kinds = dict(Station.objects.values_list("pk", "kind"))
    found: list[tuple[Service, list[Slot]]] = []
    for (practitioner_id, station_id), row in sorted(rows.items()):
        if offered := offers.get((practitioner_id, kinds[station_id])):
            found += _fill(row, offered, booked, pick)
    return sorted(found, key=lambda choice: (choice[1][0].starts_at, choice[1][0].id))


def _offers() -> dict[tuple[int, str], list[Service]]:
    offers: dict[tuple[int, str], list[Service]] = defaultdict(list)
    for service in Service.objects.order_by("slug").prefetch_related("practitioners"):
        for practitioner in service.practitioners.all():
            offers[practitioner.pk, service.station_kind].append(service)
    return offers


def _fill(
    row: list[Slot], offered: list[Service], booked: float, pick: random.Random
) -> Iterator[tuple[Service, list[Slot]]]:
    lengths = [math.ceil(service.occupied / (row[0].ends_at - row[0].starts_at)) for service in offered]
    mean = sum(lengths) / len(lengths)
    # Where a visit takes several slots, fewer starts make the same part booked.
    chance = booked / (mean - booked * (mean - 1))
    index = 0
    while index < len(row):
        service, length = pick.choice(list(zip(offered, lengths, strict=True)))
        chain = row[index : index + length]
        joined = len(chain) == length and all(a.ends_at == b.starts_at for a, b in pairwise(chain))
        if pick.random() < chance and joined:
            yield service, chain
            index += length
        else:
            index += 1


def _equipped(
    choices: list[tuple[Service, list[Slot]]], clinics: Sequence[Clinic], day: dt.date
) -> list[tuple[Service, list[Slot]]]:
    """Without those for which no unit of the equipment is left. Units are counted as `_reserve` gives them out."""
    units = Units(clinics, day)
    return [(service, slots) for service, slots in choices if units.take(service, slots[0]) is not None]


class Units:
    """Which units of a day's equipment are in use, and until when. Asked in order of time."""

    def __init__(self, clinics: Sequence[Clinic], day: dt.date) -> None:
        found = Equipment.objects.filter(clinic__in=clinics)
        self.known = {(each.clinic_id, each.kind): each for each in found}
        from_, until = clinics[0].day_bounds(day)
        taken = EquipmentReservation.objects.filter(starts_at__gte=from_, starts_at__lt=until)
        self.taken = [(r.equipment_id, r.unit, r.starts_at, r.ends_at) for r in taken]

    def take(self, service: Service, first: Slot) -> list[tuple[int, int]] | None:
        """Equipment and unit for each kind that the service needs; None where one is lacking."""
        start, end = first.starts_at, first.starts_at + service.occupied
        got = []
        for kind in service.equipment_kinds:
            equipment = self.known.get((first.clinic_id, kind))
            numbers = range(1, equipment.units + 1) if equipment else ()
            busy = {
                u for pk, u, a, b in self.taken if equipment and pk == equipment.pk and a < end and start < b
            }
            free = next((number for number in numbers if number not in busy), None)
            if equipment is None or free is None:
                return None
            got.append((equipment.pk, free))
        self.taken += [(pk, unit, start, end) for pk, unit in got]
        return got


def _visits(
    choices: list[tuple[Service, list[Slot]]], pool: list[Patient], reference: str, pick: random.Random
) -> Iterator[Visit]:
    """Gives each chosen time a patient. Some come for two things, one after the other in the same clinic."""
    waiting: dict[int, list[Visit]] = defaultdict(list)
    for service, slots in choices:
        starts_at, clinic_id = slots[0].starts_at, slots[0].clinic_id
        waiting[clinic_id] = [visit for visit in waiting[clinic_id] if visit.ends_at + WAIT >= starts_at]
        ready = [v for v in waiting[clinic_id] if v.ends_at <= starts_at and v.service != service]
        if ready and pick.random() < JOINED:
            first = pick.choice(ready)
            waiting[clinic_id].remove(first)
            yield Visit(reference, first.patient_id, service, slots, pick.random())
        elif pool:
            visit = Visit(reference, pool.pop().pk, service, slots, pick.random())
            waiting[clinic_id].append(visit)
            yield visit
        reference = new_reference(pick)


def _pool(patients: Sequence[Patient], clinic: Clinic, day: dt.date, pick: random.Random) -> list[Patient]:
    """Who may come on the day, the last first. The patient with the login comes now and then."""
    from_, until = clinic.day_bounds(day)
    busy = set(Booking.objects.filter(starts_at__range=(from_, until)).values_list("patient_id", flat=True))
    login, *others = patients
    pool = pick.sample(others, len(others))
    if day.toordinal() % LOGIN_DAYS == 0:
        pool.insert(-5, login)
    return [patient for patient in pool if patient.pk not in busy]


def new_reference(pick: random.Random) -> str:
    return "".join(pick.choices(ALPHABET, k=10))


# -- Writing -------------------------------------------------------------------------------------


def _write(visits: list[Visit], day: dt.date) -> int:
    now = database_now()
    states = [_state(visit, now) for visit in visits]
    requests = BookingRequest.objects.bulk_create(
        BookingRequest(patient_id=visit.patient_id, service=visit.service, source=_source(visit))
        for visit in visits
    )
    sessions = SessionTicket.objects.bulk_create(
        SessionTicket(request=request, number=1, status=SESSION_STATUS[state])
        for request, state in zip(requests, states, strict=True)
    )
    tickets = _tickets(visits, day)
    bookings = Booking.objects.bulk_create(
        _booking(visit, state, session, tickets, now)
        for visit, state, session in zip(visits, states, sessions, strict=True)
    )
    absent = [booking.pk for booking in bookings if booking.status == Booking.Status.NOSHOW]
    Booking.objects.filter(pk__in=absent).update(fee_cents=F("no_show_fee_cents"))
    _claim(visits, bookings)
    _reserve(visits, bookings, day)
    return len(bookings)


def _source(visit: Visit) -> BookingRequest.Source:
    """Every fourth called."""
    return BookingRequest.Source.DESK if visit.luck * 100 % 4 < 1 else BookingRequest.Source.ONLINE


def _state(visit: Visit, now: dt.datetime) -> Booking.Status:
    if visit.ends_at <= now:
        return Booking.Status.NOSHOW if visit.luck < NO_SHOWS else Booking.Status.FULFILLED
    if visit.starts_at <= now + ARRIVES_BEFORE:
        return Booking.Status.ARRIVED
    return Booking.Status.CANCELLED if visit.luck < CANCELLATIONS else Booking.Status.BOOKED


def _tickets(visits: list[Visit], day: dt.date) -> dict[tuple[int, int], VisitTicket]:
    wanted = {(visit.patient_id, visit.slots[0].clinic_id) for visit in visits}
    VisitTicket.objects.bulk_create(
        (VisitTicket(patient_id=patient, clinic_id=clinic, date=day) for patient, clinic in sorted(wanted)),
        ignore_conflicts=True,
    )
    return {(ticket.patient_id, ticket.clinic_id): ticket for ticket in VisitTicket.objects.filter(date=day)}


def _booking(
    visit: Visit,
    state: Booking.Status,
    session: SessionTicket,
    tickets: dict[tuple[int, int], VisitTicket],
    now: dt.datetime,
) -> Booking:
    first = visit.slots[0]
    is_cancelled = state == Booking.Status.CANCELLED
    return Booking(
        reference=visit.reference,
        patient_id=visit.patient_id,
        service=visit.service,
        session=session,
        visit=tickets[visit.patient_id, first.clinic_id],
        clinic_id=first.clinic_id,
        practitioner_id=first.practitioner_id,
        station_id=first.station_id,
        starts_at=visit.starts_at,
        ends_at=visit.ends_at,
        price_cents=visit.service.price_cents,
        status=state,
        created_at=min(now, visit.starts_at) - visit.luck * BOOKED_BEFORE,
        cancelled_at=now if is_cancelled else None,
        cancel_reason="patient" if is_cancelled else "",
        fee_cents=0 if is_cancelled else None,
    )


def _claim(visits: list[Visit], bookings: list[Booking]) -> None:
    pairs = [
        (slot.id, booking.pk)
        for visit, booking in zip(visits, bookings, strict=True)
        for slot in visit.slots
        if booking.status in LIVE
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE scheduling_slot s SET booking_id = claim.booking FROM unnest(%s::bigint[], %s::bigint[])"
            " AS claim(slot, booking) WHERE s.id = claim.slot",
            [[slot for slot, _booking in pairs], [booking for _slot, booking in pairs]],
        )


def _reserve(visits: list[Visit], bookings: list[Booking], day: dt.date) -> None:
    units = Units(list({visit.slots[0].clinic_id: visit.slots[0].clinic for visit in visits}.values()), day)
    EquipmentReservation.objects.bulk_create(
        EquipmentReservation(
            equipment_id=equipment_id,
            unit=unit,
            starts_at=visit.starts_at,
            ends_at=visit.starts_at + visit.service.occupied,
            booking=booking,
        )
        for visit, booking in zip(visits, bookings, strict=True)
        if booking.status in LIVE
        for equipment_id, unit in units.take(visit.service, visit.slots[0]) or ()
    )


def finish_past(clinics: Sequence[Clinic], patients: Sequence[Patient]) -> int:
    """What the demo's patients had booked before now has happened: for a demo that is started again later."""
    over = Booking.objects.filter(
        clinic__in=clinics, patient__in=patients, status__in=[Booking.Status.BOOKED, Booking.Status.ARRIVED]
    ).filter(ends_at__lte=database_now())
    with transaction.atomic():
        SessionTicket.objects.filter(bookings__in=over).update(status=SessionTicket.Status.COMPLETED)
        return over.update(status=Booking.Status.FULFILLED, version=F("version") + 1)
