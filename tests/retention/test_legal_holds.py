"""What is under a legal hold is neither deleted nor made anonymous, whoever tries; all else goes on."""

import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from clinic_booking.errors import NotAllowed
from clinic_booking.models import AuditEvent
from patients.models import Patient
from patients.retention import holds
from patients.retention.models import LegalHold
from tests import factories

pytestmark = pytest.mark.django_db


def is_refused(sql, *values):
    with (
        pytest.raises(IntegrityError, match="legal hold"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, values)
    return True


def made_before(row):
    """Not in this transaction, in which what is made may be taken back."""
    type(row).objects.filter(pk=row.pk).update(created_at=timezone.now() - dt.timedelta(days=1))
    return row


def test_plain_sql_neither_deletes_nor_anonymises(patient, officer):
    booking = made_before(factories.BookingFactory(patient=patient, note="Rash"))
    made_before(patient)
    holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    assert is_refused("DELETE FROM patients_patient WHERE id = %s", patient.pk)
    assert is_refused("DELETE FROM scheduling_booking WHERE id = %s", booking.pk)
    assert is_refused("DELETE FROM scheduling_visitticket WHERE patient_id = %s", patient.pk)
    assert is_refused("UPDATE patients_patient SET anonymised_at = now() WHERE id = %s", patient.pk)
    assert is_refused("UPDATE patients_patient SET name = '' WHERE id = %s", patient.pk)
    assert is_refused("UPDATE patients_patient SET name = 'X', email = 'x', phone = 'x'")
    assert is_refused("UPDATE scheduling_booking SET note = '' WHERE id = %s", booking.pk)


def test_life_of_a_held_patient_goes_on(patient, officer):
    holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    booking = factories.BookingFactory(patient=patient)
    type(booking).objects.filter(pk=booking.pk).update(status="arrived", arrived_at=timezone.now())
    Patient.objects.filter(pk=patient.pk).update(name="Nurul Aisyah Binte Ali", phone="+6590000001")
    patient.refresh_from_db()
    assert patient.name == "Nurul Aisyah Binte Ali"


def test_others_are_not_held(patient, other_patient, officer):
    holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    Patient.objects.filter(pk=other_patient.pk).update(anonymised_at=timezone.now(), name="")
    assert holds.is_held(patient.pk)
    assert not holds.is_held(other_patient.pk)


def test_period_holds_all_who_had_an_appointment(patient, other_patient, officer, clinic):
    booking = factories.BookingFactory(patient=patient, clinic=clinic)
    day = clinic.local_date(booking.starts_at)
    holds.ask(by=officer, reason="Inspection", period=(day, day), clinic_id=clinic.pk)
    assert holds.is_held(patient.pk)
    assert not holds.is_held(other_patient.pk)


@pytest.mark.parametrize("days", [-1, 1])
def test_period_ends_with_the_clinics_day(patient, officer, clinic, days):
    booking = factories.BookingFactory(patient=patient, clinic=clinic)
    day = clinic.local_date(booking.starts_at) + dt.timedelta(days=days)
    holds.ask(by=officer, reason="Inspection", period=(day, day))
    assert not holds.is_held(patient.pk)


def test_two_persons_set_and_lift_it(patient, officer, second):
    hold = holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    with pytest.raises(holds.SamePerson):
        holds.confirm(hold=hold, by=officer)
    holds.confirm(hold=hold, by=second)
    holds.ask_lift(hold=hold, reason="Settled", by=officer)
    hold.refresh_from_db()
    with pytest.raises(holds.SamePerson):
        holds.lift(hold=hold, by=officer)
    assert holds.is_held(patient.pk)
    holds.lift(hold=hold, by=second)
    assert not holds.is_held(patient.pk)
    noted = AuditEvent.objects.filter(subject=f"legal_hold:{hold.pk}").values_list("fields", flat=True)
    assert [name for [name] in noted.order_by("pk")] == ["asked", "confirmed", "lift_asked", "lifted"]


def test_second_person_cannot_be_anybody(patient, officer, receptionist):
    hold = holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    with pytest.raises(NotAllowed):
        holds.confirm(hold=hold, by=receptionist)
    with pytest.raises(NotAllowed):
        holds.ask(by=receptionist, reason="Claim 18", patient_id=patient.pk)


def test_database_wants_two_persons_too(patient, officer):
    hold = holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    with pytest.raises(IntegrityError, match="set_by_two"), transaction.atomic():
        LegalHold.objects.filter(pk=hold.pk).update(confirmed_by=officer, confirmed_at=timezone.now())
    with pytest.raises(IntegrityError, match="lifted_by_two"), transaction.atomic():
        LegalHold.objects.filter(pk=hold.pk).update(lifted_at=timezone.now(), lifted_by=officer)


def test_unconfirmed_hold_ends_after_a_week(patient, officer):
    hold = holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    long_ago = timezone.now() - dt.timedelta(days=8)
    LegalHold.objects.filter(pk=hold.pk).update(asked_at=long_ago)
    assert not holds.is_held(patient.pk)
    assert not LegalHold.objects.in_force(timezone.now()).exists()


def test_refused_hold_is_over(patient, officer, second):
    hold = holds.ask(by=officer, reason="Claim 17", patient_id=patient.pk)
    holds.refuse(hold=hold, by=second)
    assert not holds.is_held(patient.pk)
    with pytest.raises(holds.HoldIsOver):
        holds.confirm(hold=hold, by=second)


def test_refused_access_preserves_until_a_day(patient):
    hold = holds.preserve(patient, "Access refused", timezone.now() + dt.timedelta(days=30))
    assert holds.is_held(patient.pk)
    LegalHold.objects.filter(pk=hold.pk).update(until_at=timezone.now())
    assert not holds.is_held(patient.pk)


def test_consent_of_the_anonymous_may_go(patient, other_patient):
    mine, theirs = (factories.ConsentFactory(patient=each) for each in (patient, other_patient))
    Patient.objects.filter(pk=patient.pk).update(anonymised_at=timezone.now())
    mine.delete()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        theirs.delete()
