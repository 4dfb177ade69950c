"""A backlog for the matcher: courses and single visits with rules and wishes, some of which everybody wants."""

import datetime as dt
import random

from django.db import connection

from patients.models import Patient
from scheduling.models import (
    BookingPattern,
    BookingRequest,
    Equipment,
    Practitioner,
    Service,
    SessionTicket,
    Station,
)

SESSIONS = 6_000
LASER_ROOMS = 5  # of a clinic's 20, with two laser heads between them


def prepare() -> None:
    """Rooms, services and equipment beside what `fill.add_clinics` made."""
    rooms = [room for room in Station.objects.all() if int(room.name.split()[1]) < LASER_ROOMS]
    Station.objects.filter(pk__in=[room.pk for room in rooms]).update(kind="laser")
    laser = {"station_kind": "laser", "equipment_kinds": ["laser-head"], "duration_minutes": 20}
    for slug, values in {
        "laser": laser | {"buffer_minutes": 20},
        "physio": {"duration_minutes": 40, "station_kind": "consult"},
        "visit": {"duration_minutes": 20, "station_kind": "consult"},
    }.items():
        service = Service.objects.create(
            slug=slug, name=f"Bench {slug}", category="Bench", price_cents=9000, **values
        )
        service.practitioners.set(Practitioner.objects.all())
    for clinic_id in _clinics():
        Equipment.objects.create(clinic_id=clinic_id, kind="laser-head", name="Laser head", units=2)


def _clinics() -> list[int]:
    return list(Station.objects.order_by("clinic").values_list("clinic_id", flat=True).distinct())


def add(seed: int) -> int:
    """6,000 planned sessions. Returns how many."""
    chance = random.Random(seed)
    services = {
        service.slug: service for service in Service.objects.filter(slug__in=["laser", "physio", "visit"])
    }
    doctors = list(Practitioner.objects.order_by("pk"))
    clinics = _clinics()
    left = SESSIONS
    requests: list[BookingRequest] = []
    patterns: list[BookingPattern] = []
    named: list[tuple[BookingPattern, Practitioner | None, int | None]] = []
    patients = Patient.objects.bulk_create(
        Patient(name=f"Backlog {seed} {n}", email=f"b{seed}-{n}@example.com", phone="+6590000000")
        for n in range(2_500)
    )
    while left:
        kind = chance.choices(["visit", "physio", "laser"], [60, 30, 10])[0]
        count = min(left, 1 if kind == "visit" and chance.random() < 0.6 else chance.choice([2, 3, 4, 6]))
        request = BookingRequest(
            patient=chance.choice(patients),
            service=services[kind],
            source="desk",
            quantity=count,
            urgency=chance.choices([0, 1, 2], [80, 15, 5])[0],
        )
        requests.append(request)
        left -= count
        rule, doctor, clinic = BookingPattern(request=request, is_hard=True), None, None
        if count > 1:
            rule.min_gap_days, rule.max_gap_days = chance.choice([(1, 5), (3, 6), (4, 7)])
        if chance.random() < 0.3:
            rule.weekdays = sorted(chance.sample([1, 2, 3, 4, 5, 6, 7], 5 if count > 1 else 2))
        if chance.random() < 0.3:
            rule.from_time, rule.until_time = chance.choice(
                [(dt.time(9), dt.time(12)), (dt.time(12), dt.time(15)), (dt.time(14), dt.time(17))]
            )
        if chance.random() < 0.2:
            clinic = chance.choice(clinics)
        elif kind == "visit" and chance.random() < 0.15:
            doctor = doctors[LASER_ROOMS + chance.randrange(4)]  # everybody wants these
        patterns.append(rule)
        named.append((rule, doctor, clinic))
        if chance.random() < 0.4:
            since = dt.time(chance.randrange(9, 16))
            patterns.append(
                BookingPattern(request=request, from_time=since, weekdays=chance.sample(range(1, 8), 3))
            )
    BookingRequest.objects.bulk_create(requests)
    BookingPattern.objects.bulk_create(patterns)
    who, where = BookingPattern.practitioners.through, BookingPattern.clinics.through
    who.objects.bulk_create(
        who(bookingpattern_id=rule.pk, practitioner_id=doctor.pk) for rule, doctor, _c in named if doctor
    )
    where.objects.bulk_create(
        where(bookingpattern_id=rule.pk, clinic_id=clinic) for rule, _d, clinic in named if clinic
    )
    sessions = [SessionTicket(request=r, number=n) for r in requests for n in range(1, r.quantity + 1)]
    SessionTicket.objects.bulk_create(sessions)
    return len(sessions)


def remove() -> None:
    """The planned sessions again."""
    SessionTicket.objects.filter(status="planned").delete()
    empty = BookingRequest.objects.filter(sessions=None)
    BookingPattern.objects.filter(request__in=empty).delete()
    empty.delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
