"""Supply of any size, straight into the tables: clinics of 20 practitioners, 24 slots a day, 30 days."""

import datetime as dt

from django.db import connection

from scheduling.models import Clinic, LegalEntity, Practitioner, Service, Station

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
    entity, _made = LegalEntity.objects.get_or_create(uen="209900001B", defaults={"name": "Bench Clinics"})
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
    first = Clinic.objects.count()
    clinics = Clinic.objects.bulk_create(
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
    start = clinics[0].day_bounds(clinics[0].today() + dt.timedelta(days=1))[0] + dt.timedelta(hours=9)
    for clinic in clinics:
        practitioners = Practitioner.objects.bulk_create(
            Practitioner(name=f"Dr {clinic.slug} {n}", specialty="General practice")
            for n in range(PRACTITIONERS)
        )
        service.practitioners.add(*practitioners)
        stations = Station.objects.bulk_create(
            Station(clinic=clinic, name=f"Room {n}", kind="consult") for n in range(PRACTITIONERS)
        )
        with connection.cursor() as cursor:
            ids = ([s.pk for s in stations], [p.pk for p in practitioners])
            cursor.execute(SLOTS, [*ids, DAYS, SLOTS_A_DAY, start])
    return clinics
