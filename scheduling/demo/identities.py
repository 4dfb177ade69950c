"""Invented identity numbers, made when they are needed: no file holds one. T9… is of those born in the 2090s."""

import random
import re
from collections.abc import Iterator, Sequence

from django.db.models.functions import Now

from clinic_booking import crypto
from clinic_booking.models import User
from patients.identity import SINGAPORE, Identity, Kind, check_letter
from patients.models import Identifier, Patient
from scheduling.demo.staff import username

LACKS_EVERY, UNSEEN_EVERY = 11, 6  # some are to be asked for, some to be looked at
is_man = re.compile(r" (s/o|bin) ").search
is_woman = re.compile(r" (d/o|binte) ").search


def make_identities(patients: Sequence[Patient]) -> None:
    """Whatever of it is missing."""
    for gender in (Patient.Gender.FEMALE, Patient.Gender.MALE):
        those = [p.pk for at, p in enumerate(patients) if at and _gender(p) == gender]
        Patient.objects.filter(pk__in=those, gender="").update(gender=gender)
    known = set(Identifier.objects.filter(patient__in=patients).values_list("patient_id", flat=True))
    Identifier.objects.bulk_create(made for made in _numbers(patients) if made.patient_id not in known)


def _numbers(patients: Sequence[Patient]) -> Iterator[Identifier]:
    desk = User.objects.get(username=username("receptionist"))
    for at, patient in enumerate(patients):
        if at % LACKS_EVERY == 0:  # among them whoever logs in as the demo's patient
            continue
        number = _number(at)
        seen = at % UNSEEN_EVERY != 0
        yield Identifier(
            patient=patient,
            kind=number.kind,
            country=number.country,
            value=number.value,
            blind_index=crypto.index(number.indexed),
            ending=number.ending,
            source=Identifier.Source.DESK if seen else Identifier.Source.PATIENT,
            checked_at=Now() if seen else None,
            checked_by=desk if seen else None,
        )


def _number(at: int) -> Identity:
    digits = f"T9{random.Random(f'number {at}').randrange(1000):03d}{at:03d}"  # noqa: S311
    return Identity(Kind.NRIC, SINGAPORE, digits + check_letter(digits))


def _gender(patient: Patient) -> Patient.Gender:
    if is_man(patient.name):
        return Patient.Gender.MALE
    if is_woman(patient.name):
        return Patient.Gender.FEMALE
    return random.Random(f"gender {patient.uuid}").choice([Patient.Gender.FEMALE, Patient.Gender.MALE])  # noqa: S311
