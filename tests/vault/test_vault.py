import json
import logging

import pytest
from django.db import IntegrityError, connection, transaction

from clinic_booking import crypto
from clinic_booking.errors import NotAllowed, TooManyRequests
from clinic_booking.logs import JsonFormatter
from clinic_booking.models import AuditEvent, Event, User
from patients import vault
from patients.identity import Kind, parse
from patients.models import Identifier
from scheduling.models import Membership
from tests import factories
from tests.race import together
from tests.vault.finding import find_patients
from tests.vault.keys import key, number

Role = Membership.Role
NUMBER, OTHER = number("S", "8012345"), number("T", "0198765")
nric = parse(Kind.NRIC, NUMBER)


@pytest.fixture
def staff(clinic):
    return {role: factories.MembershipFactory(clinic=clinic, role=role).user for role in Role}


@pytest.fixture
def known(patient, clinic):
    return factories.known(patient, clinic)


def at_desk(patient, by, text=NUMBER, *, seen=True):
    return vault.record(
        patient_id=patient.pk, number=parse("nric", text), source=vault.Source.DESK, by=by, seen=seen
    )


def online(patient, text=NUMBER):
    return vault.record(
        patient_id=patient.pk, number=parse("nric", text), source=vault.Source.PATIENT, by=patient.user
    )


def test_number_is_sealed_and_its_end_is_shown(patient, receptionist):
    kept = at_desk(patient, receptionist)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_jsonb(i)::text, to_jsonb(p)::text FROM patients_identifier i, patients_patient p"
        )
        assert not [text for row in cursor.fetchall() for text in row if NUMBER[1:8] in text]
    assert Identifier.objects.get().value == NUMBER
    assert (kept.masked, str(kept), kept.checked_by) == (
        f"•••••{NUMBER[-4:]}",
        f"NRIC {kept.masked}",
        receptionist,
    )
    patient.refresh_from_db()
    assert patient.masked_id == NUMBER[-4:]


def test_whole_number_and_its_end_find_the_patient(patient, other_patient, receptionist):
    at_desk(patient, receptionist)
    for asked in (NUMBER, NUMBER.lower(), f"{NUMBER[:4]} {NUMBER[4:]}", NUMBER[-4:]):
        assert find_patients(asked) == [patient]
    assert find_patients(OTHER) == []


def test_new_number_replaces_the_old_one_which_goes(patient, other_patient, receptionist):
    first = at_desk(patient, receptionist)
    second = at_desk(patient, receptionist, OTHER)
    first.refresh_from_db()
    assert (first.value, first.blind_index, first.ending) == ("", None, NUMBER[-4:])
    assert vault.current(patient) == [second]
    assert (find_patients(NUMBER), find_patients(OTHER)) == ([], [patient])
    assert at_desk(other_patient, receptionist).blind_index  # it was a mistake: now it is at its own record
    patient.refresh_from_db()
    assert patient.masked_id == OTHER[-4:]


def test_number_of_another_is_refused_at_the_desk(patient, other_patient, receptionist):
    at_desk(patient, receptionist)
    with pytest.raises(vault.NumberTaken) as refused:
        at_desk(other_patient, receptionist)
    assert patient.name not in str(refused.value)
    assert Identifier.objects.get().patient == patient
    assert Event.objects.filter(topic="identity.recorded").count() == 1


def test_stranger_is_not_told_that_a_number_is_known(patient, other_patient, receptionist):
    at_desk(patient, receptionist)
    claimed = online(other_patient)
    assert (claimed.is_clash, claimed.masked) == (True, f"•••••{NUMBER[-4:]}")
    assert find_patients(NUMBER) == [patient]
    with pytest.raises(vault.NumberTaken):
        at_desk(other_patient, receptionist)
    vault.forget(patient_id=patient.pk)
    assert not at_desk(other_patient, receptionist).is_clash
    assert find_patients(NUMBER) == [other_patient]


def test_what_the_desk_has_seen_the_patient_cannot_change(patient, receptionist):
    assert online(patient).checked_at is None
    assert online(patient, OTHER).checked_at is None
    seen = at_desk(patient, receptionist, OTHER)
    assert (seen.source, seen.checked_by) == ("patient", receptionist)
    with pytest.raises(vault.NumberChecked):
        online(patient)
    assert vault.current(patient) == [seen]


def test_passport_stands_beside_the_nric(patient, receptionist):
    passport = parse("passport", "A1234567", "MY")
    at_desk(patient, receptionist)
    kept = vault.record(patient_id=patient.pk, number=passport, source=vault.Source.DESK, by=receptionist)
    assert [each.kind for each in vault.current(patient)] == ["nric", "passport"]
    assert kept.masked == "•••••567"
    patient.refresh_from_db()
    assert patient.masked_id == NUMBER[-4:]
    assert vault.forget(patient_id=patient.pk) == 2
    patient.refresh_from_db()
    assert patient.masked_id == ""


