"""An invented group of three clinics: who works where and when, and what they offer."""

import datetime as dt
from typing import NamedTuple

from scheduling.models import (
    Clinic,
    Equipment,
    LegalEntity,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Service,
    ServicePolicy,
    Station,
    TemplateBreak,
    WalkingTime,
)

# UENs of a year that has not come, telephone numbers and postcodes that are not given out.
ENTITIES = {
    "209900001H": {"name": "Harbour Clinics Pte. Ltd.", "gst_number": "M9-0000001-X"},
    "209900002E": {"name": "Harbour Clinics East Pte. Ltd.", "gst_number": ""},
}
CLINICS = {
    "tanjong-pagar": {
        "name": "Harbour Clinic Tanjong Pagar",
        "uen": "209900001H",
        "address": "18 Harbourlight Street, #02-01, Singapore 080000",
        "phone": "+6560000001",
        "payment_policy": Clinic.PaymentPolicy.PAY_NOW,
        "closes_at": dt.time(20),
    },
    "tampines": {
        "name": "Harbour Clinic Tampines",
        "uen": "209900002E",
        "address": "5 Lantern Walk, #01-22, Singapore 520000",
        "phone": "+6560000002",
        "payment_policy": Clinic.PaymentPolicy.DEPOSIT,
        "no_show_percent": 80,
        "closes_at": dt.time(21),
    },
    "jurong-east": {
        "name": "Harbour Clinic Jurong East",
        "uen": "209900001H",
        "address": "30 Lakeside Lantern Road, #03-08, Singapore 600000",
        "phone": "+6560000003",
        "payment_policy": Clinic.PaymentPolicy.PAY_AT_CLINIC,
        "closes_at": dt.time(19),
    },
}

# The laser room stands empty where somebody does not come.
OWN_TERMS = {
    ("tanjong-pagar", "laser-hair-removal"): {
        "payment_policy": Clinic.PaymentPolicy.DEPOSIT,
        "deposit_percent": 50,
        "free_cancel_hours": 48,
        "late_cancel_percent": 75,
    }
}

GP, DERMATOLOGY, PHYSIO = "General practice", "Dermatology", "Physiotherapy"
DENTIST, NURSE, RADIOGRAPHY = "Dentistry", "Nursing", "Radiography"


class Offer(NamedTuple):
    slug: str
    name: str
    category: str
    minutes: int
    price_cents: int
    kind: str
    specialty: str
    buffer: int = 0
    equipment: tuple[str, ...] = ()


SERVICES = [
    Offer("general-consultation", "General consultation", "General", 20, 4500, "consult", GP),
    Offer("follow-up", "Follow-up visit", "General", 20, 3200, "consult", GP),
    Offer("health-screening", "Health screening", "General", 60, 18000, "consult", GP),
    Offer("vaccination", "Vaccination", "Nursing", 20, 5500, "treatment", NURSE),
    Offer("ecg", "ECG", "Diagnostics", 20, 7000, "treatment", NURSE),
    Offer("x-ray", "X-ray", "Diagnostics", 20, 8500, "x-ray", RADIOGRAPHY),
    Offer("physiotherapy", "Physiotherapy", "Therapy", 40, 11000, "physio", PHYSIO),
    Offer("physiotherapy-assessment", "Physiotherapy assessment", "Therapy", 80, 19800, "physio", PHYSIO),
    Offer(
        "ultrasound-therapy", "Ultrasound therapy", "Therapy", 40, 9800, "physio", PHYSIO, 0, ("ultrasound",)
    ),
    Offer("dermatology-consultation", "Dermatology consultation", "Skin", 40, 16000, "consult", DERMATOLOGY),
    Offer(
        "laser-hair-removal",
        "Laser hair removal",
        "Skin",
        40,
        22000,
        "laser",
        DERMATOLOGY,
        20,
        ("laser-head",),
    ),
    Offer("dental-cleaning", "Dental cleaning", "Dental", 40, 12000, "dental", DENTIST),
    Offer("dental-filling", "Dental filling", "Dental", 60, 19000, "dental", DENTIST),
]

# Clinic, kind, name, units. Tanjong Pagar has two rooms for physiotherapy and one device for both.
EQUIPMENT = [
    ("tanjong-pagar", "laser-head", "Laser head", 1),
    ("jurong-east", "laser-head", "Laser head", 1),
    ("tanjong-pagar", "ultrasound", "Ultrasound device", 1),
    ("tampines", "ultrasound", "Ultrasound device", 1),
    ("jurong-east", "ultrasound", "Ultrasound device", 1),
]
# The x-ray is at the end of the corridor, the laser room upstairs. Everywhere else the clinic's own minutes count.
WALKS = [("X-ray", "Consult", 4), ("X-ray", "Physio", 6), ("Laser", "Consult", 5)]

