"""Finding a patient while the name is being typed: by words of the name in any order, phone, masked id or a reference.

For staff only. Everything is looked up through an index: 200,000 patients are searched in milliseconds.
"""

import datetime as dt
import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from clinic_booking.models import User
from clinic_booking.rows import all_rows
from patients import vault
from patients.access import clinic_ids
from patients.identity import whole_number
from patients.models import Patient

SHOWN = 8
LEAST, LEAST_CJK = 3, 2
# How many are looked at where a beginning is common; whose words are exactly those that were typed come first.
LOOKED_AT = 400
SIMILAR = 0.82

is_cjk = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af]").search
is_masked_id = re.compile(r"\d{3}[a-z]", re.IGNORECASE | re.ASCII).fullmatch
is_phone = re.compile(r"\+?[\d\s()./-]+", re.ASCII).fullmatch
words_in = re.compile(r"[^\W_]+").findall

# Apps to the right find patients by what they know of them: the reference of a booking, of a contract.
Finder = Callable[[str], Iterable[int]]
_finders: list[Finder] = []


def register(finder: Finder) -> Finder:
    """The finder gets what was typed, without spaces around it, and gives primary keys of patients."""
    _finders.append(finder)
    return finder


def folded(name: str) -> str:
    """As `patients_words` in the database: small letters without accents, one space between words."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return " ".join(words_in(plain.lower()))


def repeated(asked: str) -> str:
    """What of it a page may show again: no identity number."""
    return "" if whole_number(asked) else asked


def is_enough(asked: str) -> bool:
    asked = asked.strip()
    return len(asked) >= (LEAST_CJK if is_cjk(asked) else LEAST)


def find_patients(asked: str, *, by: User, limit: int = SHOWN) -> list[Patient]:
    """At most `limit` of whom the user may see, the best first. Fewer than 3 characters (2 of CJK) find nobody.

    A whole NRIC or FIN finds who has it: it must not come in an address, where logs would keep it.
    """
    asked = asked.strip()[:80]
    if not is_enough(asked):
        return []
    if number := whole_number(asked):
        seen = Patient.objects.visible_to(by)
        return list(seen.filter(pk__in=vault.with_number(number))[:limit])
    found: dict[int, None] = {}
    if is_masked_id(asked):
        found |= dict.fromkeys(_ids("masked_id = %(value)s", asked.upper(), limit, by))
    for finder in _finders:
        found |= dict.fromkeys(finder(asked))
    if len(found) < limit:
        found |= dict.fromkeys(_by_name_and_phone(asked, limit, by))
    patients = Patient.objects.visible_to(by).in_bulk(list(found)[: limit * 2])
    return [patients[pk] for pk in found if pk in patients][:limit]


def _by_name_and_phone(asked: str, limit: int, by: User) -> list[int]:
    if is_phone(asked):
        words, digits = [], re.sub(r"\D", "", asked)
    else:
        words = folded(asked).split()
        digits = "".join(word for word in words if word.isdecimal() and len(word) >= LEAST)
        words = [word for word in words if not word.isdecimal()]
    if not words:
        return _by_phone(digits, limit, by) if len(digits) >= LEAST else []
    return _by_name(words, digits, limit, by)


# Known at a clinic of who asks, or opened by breaking the glass.
KNOWN = """(EXISTS (
    SELECT FROM patients_patientclinic known
    WHERE known.patient_id = patients_patient.id AND known.clinic_id = ANY(%(clinics)s)
) OR EXISTS (
    SELECT FROM patients_brokenglass glass WHERE glass.patient_id = patients_patient.id AND glass.user_id = %(user)s
        AND glass.kind = 'elsewhere'
        AND glass.expires_at > clock_timestamp()
))"""

# `patients_words(name)` is the expression of the index patient_words.
BY_NAME = f"""
WITH exact AS MATERIALIZED (
    SELECT id, name, phone FROM patients_patient
    WHERE patients_words(name) @@ %(exact)s::tsquery AND {KNOWN} LIMIT %(many)s
), starts AS MATERIALIZED (
    SELECT id, name, phone FROM patients_patient
    WHERE patients_words(name) @@ %(starts)s::tsquery AND {KNOWN} LIMIT %(many)s
)
SELECT id FROM (SELECT *, 0 AS rank FROM exact UNION ALL SELECT *, 1 FROM starts) found
WHERE %(digits)s = '' OR phone LIKE '%%' || %(digits)s || '%%'
GROUP BY id, name ORDER BY min(rank), name, id LIMIT %(limit)s
"""  # noqa: S608  (constants)


def _by_name(words: list[str], digits: str, limit: int, by: User) -> list[int]:
    params: dict[str, Any] = {
        "exact": " & ".join(f"'{word}'" for word in words),
        "starts": " & ".join(f"'{word}':*" for word in words),
        "digits": digits,
        "many": LOOKED_AT * (10 if digits else 1),
        "limit": limit,
        **_scope(by),
    }
    with connection.cursor() as cursor:
        cursor.execute(BY_NAME, params)
        return [pk for (pk,) in cursor.fetchall()]


def _by_phone(digits: str, limit: int, by: User) -> list[int]:
    """By its beginning with or without the country's code, or by its last digits."""
    found: dict[int, None] = {}
    for begin in (f"+65{digits}%", f"+{digits}%"):
        found |= dict.fromkeys(_ids('phone COLLATE "C" LIKE %(value)s', begin, limit, by))
    found |= dict.fromkeys(_ids('reverse(phone) COLLATE "C" LIKE %(value)s', f"{digits[::-1]}%", limit, by))
    return list(found)


