"""When acting for somebody ends: by the database, whatever the program forgets."""

import datetime as dt

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from clinic_booking.models import AuditEvent, ClockTimestamp, Event
from patients import contacts
from patients.models import Patient, Proxy
from patients.proxies import acts
from tests.factories import ClinicFactory, PatientFactory
from tests.proxies.given import SINGAPORE, backdate, child, given

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("born", "age", "day"),
    [
        ("2012-02-29", 18, "2030-03-01"),
        ("2012-02-29", 16, "2028-02-29"),
        ("2010-03-01", 18, "2028-03-01"),
        ("2010-12-31", 21, "2031-12-31"),
    ],
)
def test_birthdays_begin_at_midnight_in_the_clinics_zone(born, age, day):
    with connection.cursor() as cursor:
        cursor.execute("SELECT patients_birthday(%s, %s, 'Asia/Singapore')", [born, age])
        (found,) = cursor.fetchone()
    assert found.astimezone(SINGAPORE).isoformat() == f"{day}T00:00:00+08:00"


def test_a_parent_acts_until_the_birthday_and_follows_a_corrected_birth_date(settings):
    settings.PROXY_MINOR_UNTIL_AGE = 16
    proxy = given(child(name="Mia"))
    born = proxy.patient.birth_date
    assert proxy.ends_at.astimezone(SINGAPORE).date() == born.replace(year=born.year + 16)
    corrected = born.replace(year=born.year + 1)
    contacts.change_contact(
        patient_id=proxy.patient_id, by=proxy.user, clinic_id=ClinicFactory().pk, birth_date=corrected
    )
    proxy.refresh_from_db()
    assert proxy.ends_at.astimezone(SINGAPORE).date() == corrected.replace(year=corrected.year + 16)
    Patient.objects.filter(pk=proxy.patient_id).update(birth_date="1990-05-05")
    assert not Patient.objects.belonging_to(proxy.user).exists()


def test_a_parent_of_the_grown_up_or_of_unknown_age_does_not_act():
    with pytest.raises(acts.NotAMinor):
        given(PatientFactory())
    with pytest.raises(acts.NoBirthDate):
        given(PatientFactory(birth_date=None))
    own = PatientFactory(with_login=True)
    with pytest.raises(acts.OwnRecord):
        given(own, own.user, "spouse")
    assert not Proxy.objects.exists()


def test_all_others_act_for_five_years_at_most():
    proxy = given(PatientFactory(), relation="spouse")
    assert dt.timedelta(days=1825) < proxy.ends_at - proxy.starts_at < dt.timedelta(days=1828)
    for change in ("ends_at = ends_at + interval '1 day'", "relation = 'child'", "starts_at = now()"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE patients_proxy SET {change}")
    with pytest.raises(DatabaseError), transaction.atomic():
        proxy.delete()


def test_what_has_ended_stays_so_and_can_be_given_anew():
    proxy = given()
    assert acts.end(proxy=proxy, reason=Proxy.End.BY_PROXY, by=proxy.user)
    assert not acts.end(proxy=proxy, reason=Proxy.End.BY_DESK, by=proxy.user)
    with pytest.raises(IntegrityError), transaction.atomic():
        Proxy.objects.update(revoked_at=None, end_reason="")
    given(proxy.patient, proxy.user)
    with pytest.raises(acts.ActsAlready):
        given(proxy.patient, proxy.user, relation="guardian")
    actions = AuditEvent.objects.filter(subject__startswith="proxy:").order_by("id")
    assert [each.action for each in actions] == ["grant", "revoke", "grant"]


def test_the_daily_job_closes_what_is_over_once():
    proxy = given(PatientFactory(), relation="caregiver")
    running = given()
    backdate(proxy)
    assert not Patient.objects.belonging_to(proxy.user).exists()  # whether the job ran or not
    assert (acts.end_due(), acts.end_due()) == (1, 0)
    proxy.refresh_from_db()
    assert proxy.end_reason == Proxy.End.RUN_OUT
    assert Proxy.objects.live().get() == running
    assert Event.objects.get(topic="proxy.ended").data["why"] == "run_out"
    given(proxy.patient, proxy.user, relation="caregiver")  # renewed


def test_clock_of_the_database_decides():
    given(PatientFactory(), relation="spouse")
    assert Proxy.objects.filter(starts_at__lte=ClockTimestamp()).exists()
