"""A year of visits straight into the tables, for the effort report."""

import datetime as dt

from django.db import connection, transaction

from bench import milliseconds
from bench.fill import _clinics, _service, _staff
from clinic_booking.models import Event, User
from scheduling import effort
from scheduling.models import Clinic, Membership

VISITS, CLINICS = 150_000, 3
# Each patient comes every tenth day at most; practitioners have a visit every 20 minutes of their day.
YEAR = [
    """INSERT INTO patients_patient (uuid, name, email, phone)
    SELECT gen_random_uuid(), 'Patient ' || n, 'year' || n || '@example.com', '+659' || (1000000 + n)
    FROM generate_series(0, 9999) AS n""",
    """CREATE TEMP TABLE made ON COMMIT DROP AS
    SELECT n, (%(clinics)s::bigint[])[1 + n %% 3] AS clinic_id, (%(people)s::bigint[])[1 + n %% 60] AS practitioner_id,
        (%(rooms)s::bigint[])[1 + n %% 60] AS station_id, p.id AS patient_id,
        %(first)s::timestamptz + (n / 1440) * interval '84 hours' + (n / 60 %% 24) * interval '20 minutes' AS starts_at,
        nextval('scheduling_bookingrequest_id_seq') AS request_id,
        nextval('scheduling_sessionticket_id_seq') AS session_id,
        nextval('scheduling_visitticket_id_seq') AS visit_id, nextval('scheduling_booking_id_seq') AS id
    FROM generate_series(0, %(visits)s - 1) AS n
    JOIN patients_patient p ON p.email = 'year' || n %% 10000 || '@example.com'""",
    """INSERT INTO scheduling_bookingrequest (id, patient_id, service_id, source, quantity)
    SELECT request_id, patient_id, %(service)s,
        (ARRAY['online', 'online', 'online', 'contract', 'desk', 'waitlist', 'walk_in'])[1 + n %% 7], 1 FROM made""",
    """INSERT INTO scheduling_sessionticket (id, request_id, number, status)
    SELECT session_id, request_id, 1, 'completed' FROM made""",
    """INSERT INTO scheduling_visitticket (id, patient_id, clinic_id, date)
    SELECT visit_id, patient_id, clinic_id, (starts_at AT TIME ZONE 'Asia/Singapore')::date FROM made""",
    """INSERT INTO scheduling_booking (id, reference, patient_id, service_id, session_id, visit_id, clinic_id,
        practitioner_id, station_id, starts_at, ends_at, price_cents, note, status, created_at)
    SELECT id, 'Y' || id, patient_id, %(service)s, session_id, visit_id, clinic_id, practitioner_id, station_id,
        starts_at, starts_at + interval '20 minutes', 6500, '', 'fulfilled', starts_at - n %% 20 * interval '1 day'
    FROM made ORDER BY starts_at""",
    """INSERT INTO scheduling_slot (clinic_id, practitioner_id, station_id, starts_at, ends_at, is_blocked, block_reason,
        booking_id)
    SELECT clinic_id, practitioner_id, station_id, starts_at, starts_at + interval '20 minutes', false, '', id
    FROM made""",
    """INSERT INTO clinic_booking_event (topic, version, subject, clinic_id, data, created_at)
    SELECT topic, 1, 'booking:' || id, clinic_id,
        jsonb_build_object('booking', id, 'reference', 'Y' || id, 'version', 1)
        || CASE WHEN acted THEN jsonb_build_object('by', (%(staff)s::bigint[])[1 + n %% 12]) ELSE '{}' END, at
    FROM made, LATERAL (VALUES ('appointment.booked', n %% 7 IN (4, 6), starts_at - n %% 20 * interval '1 day', true),
        ('bill.issued', false, starts_at - n %% 20 * interval '1 day', true),
        ('appointment.moved', true, starts_at - interval '1 day', n %% 5 = 0),
        ('appointment.arrived', true, starts_at, true), ('appointment.started', true, starts_at, true),
        ('appointment.fulfilled', true, starts_at + interval '20 minutes', true)) AS e(topic, acted, at, so)
    WHERE so ORDER BY at""",
]


def measure() -> tuple[str, str, str]:
    clinics = _clinics(CLINICS)
    people, rooms, staff = [], [], []
    for clinic in clinics:
        practitioners, stations = _staff(clinic)
        people.append([p.pk for p in practitioners])
        rooms.append([s.pk for s in stations])
        staff += [_receptionist(clinic, n) for n in range(4)]
    last = clinics[0].today()
    first = last - dt.timedelta(365)
    params = {
        "clinics": [c.pk for c in clinics],
        # The clinic of number n is n mod 3, and so must be the clinic of its practitioner and room.
        "people": [pk for trio in zip(*people, strict=True) for pk in trio],
        "rooms": [pk for trio in zip(*rooms, strict=True) for pk in trio],
        "staff": staff,
        "service": _service().pk,
        "visits": VISITS,
        "first": clinics[0].day_bounds(first)[0] + dt.timedelta(hours=9),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        for statement in YEAR:
            cursor.execute(statement, params if "%(" in statement else None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    assert effort.report(clinics=clinics, first=first, last=last).of().bookings > 0.9 * VISITS
    spans = (first + dt.timedelta(365 - 83), first)
    took = [
        milliseconds(lambda span=span: effort.report(clinics=clinics, first=span, last=last))
        for span in spans
    ]
    return f"{Event.objects.count():,}", f"{took[0]:.0f}", f"{took[1]:.0f}"


def _receptionist(clinic: Clinic, number: int) -> int:
    user, _made = User.objects.get_or_create(username=f"{clinic.slug}-{number}")
    Membership.objects.create(user=user, clinic=clinic, role=Membership.Role.RECEPTIONIST)
    return user.pk