def _ids(condition: str, value: Any, limit: int, by: User | None) -> list[int]:
    """Where `by` is nobody, of all clinics: `duplicates` alone may ask so."""
    # Without an order, so that a common beginning needs no look at all of its rows.
    known = f"AND {KNOWN}" if by else ""
    query = f"""SELECT id FROM (
            SELECT id, name FROM patients_patient WHERE {condition} {known} LIMIT {LOOKED_AT}
        ) found ORDER BY name, id LIMIT %(limit)s"""  # noqa: S608  (constants)
    with connection.cursor() as cursor:
        cursor.execute(query, {"value": value, "limit": limit, **(_scope(by) if by else {})})
        return [pk for (pk,) in cursor.fetchall()]


def _scope(by: User) -> dict[str, Any]:
    return {"clinics": clinic_ids(by), "user": by.pk}


# -- Two of the same person ----------------------------------------------------------------------


def duplicates(
    *, name: str, phone: str = "", birth_date: dt.date | None = None, by: User | None
) -> list[Patient]:
    """Who may be the same person: with this phone, or with such a name and this birth date (or none known).
    Where `by` is nobody, of all clinics: to know that there is one, never to show them."""
    if by is None:
        with all_rows():
            return _duplicates(name, phone, birth_date, Patient.objects.all(), None)
    return _duplicates(name, phone, birth_date, Patient.objects.visible_to(by), by)


def _duplicates(
    name: str, phone: str, birth_date: dt.date | None, people: QuerySet[Patient], by: User | None
) -> list[Patient]:
    words = folded(name)
    found = dict.fromkeys(_ids("phone = %(value)s", phone, SHOWN, by)) if phone else {}
    if words:
        exact = " & ".join(f"'{word}'" for word in words.split())
        named = _ids("patients_words(name) @@ %(value)s::tsquery", exact, LOOKED_AT, by)
        born = _ids("birth_date = %(value)s", birth_date, LOOKED_AT, by) if birth_date else []
        others = people.in_bulk([*named, *born])
        found |= {pk: None for pk, other in others.items() if _is_like(other, words, birth_date)}
    patients = people.in_bulk(list(found))
    return [patients[pk] for pk in found][:SHOWN]


def _is_like(other: Patient, words: str, birth_date: dt.date | None) -> bool:
    if birth_date and other.birth_date and other.birth_date != birth_date:
        return False
    mine, theirs = sorted(words.split()), sorted(folded(other.name).split())
    if mine == theirs:
        return True
    # A part of the name, or another spelling, says something only together with the birth date.
    known = birth_date is not None and other.birth_date == birth_date
    ratio = difflib.SequenceMatcher(a=" ".join(mine), b=" ".join(theirs)).ratio()
    return known and (set(mine) <= set(theirs) or set(theirs) <= set(mine) or ratio >= SIMILAR)
