import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from patients.models import Patient
from patients.search import duplicates, find_patients, folded, is_enough
from tests import factories
from tests.factories import PatientFactory

pytestmark = pytest.mark.django_db
BORN = dt.date(1990, 2, 3)


def names(asked):
    """As staff of a clinic that knows everybody."""
    staff = factories.MembershipFactory()
    for patient in Patient.objects.all():
        factories.known(patient, staff.clinic)
    return [patient.name for patient in find_patients(asked, by=staff.user)]


@pytest.fixture
def people():
    return [
        PatientFactory(name=name, phone=phone, masked_id=masked)
        for name, phone, masked in [
            ("Nurul Aisyah binte Rahman", "+6591234567", "567A"),
            ("José Ángel Núñez-O’Neil", "+6587654321", ""),
            ("王小明", "+6590001111", "001B"),
            ("Ravi s/o Kumar", "+60123456789", ""),
        ]
    ]


@pytest.mark.parametrize("asked", ["nur", "aisyah", "AISYAH nurul", "rah nur", "  Nurul  Aisy "])
def test_found_by_words_in_any_order(people, asked):
    assert names(asked) == ["Nurul Aisyah binte Rahman"]


@pytest.mark.parametrize("asked", ["jose", "José", "nunez", "neil", "angel O'Neil", "NÚÑEZ-o"])
def test_accents_and_punctuation_do_not_matter(people, asked):
    assert names(asked) == ["José Ángel Núñez-O’Neil"]


@pytest.mark.parametrize("asked", ["王小", "王小明"])
def test_two_characters_of_a_chinese_name_are_enough(people, asked):
    assert names(asked) == ["王小明"]


@pytest.mark.parametrize(
    "asked", ["9123", "9123 4567", "+65 9123 4567", "6591234", "4567", "567", "nurul 4567", "4567 rahm"]
)
def test_found_by_the_phone_with_or_without_code(people, asked):
    assert names(asked) == ["Nurul Aisyah binte Rahman"]


def test_found_by_a_phone_abroad(people):
    assert names("+60 12 345") == names("6789") == ["Ravi s/o Kumar"]


def test_found_by_the_masked_id(people):
    assert names("567a") == ["Nurul Aisyah binte Rahman"]
    assert names("999Z") == []


@pytest.mark.parametrize(
    "asked", ["", "  ", "nu", "12", "王", "'; --", "%%%", "&|!", "***", "x" * 500, "\x00\x00\x00"]
)
def test_too_little_and_nonsense_find_nobody(people, asked):
    assert names(asked) == []


def test_exact_words_come_before_beginnings():
    for name in ("Tania Lee", "Tan Lee", "Tandy Lee"):
        PatientFactory(name=name)
    assert names("tan")[0] == "Tan Lee"


def test_database_and_python_fold_alike(people):
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, tsvector_to_array(patients_words(name)) FROM patients_patient")
        for name, words in cursor.fetchall():
            assert sorted(words) == sorted(set(folded(name).split()))


def test_least_is_two_only_for_cjk():
    assert is_enough("王小")
    assert not is_enough("ab")


# -- Duplicates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "phone", "born", "found"),
    [
        ("Somebody Else", "+6591234567", None, True),
        ("aisyah NURUL", "", BORN, True),
        ("Nurul Aisha", "", BORN, True),
        ("Nurul Aisyah binte Rahman", "", BORN, True),
        ("Nurul Aisyah", "", None, True),
        ("Nurul Aisyah", "", dt.date(1991, 2, 3), False),
        ("Wong Kah Wai", "", BORN, False),
        ("", "", BORN, False),
    ],
)
def test_who_may_be_the_same_person(name, phone, born, found):
    known = PatientFactory(name="Nurul Aisyah", phone="+6591234567", birth_date=BORN)
    assert duplicates(name=name, phone=phone, birth_date=born, by=None) == ([known] if found else [])


def test_masked_id_has_its_form():
    with pytest.raises(IntegrityError), transaction.atomic():
        PatientFactory(masked_id="567")
    with pytest.raises(ValidationError):
        factories.PatientFactory.build(masked_id="S567").full_clean(exclude=["user"])
