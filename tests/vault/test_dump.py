"""What a stolen dump tells: neither a number nor a word of what patients and staff wrote."""

import re
import subprocess

import pytest
from django.db import connection

from billing.contracts import draft_contract
from clinic_booking.backups import postgres
from patients import vault
from patients.identity import parse
from patients.models import Identifier
from scheduling import desk_notes
from scheduling.models import Booking, WaitlistEntry
from tests import factories
from tests.vault.keys import number

NUMBERS = [number("S", "8012345"), number("F", "7654321"), number("T", "0100001")]
WORDS = ["hallucinations", "miscarriage", "tuberculosis", "chemotherapy"]
WHOLE = re.compile(r"(?<![A-Za-z0-9])[STFGM]\d{7}[A-Z](?![A-Za-z0-9])")


def dump():
    command = [postgres._tool("pg_dump"), "--data-only", "--no-owner"]
    done = subprocess.run(
        command, env=postgres._env(connection.settings_dict), capture_output=True, check=True
    )
    return done.stdout.decode()


@pytest.mark.django_db(transaction=True)
def test_dump_tells_neither_numbers_nor_notes(clinic, slots, service, patient, receptionist):
    visits = [
        factories.book(slots[i : i + 1], service=service, note=f"{WORDS[0]} {text}")
        for i, text in enumerate(NUMBERS)
    ]
    for visit, text in zip(visits, NUMBERS, strict=True):
        vault.record(
            patient_id=visit.patient_id, number=parse("nric", text), source=vault.Source.DESK, by=receptionist
        )
    desk_notes.write(booking=visits[0], text=WORDS[1], by=receptionist)
    draft_contract(patient=patient, clinic=clinic, note=WORDS[2], by=receptionist)
    WaitlistEntry.objects.create(session=visits[0].session, note=WORDS[3])
    dumped = dump()
    assert visits[0].reference in dumped
    assert WHOLE.findall(dumped) == []
    assert [word for word in WORDS if word in dumped] == []
    assert Booking.objects.get(pk=visits[0].pk).note == f"{WORDS[0]} {NUMBERS[0]}"
    assert {i.value for i in Identifier.objects.all()} == set(NUMBERS)