Span = tuple[dt.time, dt.time]


class Shift(NamedTuple):
    weekdays: list[int]
    starts_at: dt.time
    ends_at: dt.time
    breaks: list[Span]
    every_n_weeks: int = 1


def _time(text: str) -> dt.time:
    return dt.time.fromisoformat(text)


def _shift(weekdays: str, hours: str, *breaks: str, every: int = 1) -> Shift:
    start, end = hours.split("-")
    pauses = [(_time(a), _time(b)) for a, b in (pause.split("-") for pause in breaks)]
    return Shift([int(day) for day in weekdays], _time(start), _time(end), pauses, every)


DAY = _shift("12345", "08:00-17:00", "12:00-13:00")
LATE = _shift("12345", "10:00-19:00", "13:00-14:00", "16:20-16:40")
EARLY = _shift("12345", "08:00-15:20", "11:40-12:20")
LONG = _shift("1245", "08:20-18:00", "12:20-13:20", "15:40-16:00")
EVENING = _shift("12356", "12:00-20:00", "15:30-16:15")
MIDWEEK = _shift("23456", "09:00-17:40", "12:40-13:40")
SUNDAY = _shift("7", "09:00-17:00", "12:20-13:00")
WEEKEND = _shift("3467", "09:00-16:00", "12:00-12:40")
SATURDAY = _shift("6", "08:40-12:40", every=2)
MON_WED = _shift("135", "09:00-17:00", "12:30-13:30")
TUE_THU = _shift("24", "09:00-17:00", "12:30-13:30")

Work = tuple[str, str, Shift]  # clinic, station, when
STAFF: list[tuple[str, str, list[Work]]] = [
    ("Dr Lim Wei Jie", GP, [("tanjong-pagar", "Consult 1", DAY), ("tanjong-pagar", "Consult 1", SATURDAY)]),
    ("Dr Priya Krishnan", GP, [("tanjong-pagar", "Consult 2", LATE), ("tanjong-pagar", "Consult 2", SUNDAY)]),
    (
        "Dr Farah binte Osman",
        GP,
        [("tanjong-pagar", "Consult 3", MIDWEEK), ("tanjong-pagar", "Consult 3", SUNDAY)],
    ),
    (
        "Dr Gerard Pereira",
        DERMATOLOGY,
        [("tanjong-pagar", "Consult 4", MON_WED), ("tanjong-pagar", "Laser", TUE_THU)],
    ),
    ("Tan Hui Min", PHYSIO, [("tanjong-pagar", "Physio 1", EARLY), ("tanjong-pagar", "Physio 1", SUNDAY)]),
    ("Ravi Chandran", PHYSIO, [("tanjong-pagar", "Physio 2", EVENING)]),
    ("Dr Chua Pei Shan", DENTIST, [("tanjong-pagar", "Dental", LONG)]),
    ("Siti Hidayah", NURSE, [("tanjong-pagar", "Treatment", DAY), ("tanjong-pagar", "Treatment", SUNDAY)]),
    ("Koh Zhi Wei", RADIOGRAPHY, [("tanjong-pagar", "X-ray", EARLY), ("tanjong-pagar", "X-ray", SUNDAY)]),
    ("Dr Ng Jun Hao", GP, [("tampines", "Consult 1", DAY), ("tampines", "Consult 1", SATURDAY)]),
    ("Dr Kavitha Menon", GP, [("tampines", "Consult 2", EVENING)]),
    ("Dr Ahmad Salleh", GP, [("tampines", "Consult 3", WEEKEND)]),
    (
        "Dr Denise Oliveiro",
        DERMATOLOGY,
        [("tampines", "Consult 4", TUE_THU), ("jurong-east", "Laser", MON_WED)],
    ),
    ("Ong Li Ting", PHYSIO, [("tampines", "Physio", MIDWEEK), ("tampines", "Physio", SUNDAY)]),
    ("Dr Teo Boon Keng", DENTIST, [("tampines", "Dental", LONG)]),
    ("Nadiah Ismail", NURSE, [("tampines", "Treatment", LATE), ("tampines", "Treatment", SUNDAY)]),
    ("Goh Yong Sheng", RADIOGRAPHY, [("tampines", "X-ray", MON_WED), ("jurong-east", "X-ray", TUE_THU)]),
    ("Dr Yeo Xin Yi", GP, [("jurong-east", "Consult 1", DAY), ("jurong-east", "Consult 1", SATURDAY)]),
    ("Dr Suresh Nair", GP, [("jurong-east", "Consult 2", LATE)]),
    ("Dr Azman Yusof", GP, [("jurong-east", "Consult 3", WEEKEND)]),
    ("Rachel Sequeira", PHYSIO, [("jurong-east", "Physio", DAY), ("jurong-east", "Physio", SUNDAY)]),
    ("Dr Wong Shu Fen", DENTIST, [("jurong-east", "Dental", MIDWEEK)]),
    ("Anjali Pillai", NURSE, [("jurong-east", "Treatment", EARLY), ("jurong-east", "Treatment", SUNDAY)]),
]


