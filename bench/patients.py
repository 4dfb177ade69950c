"""Finding a patient while typing, among 200,000: names that many share, accents, digits, nobody."""

import random
import statistics
import time

from django.db import connection

from clinic_booking.models import User
from patients.search import find_patients
from scheduling.models import Clinic, Membership

PATIENTS, ROUNDS = 200_000, 20
# As they are spread here: a few family names are everybody's.
FAMILY = (
    ["Tan"] * 4 + ["Lim"] * 3 + ["Lee"] * 3 + ["Ng", "Wong", "Chan", "Ong", "Goh", "Rahman", "Kumar", "Núñez"]
)
GIVEN = ["Wei", "Wei", "Jie", "Mei", "Ling", "Hui", "Min", "Xin", "Yi", "Jun", "Kai", "Siti", "Nur", "Aisyah"]
GIVEN += [
    "Muhammad",
    "Arjun",
    "Priya",
    "José",
    "Sarah",
    "Rachel",
    "Ravi",
    "Hassan",
    "Farid",
    "Wen",
    "Zhi",
    "Hao",
]
ASKED = {
    "a common beginning": "tan",
    "a common family name": "tan wei",
    "words in any order": "aisyah nur rah",
    "without accents": "jose nunez",
    "first digits of a phone": "912",
    "last digits of a phone": "4567",
    "a name and digits": "lim 45",
    "masked id": "567A",
    "reference of a booking": "ABCDEF2345",
    "nobody": "zzyzx",
}
ADD = """
INSERT INTO patients_patient (uuid, name, email, phone, birth_date, masked_id)
SELECT gen_random_uuid(), name, '', phone, date '1940-01-01' + (n %% 25000)::int, masked
FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS t(name, phone, masked, n)
"""


def search_patients() -> list[tuple[str, int, str, str, str]]:
    """What is asked, how many are found, and the milliseconds: median, p95, the slowest."""
    _fill()
    by = _staff()
    rows = []
    for what, asked in ASKED.items():
        took = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            found = find_patients(asked, by=by)
            took.append((time.perf_counter() - begin) * 1000)
        p95 = statistics.quantiles(took, n=20)[-1]
        rows.append(
            (
                f"{what}: {asked}",
                len(found),
                f"{statistics.median(took):.1f}",
                f"{p95:.1f}",
                f"{max(took):.1f}",
            )
        )
    return rows


def _staff() -> User:
    """Of a clinic that knows everybody."""
    by, _made = User.objects.get_or_create(username="bench")
    clinic = Clinic.objects.order_by("pk").first()
    Membership.objects.get_or_create(user=by, clinic=clinic, defaults={"role": Membership.Role.MANAGER})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO patients_patientclinic (patient_id, clinic_id) SELECT id, %s FROM patients_patient "
            "ON CONFLICT DO NOTHING",
            [clinic.pk],
        )
        cursor.execute("VACUUM ANALYZE patients_patientclinic")
    return by


def _fill() -> None:
    chance = random.Random(4)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM patients_patient")
        missing = max(0, PATIENTS - cursor.fetchone()[0])
        names = [
            f"{chance.choice(FAMILY)} {chance.choice(GIVEN)} {chance.choice(GIVEN)} {chance.choice(GIVEN)}"
            for _ in range(missing)
        ]
        phones = [f"+65{chance.choice('89')}{chance.randrange(10**7):07d}" for _ in range(missing)]
        masked = [f"{chance.randrange(1000):03d}{chance.choice('ABCDEFGHIZJ')}" for _ in range(missing)]
        cursor.execute(ADD, [names, phones, masked])
        cursor.execute("VACUUM ANALYZE patients_patient")
