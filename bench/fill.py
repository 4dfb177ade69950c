"""Supply of any size, straight into the tables: clinics of 20 practitioners, 24 slots a day, 30 days."""

import datetime as dt
from collections.abc import Sequence

from django.db import connection, transaction

from scheduling.models import Clinic, LegalEntity, Practitioner, ScheduleTemplate, Service, Station

PRACTITIONERS, SLOTS_A_DAY, DAYS = 20, 24, 30
SLOTS_PER_CLINIC = PRACTITIONERS * SLOTS_A_DAY * DAYS  # 14,400

SLOTS = """
INSERT INTO scheduling_slot (clinic_id, practitioner_id, station_id, starts_at, ends_at, is_blocked, block_reason)
SELECT s.clinic_id, t.practitioner_id, s.id, at, at + interval '20 minutes', false, ''
FROM scheduling_station s
     JOIN unnest(%s::bigint[], %s::bigint[]) AS t(station_id, practitioner_id) ON t.station_id = s.id,
     generate_series(0, %s - 1) AS day, generate_series(0, %s - 1) AS n,
     LATERAL (SELECT %s::timestamptz + day * interval '1 day' + n * interval '20 minutes' AS at) AS times
"""


def add_clinics(count: int) -> list[Clinic]:
    """`count` more clinics with 14,400 free slots each, from tomorrow 09:00 in Singapore; one 20-minute service."""
    clinics = _clinics(count)
    start = clinics[0].day_bounds(clinics[0].today() + dt.timedelta(days=1))[0] + dt.timedelta(hours=9)
    for clinic in clinics:
        practitioners, stations = _staff(clinic)
        with connection.cursor() as cursor:
            ids = ([s.pk for s in stations], [p.pk for p in practitioners])
            cursor.execute(SLOTS, [*ids, DAYS, SLOTS_A_DAY, start])
    return clinics


def plan_clinics(count: int) -> list[Clinic]:
    """The same with templates instead of slots, for `generate`."""
    clinics = _clinics(count)
    for clinic in clinics:
        practitioners, stations = _staff(clinic)
        ScheduleTemplate.objects.bulk_create(
            ScheduleTemplate(
                clinic=clinic,
                practitioner=practitioner,
                station=station,
                weekdays=[1, 2, 3, 4, 5, 6, 7],
                starts_at=dt.time(9),
                ends_at=dt.time(17),
                valid_from=dt.date(2024, 1, 1),
            )
            for practitioner, station in zip(practitioners, stations, strict=True)
        )
    return clinics


def _clinics(count: int) -> list[Clinic]:
    entity, _made = LegalEntity.objects.get_or_create(uen="209900001B", defaults={"name": "Bench Clinics"})
    first = Clinic.objects.count()
    return Clinic.objects.bulk_create(
        Clinic(
            slug=f"bench-{n}",
            name=f"Clinic {n}",
            legal_entity=entity,
            address="1 Example Street",
            phone="+6560000000",
            payment_policy=Clinic.PaymentPolicy.PAY_AT_CLINIC,
        )
        for n in range(first, first + count)
    )


def _staff(clinic: Clinic) -> tuple[list[Practitioner], list[Station]]:
    practitioners = Practitioner.objects.bulk_create(
        Practitioner(name=f"Dr {clinic.slug} {n}", specialty="General practice") for n in range(PRACTITIONERS)
    )
    _service().practitioners.add(*practitioners)
    stations = Station.objects.bulk_create(
        Station(clinic=clinic, name=f"Room {n}", kind="consult") for n in range(PRACTITIONERS)
    )
    return practitioners, stations


def _service() -> Service:
    service, _made = Service.objects.get_or_create(
        slug="bench",
        defaults={
            "name": "Consultation",
            "category": "General",
            "duration_minutes": 20,
            "price_cents": 6500,
            "station_kind": "consult",
        },
    )
    return service


# Patients of their own for each practitioner, one for each slot of a day: nobody is in two places.
PATIENTS = f"""
INSERT INTO patients_patient (uuid, name, email, phone)
SELECT gen_random_uuid(), 'Patient ' || p.id || ' ' || n, 'p' || p.id || '-' || n || '@example.com', '+6590000000'
FROM scheduling_practitioner p, generate_series(0, {SLOTS_A_DAY - 1}) AS n
WHERE NOT EXISTS (SELECT FROM patients_patient a WHERE a.email = 'p' || p.id || '-' || n || '@example.com')
"""
PICKED = """
CREATE TEMP TABLE picked ON COMMIT DROP AS
SELECT s.*, a.id AS patient_id, nextval('scheduling_bookingrequest_id_seq') AS request_id,
    nextval('scheduling_sessionticket_id_seq') AS session_id, nextval('scheduling_visitticket_id_seq') AS visit_id,
    nextval('scheduling_booking_id_seq') AS new_id
FROM (SELECT id AS slot_id, clinic_id, practitioner_id, station_id, starts_at, ends_at,
        (starts_at AT TIME ZONE 'Asia/Singapore')::date AS day,
        row_number() OVER (PARTITION BY practitioner_id, (starts_at AT TIME ZONE 'Asia/Singapore')::date
                           ORDER BY starts_at) - 1 AS n
      FROM scheduling_slot WHERE clinic_id = ANY(%(clinics)s)) s
JOIN patients_patient a ON a.email = 'p' || s.practitioner_id || '-' || s.n || '@example.com'
JOIN scheduling_slot free ON free.id = s.slot_id AND free.booking_id IS NULL AND free.hold_id IS NULL
WHERE hashint8(s.slot_id) %% 100 BETWEEN -%(percent)s + 1 AND %(percent)s - 1
"""
BOOK = [
    """INSERT INTO scheduling_bookingrequest (id, patient_id, service_id, source, quantity)
    SELECT request_id, patient_id, %(service)s, 'online', 1 FROM picked""",
    """INSERT INTO scheduling_sessionticket (id, request_id, number, status)
    SELECT session_id, request_id, 1, 'scheduled' FROM picked""",
    "INSERT INTO scheduling_visitticket (id, patient_id, clinic_id, date)"
    " SELECT visit_id, patient_id, clinic_id, day FROM picked",
    """INSERT INTO scheduling_booking (id, reference, patient_id, service_id, session_id, visit_id, clinic_id,
        practitioner_id, station_id, starts_at, ends_at, price_cents, note, status)
    SELECT new_id, 'B' || new_id, patient_id, %(service)s, session_id, visit_id, clinic_id, practitioner_id,
        station_id, starts_at, ends_at, 6500, '', 'booked' FROM picked ORDER BY patient_id, starts_at""",
    """UPDATE scheduling_slot s SET booking_id = new_id FROM picked WHERE s.id = slot_id""",
]


def book(clinics: Sequence[Clinic], *, percent: int) -> int:
    """Book so much of the free slots of these clinics, a clinic at a time. Returns how many bookings there are."""
    service = _service().pk
    booked = 0
    with connection.cursor() as cursor:
        cursor.execute(PATIENTS)
        cursor.execute("ANALYZE patients_patient")
        for clinic in clinics:
            params = {"clinics": [clinic.pk], "percent": percent, "service": service}
            with transaction.atomic():
                cursor.execute(PICKED, params)
                for statement in BOOK:
                    cursor.execute(statement, params)
                booked += cursor.rowcount
    return booked