def test_database_refuses_a_second_holder_and_an_open_number(patient, other_patient, receptionist):
    kept = at_desk(patient, receptionist)
    with pytest.raises(IntegrityError, match="blind_index"), transaction.atomic():
        Identifier.objects.create(
            patient=other_patient, kind="nric", country="SG", value=NUMBER, ending=NUMBER[-4:],
            source="desk", blind_index=kept.blind_index,
        )  # fmt: skip
    for column, value in (("value", NUMBER), ("value", ""), ("ending", NUMBER[-5:-1])):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE patients_identifier SET {column} = %s", [value])


@pytest.mark.django_db(transaction=True)
def test_of_two_desks_with_one_number_one_wins(patient, other_patient, receptionist):
    def keep(who):
        return lambda: at_desk(who, receptionist)

    results = together(keep(patient), keep(other_patient))
    assert sorted(type(each).__name__ for each in results) == ["Identifier", "NumberTaken"]
    assert Identifier.objects.count() == 1


def test_number_is_one_whatever_key_its_index_has(patient, other_patient, receptionist, settings):
    old, new = f"old:{key()}", f"new:{key()}"
    settings.BLIND_INDEX_KEYS = f"{old},{new}"
    at_desk(patient, receptionist)
    settings.BLIND_INDEX_KEYS = f"{new},{old}"
    assert find_patients(NUMBER) == [patient]
    with pytest.raises(vault.NumberTaken):
        at_desk(other_patient, receptionist)


# -- Shown whole ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "is_allowed"),
    [("receptionist", True), ("nurse", True), ("manager", True), ("doctor", False), ("finance", False)],
)
def test_who_may_see_a_whole_number(known, staff, clinic, role, is_allowed):
    kept = at_desk(known, staff["receptionist"])
    if is_allowed:
        assert vault.unmask(kept, by=staff[role], reason=vault.Reason.DOCUMENT, clinic=clinic) == NUMBER
        seen = AuditEvent.objects.get(action="unmask")
        assert (seen.actor_id, seen.patient_id, seen.clinic_id) == (staff[role].pk, known.pk, clinic.pk)
        assert (seen.subject, seen.fields, seen.reason) == (f"identifier:{kept.pk}", ["nric"], "document")
    else:
        with pytest.raises(NotAllowed):
            vault.unmask(kept, by=staff[role], reason=vault.Reason.DOCUMENT, clinic=clinic)
        assert not AuditEvent.objects.filter(action="unmask").exists()


def test_not_at_a_clinic_where_the_patient_is_not_known(staff, clinic):
    kept = at_desk(factories.PatientFactory(), staff["receptionist"])
    for where in (clinic, None):
        with pytest.raises(NotAllowed):
            vault.unmask(kept, by=staff["manager"], reason=vault.Reason.DOCUMENT, clinic=where)


def test_of_the_offices_the_privacy_officer_alone(patient, receptionist):
    kept = at_desk(patient, receptionist)
    officer = factories.UserFactory(office=User.Office.PRIVACY_OFFICER)
    assert vault.unmask(kept, by=officer, reason=vault.Reason.REQUEST) == NUMBER
    for user in (
        factories.UserFactory(office=User.Office.SYSTEM_ADMIN),
        factories.UserFactory(is_admin=True),
    ):
        with pytest.raises(NotAllowed):
            vault.unmask(kept, by=user, reason=vault.Reason.REQUEST)


def test_not_too_many_an_hour(known, staff, clinic, settings):
    settings.UNMASKED_AN_HOUR = 2
    kept = at_desk(known, staff["receptionist"])

    def look(by):
        return vault.unmask(kept, by=by, reason=vault.Reason.DOCUMENT, clinic=clinic)

    assert [look(staff["nurse"]) for _ in range(2)] == [NUMBER, NUMBER]
    with pytest.raises(TooManyRequests):
        look(staff["nurse"])
    assert look(staff["manager"]) == NUMBER
    assert AuditEvent.objects.filter(action="unmask").count() == 3


def test_no_event_and_no_log_has_the_number(known, staff, clinic, caplog):
    with caplog.at_level(logging.DEBUG):
        kept = at_desk(known, staff["receptionist"])
        vault.unmask(kept, by=staff["nurse"], reason=vault.Reason.DOCUMENT, clinic=clinic)
        find_patients(NUMBER)
    texts = [json.dumps(event.data) for event in Event.objects.all()]
    texts += [json.dumps([e.subject, e.fields, e.reason]) for e in AuditEvent.objects.all()]
    texts += [record.getMessage() for record in caplog.records if record.name != "django.db.backends"]
    assert len(texts) >= 2
    assert not [text for text in texts if NUMBER[1:8] in text]
    assert crypto.index(nric.indexed) == kept.blind_index


def test_log_line_masks_a_number_that_slipped_in():
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "no such patient: %s", (NUMBER.lower(),), None)
    line = JsonFormatter().format(record)
    assert NUMBER[1:8] not in line
    assert f"[id …{NUMBER[-4:].lower()}]" in line
