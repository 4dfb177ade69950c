import datetime as dt

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory
from django.utils import timezone

from clinic_booking import acting, audit, logs
from clinic_booking.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


def recorded(**values):
    return AuditEvent.objects.filter(**values).latest("pk")


def test_what_was_recorded_cannot_be_changed(receptionist):
    audit.record(audit.Action.VIEW, "patient:17", by=receptionist, patient_id=17, fields=["contact"])
    with pytest.raises(DatabaseError, match="append-only"):
        AuditEvent.objects.update(reason="another")


def test_who_from_where_and_in_which_role(receptionist, clinic):
    def view(request):
        audit.record(audit.Action.VIEW, "patient:17", by=receptionist, patient_id=17, clinic_id=clinic.pk)

    token = logs.request_id.set("request-1")
    acting.middleware(view)(RequestFactory().get("/", REMOTE_ADDR="192.0.2.7"))
    logs.request_id.reset(token)
    row = recorded()
    assert (row.role, row.clinic_id, row.ip, row.via) == ("receptionist", clinic.pk, "192.0.2.7", "web")
    assert row.request_id == "request-1"


def test_an_office_is_the_role_without_a_clinic():
    officer = factories.UserFactory(office="privacy_officer")
    audit.record(audit.Action.VIEW, "patient:17", by=officer, patient_id=17)
    assert recorded().role == "privacy_officer"


def test_a_row_is_in_the_month_of_its_time():
    audit.record(audit.Action.LOGIN, "user:1", by=None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM clinic_booking_auditevent")
        assert cursor.fetchone() == (f"clinic_booking_auditevent_{dt.datetime.now(dt.UTC):%Y_%m}",)


@pytest.mark.django_db(transaction=True)
def test_a_list_that_refreshes_adds_only_who_is_new(receptionist):
    for shown in ([1, 2], [2, 1], [2, 3]):
        audit.record_list("list", "refreshing:1", by=receptionist, patients=shown)
    rows = AuditEvent.objects.filter(subject="refreshing:1").order_by("pk")
    assert [(row.patients, row.patient_id, row.count) for row in rows] == [([1, 2], None, 2), (None, 3, 1)]


@pytest.mark.django_db(transaction=True)
def test_a_list_that_was_rolled_back_is_written_again(receptionist):
    with transaction.atomic():
        audit.record_list("list", "rolled-back:1", by=receptionist, patients=[1])
        transaction.set_rollback(True)
    audit.record_list("list", "rolled-back:1", by=receptionist, patients=[1])
    assert recorded(subject="rolled-back:1").patient_id == 1


def test_a_patient_sees_roles_and_no_names(receptionist, clinic, patient):
    since = timezone.now() - dt.timedelta(1)
    audit.record("view", "patient:1", by=receptionist, patient_id=patient.pk, clinic_id=clinic.pk)
    audit.record("view", "patient:1", by=patient.user, patient_id=patient.pk)
    audit.record_list("list", "desk", by=receptionist, patients=[patient.pk, 99], clinic_id=clinic.pk)
    audit.record("view", "patient:99", by=receptionist, patient_id=99, clinic_id=clinic.pk)
    found = audit.accesses_of(patient.pk, since)
    assert {(row["action"], row["role"], row["clinic_id"]) for row in found} == {
        ("view", "receptionist", clinic.pk),
        ("list", "receptionist", clinic.pk),
    }
    assert audit.accesses_of(patient.pk, timezone.now() + dt.timedelta(1)) == []


def test_people_touched_by_somebody_in_a_period(receptionist, clinic):
    before = timezone.now()
    audit.record("view", "patient:1", by=receptionist, patient_id=1, clinic_id=clinic.pk)
    audit.record_list("list", "desk", by=receptionist, patients=[1, 2], clinic_id=clinic.pk)
    audit.record("view", "patient:3", by=None, patient_id=3)
    until = timezone.now() + dt.timedelta(minutes=1)
    assert audit.people_touched(since=before, until=until, actor_id=receptionist.pk) == {
        1: {clinic.pk},
        2: {clinic.pk},
    }
    assert set(audit.people_touched(since=before, until=until)) == {1, 2, 3}
    assert audit.people_touched(since=until, until=until) == {}
