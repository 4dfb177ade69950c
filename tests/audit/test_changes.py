import pytest
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory

from clinic_booking import acting, audit
from clinic_booking.audit import changes
from clinic_booking.models import AuditChange, User
from patients.models import Patient
from scheduling.models import Membership
from tests import factories

pytestmark = pytest.mark.django_db


def last(table, **values):
    return AuditChange.objects.filter(table=table, **values).latest("pk")


def as_web_request_of(user, act):
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")
    request.user = user
    return acting.middleware(lambda _request: act())(request)


def test_a_change_says_who_what_and_whose(receptionist, patient):
    def act():
        patient.phone = "+6590001234"
        patient.save()

    before = patient.phone
    as_web_request_of(receptionist, act)
    row = last("patients_patient")
    assert (row.operation, row.fields, row.patient_id) == ("U", ["phone"], patient.pk)
    assert row.kept == {"phone": [before, "+6590001234"]}
    assert (row.actor_id, row.via, row.ip) == (receptionist.pk, "web", "192.0.2.7")


def test_plain_sql_is_written_down_too(patient):
    """As of psql, which tells nothing."""
    with connection.cursor() as cursor:
        cursor.execute("/* psql */ SET LOCAL clinic.acting = ''")
        cursor.execute(
            "/* psql */ UPDATE patients_patient SET email = 'x@example.com' WHERE id = %s", [patient.pk]
        )
        cursor.execute("SELECT session_user")
        row = last("patients_patient")
        assert (row.fields, row.actor_id, row.via) == (["email"], None, f"sql:{cursor.fetchone()[0]}")


def test_made_and_deleted_rows_are_changes(receptionist):
    membership = Membership.objects.get(user=receptionist)
    made = last("scheduling_membership")
    assert (made.operation, made.kept["role"]) == ("I", [None, "receptionist"])
    membership.delete()
    gone = last("scheduling_membership")
    assert (gone.operation, gone.kept["role"]) == ("D", ["receptionist", None])


def test_a_password_leaves_its_name_only():
    user = factories.UserFactory()
    user.set_password("another-long-sentence")
    user.save()
    row = last("clinic_booking_user")
    assert (row.fields, row.kept) == (["password"], None)
    assert "password" not in last("clinic_booking_user", operation="I").kept


def test_the_time_of_a_login_is_no_change():
    user = factories.UserFactory()
    before = AuditChange.objects.count()
    User.objects.filter(pk=user.pk).update(last_login="2026-01-05T00:00Z")
    User.objects.filter(pk=user.pk).update(email=user.email)
    assert AuditChange.objects.count() == before


def test_only_what_was_kept_can_be_emptied(patient):
    row = last("patients_patient")
    for change in (
        {"via": "web"},
        {"kept": {"name": ["a", "b"]}},
        {"kept": None, "salt": None, "via": "web"},
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            AuditChange.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditChange.objects.filter(pk=row.pk).delete()
    AuditChange.objects.filter(patient_id=patient.pk).update(kept=None, salt=None)
    row.refresh_from_db()
    assert row.kept is None
    assert row.digest


def test_whose_record_was_changed_counts_as_touched(receptionist, patient):
    as_web_request_of(receptionist, lambda: Patient.objects.filter(pk=patient.pk).update(name="Another"))
    row = last("patients_patient")
    found = audit.people_touched(
        since=row.created_at, until=row.created_at.max.replace(tzinfo=row.created_at.tzinfo)
    )
    assert found == {patient.pk: {None}}


def test_every_table_is_watched_or_has_a_reason():
    assert changes.unwatched_tables() == []
    assert {"patients_patient", "scheduling_booking", "billing_bill", "mfa_authenticator"} <= set(
        changes.watched()
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE patients_patient DISABLE TRIGGER audit_change")
    assert changes.unwatched_tables() == ["patients_patient"]