def make_places(today: dt.date) -> list[Clinic]:
    """Whatever of it is missing. Templates are valid from the Monday of the week in which they are made."""
    entities = {
        uen: LegalEntity.objects.get_or_create(uen=uen, defaults=values)[0]
        for uen, values in ENTITIES.items()
    }
    clinics = {slug: _clinic(slug, dict(values), entities) for slug, values in CLINICS.items()}
    practitioners = [
        _practitioner(name, specialty, works, clinics, today) for name, specialty, works in STAFF
    ]
    for offer in SERVICES:
        _service(offer, practitioners)
    for (slug, service), own in OWN_TERMS.items():
        of = {"clinic": clinics[slug], "service": Service.objects.get(slug=service)}
        ServicePolicy.objects.get_or_create(**of, defaults=own)
    _equip(clinics)
    _leave(practitioners[1], today)
    return list(clinics.values())


def _clinic(slug: str, values: dict[str, object], entities: dict[str, LegalEntity]) -> Clinic:
    values["legal_entity"] = entities[str(values.pop("uen"))]
    return Clinic.objects.get_or_create(slug=slug, defaults=values)[0]


def _practitioner(
    name: str, specialty: str, works: list[Work], clinics: dict[str, Clinic], today: dt.date
) -> Practitioner:
    practitioner, _made = Practitioner.objects.get_or_create(name=name, specialty=specialty)
    for slug, station_name, shift in works:
        clinic = clinics[slug]
        kind = station_name.rstrip(" 1234").lower()
        station, _made = Station.objects.get_or_create(
            clinic=clinic, name=station_name, defaults={"kind": kind}
        )
        template, is_new = ScheduleTemplate.objects.get_or_create(
            clinic=clinic,
            practitioner=practitioner,
            station=station,
            weekdays=shift.weekdays,
            defaults={
                "starts_at": shift.starts_at,
                "ends_at": shift.ends_at,
                "every_n_weeks": shift.every_n_weeks,
                "valid_from": today - dt.timedelta(days=today.weekday()),
            },
        )
        if is_new:
            TemplateBreak.objects.bulk_create(
                TemplateBreak(template=template, starts_at=a, ends_at=b) for a, b in shift.breaks
            )
    return practitioner


def _service(offer: Offer, practitioners: list[Practitioner]) -> None:
    service, is_new = Service.objects.get_or_create(
        slug=offer.slug,
        defaults={
            "name": offer.name,
            "category": offer.category,
            "duration_minutes": offer.minutes,
            "buffer_minutes": offer.buffer,
            "price_cents": offer.price_cents,
            "station_kind": offer.kind,
            "equipment_kinds": list(offer.equipment),
        },
    )
    if is_new:
        service.practitioners.set(p for p in practitioners if p.specialty == offer.specialty)


def _equip(clinics: dict[str, Clinic]) -> None:
    for slug, kind, name, units in EQUIPMENT:
        Equipment.objects.get_or_create(
            clinic=clinics[slug], kind=kind, defaults={"name": name, "units": units}
        )
    for clinic in clinics.values():
        stations = list(clinic.stations.order_by("pk"))
        pairs = [(a, b) for n, a in enumerate(stations) for b in stations[n + 1 :]]
        for first, second in pairs:
            if minutes := _walk(first.name, second.name):
                WalkingTime.objects.get_or_create(first=first, second=second, defaults={"minutes": minutes})


def _walk(one: str, other: str) -> int:
    """0 where nothing special is known."""
    for a, b, minutes in WALKS:
        if (one.startswith(a) and other.startswith(b)) or (one.startswith(b) and other.startswith(a)):
            return minutes
    return 0


def _leave(practitioner: Practitioner, today: dt.date) -> None:
    if not practitioner.exceptions.exists():
        clinic = Clinic.objects.get(slug="tanjong-pagar")
        starts_at, ends_at = clinic.day_bounds(today + dt.timedelta(days=9), days=3)
        ScheduleException.objects.create(
            kind=ScheduleException.Kind.LEAVE,
            practitioner=practitioner,
            starts_at=starts_at,
            ends_at=ends_at,
            reason="Annual leave",
        )
