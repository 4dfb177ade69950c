"""Invented patients with names as they are in Singapore, in all four communities. No identity numbers."""

import datetime as dt
import random
import re
import uuid
from collections.abc import Callable

from patients.models import Consent, Patient
from patients.rights import notices

PATIENTS = 300
NAMESPACE = uuid.UUID("5e3d0000-0000-4000-8000-000000000000")


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


SURNAMES = names(
    "Tan, Lim, Lee, Ng, Ong, Wong, Goh, Chua, Chan, Koh, Teo, Ang, Yeo, Tay, Ho, Low, Toh, Sim, Chong, Chia, Seah"
)
CHINESE_GIVEN = names(
    "Wei Jie, Jun Hao, Zhi Wei, Kai Xiang, Boon Keng, Chee Meng, Yong Sheng, Kok Leong, Hock Seng, Teck Huat, "
    "Hui Min, Xin Yi, Mei Ling, Siew Hoon, Shu Fen, Li Ting, Jia En, Pei Shan, Swee Lian, Ming Hui, Yu Xuan, Bee Choo"
)
MALAY_MEN = names(
    "Muhammad, Ahmad, Hafiz, Iskandar, Faizal, Rizwan, Khairul, Azman, Syafiq, Ridzuan, Hakim, Imran"
)
MALAY_WOMEN = names(
    "Nurul, Siti, Aisyah, Farah, Hidayah, Nadiah, Zulaikha, Rohani, Maryam, Izzati, Halimah, Sabrina"
)
MALAY_FATHERS = names(
    "Abdullah, Rahman, Ismail, Osman, Yusof, Hassan, Ibrahim, Salleh, Mahmood, Jumaat, Kassim, Latiff"
)
INDIAN_MEN = names(
    "Arjun, Rajesh, Kumar, Vikram, Suresh, Karthik, Ravi, Prakash, Anand, Dinesh, Ganesan, Harish"
)
INDIAN_WOMEN = names(
    "Priya, Lakshmi, Kavitha, Deepa, Anjali, Shanti, Meera, Revathi, Divya, Nithya, Sangeetha, Uma"
)
INDIAN_FATHERS = names(
    "Subramaniam, Krishnan, Pillai, Muthusamy, Rajan, Velu, Chandran, Govindasamy, Menon, Nair"
)
EURASIAN_GIVEN = names(
    "Marcus, Denise, Gerard, Rachel, Brian, Natasha, Aloysius, Michelle, Keith, Bernadette, Sean"
)
EURASIAN_SURNAMES = names(
    "Pereira, de Souza, Oliveiro, Rodrigues, Sequeira, D'Almeida, Aeria, Clarke, Monteiro, Minjoot"
)


def chinese(pick: random.Random) -> str:
    return f"{pick.choice(SURNAMES)} {pick.choice(CHINESE_GIVEN)}"


def malay(pick: random.Random) -> str:
    given, link = pick.choice([(MALAY_MEN, "bin"), (MALAY_WOMEN, "binte")])
    return f"{pick.choice(given)} {link} {pick.choice(MALAY_FATHERS)}"


def indian(pick: random.Random) -> str:
    given, link = pick.choice([(INDIAN_MEN, "s/o"), (INDIAN_WOMEN, "d/o")])
    return f"{pick.choice(given)} {link} {pick.choice(INDIAN_FATHERS)}"


def eurasian(pick: random.Random) -> str:
    return f"{pick.choice(EURASIAN_GIVEN)} {pick.choice(EURASIAN_SURNAMES)}"


COMMUNITIES: list[Callable[[random.Random], str]] = [chinese, malay, indian, eurasian]


def make_patients() -> list[Patient]:
    """The same 300 in the same order on every run; what was changed in the database since stays changed."""
    pick = random.Random("patients")  # noqa: S311
    wanted = [_patient(number, pick) for number in range(1, PATIENTS + 1)]
    Patient.objects.bulk_create(wanted, ignore_conflicts=True)
    found = {patient.uuid: patient for patient in Patient.objects.filter(uuid__in=[p.uuid for p in wanted])}
    patients = [found[patient.uuid] for patient in wanted]
    agreed = set(Consent.objects.filter(patient__in=patients).values_list("patient_id", flat=True))
    notice = notices.current()
    Consent.objects.bulk_create(
        Consent(
            patient=patient,
            purpose=Consent.Purpose.CARE_AND_BOOKING,
            notice_version=notice.version,
            text_hash=notice.text_hash,
            language=notice.language,
            is_given=True,
        )
        for patient in patients
        if patient.pk not in agreed
    )
    return patients


def _patient(number: int, pick: random.Random) -> Patient:
    name = pick.choices(COMMUNITIES, weights=[60, 18, 15, 7])[0](pick)
    mailbox = re.sub(r"[^a-z]+", ".", name.lower())
    return Patient(
        uuid=uuid.uuid5(NAMESPACE, str(number)),
        name=name,
        email=f"{mailbox}.{number}@example.com",
        phone=f"+6590000{number:03d}",
        birth_date=dt.date(1940, 1, 1) + dt.timedelta(days=pick.randrange(80 * 365)),
    )
