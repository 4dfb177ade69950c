"""Months of looks go by their rule; never what a legal hold or an incident needs; the trail stays proved."""

import datetime as dt
import io
import json

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from clinic_booking import audit, stream
from clinic_booking.audit import seals
from clinic_booking.models import AuditEvent, AuditMonth, AuditSeal
from clinic_booking.retention import deletions
from clinic_booking.retention.models import ErasureCertificate, Incident
from clinic_booking.retention.run import digest, run
from patients.retention import holds
from tests import factories

pytestmark = pytest.mark.django_db
EVENT = "clinic_booking_auditevent"
JANUARY, FEBRUARY = "2020_01", "2020_02"


@pytest.fixture(autouse=True)
def places(settings, tmp_path, monkeypatch):
    settings.BACKUP_DIR, settings.BACKUP_COPY_DIR = str(tmp_path / "backups"), ""
    # The test is one transaction, which is never before its own horizon.
    monkeypatch.setattr(stream, "horizon", lambda: stream.Place(2**62, 0))


@pytest.fixture
def person(patient):
    """Looked at in January of 2020, and on a list in February."""
    with connection.cursor() as cursor:
        for first, until in (("2020-01", "2020-02"), ("2020-02", "2020-03")):
            name = f"{EVENT}_{first.replace('-', '_')}"
            cursor.execute(
                f"CREATE TABLE {name} PARTITION OF {EVENT} FOR VALUES FROM ('{first}-01') TO ('{until}-01')"
            )
        audit.record(audit.Action.VIEW, "patient:old", by=None, patient_id=patient.pk)
        audit.record(audit.Action.LIST, "page:old", by=None, patients=[patient.pk, 7], count=2)
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE {EVENT} SET created_at = '2020-01-05' WHERE subject = 'patient:old'")
        cursor.execute(f"UPDATE {EVENT} SET created_at = '2020-02-05' WHERE subject = 'page:old'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    seals.seal()
    return patient


def months():
    return set(AuditMonth.objects.filter(month__lt="2021").values_list("month", flat=True))


def outcome(**options):
    ran = run(data_class="access_log", operator="test", **options)
    return next(each for each in ran if each.subject == "audit_month")


def test_go_with_a_certificate_and_no_damage(person):
    assert outcome(as_of=dt.date(2022, 1, 31), dry_run=True).due == 0
    assert outcome(as_of=dt.date(2022, 2, 1), dry_run=True).due == 1
    assert months() == {JANUARY, FEBRUARY}
    done = outcome()
    assert (done.due, done.done, done.left, months()) == (2, 2, 0, set())
    proof = ErasureCertificate.objects.get(data_class="access_log")
    assert proof.digests == [digest("audit_month", JANUARY), digest("audit_month", FEBRUARY)]
    assert proof.counts == {"clinic_booking.AuditMonth": 2, "clinic_booking.AuditEvent": 2}
    notes = [json.loads(seal.payload) for seal in AuditSeal.objects.filter(kind="dropped")]
    assert [(note["from"][:7], note["rule"], note["rows"]) for note in notes] == [
        ("2020-01", "access_log 1", 1),
        ("2020-02", "access_log 1", 1),
    ]
    assert [line.ids for line in deletions.since(timezone.now() - dt.timedelta(days=1))] == [
        [JANUARY, FEBRUARY]
    ]
    seals.seal()
    assert list(seals.verify()) == []
    assert outcome().due == 0


def held_person(person, officer):
    holds.preserve(person, "Refused", timezone.now() + dt.timedelta(days=30))
    return set()


def held_period(person, officer):
    holds.ask(by=officer, reason="Claim", period=(dt.date(2020, 2, 20), dt.date(2020, 3, 1)))
    return {JANUARY}


def open_incident(person, officer):
    at = dt.datetime(2020, 1, 20, tzinfo=dt.UTC)
    Incident.objects.create(
        title="Lost", discovered_at=at, made_by=officer, until_at=at + dt.timedelta(days=1)
    )
    return {FEBRUARY}


@pytest.mark.parametrize("needs", [held_person, held_period, open_incident])
def test_stay_while_they_are_needed(person, needs):
    officer = factories.UserFactory(office="privacy_officer")
    free = needs(person, officer)
    done = outcome()
    assert (done.done, done.blocked, done.left) == (len(free), 2 - len(free), 0)
    assert months() == {JANUARY, FEBRUARY} - free
    for month in months():
        with pytest.raises(DatabaseError, match="legal hold"), transaction.atomic():
            ask_database(month)
    seals.seal()
    assert list(seals.verify()) == []
    with connection.cursor() as cursor:  # nobody else may shorten one
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE patients_legalhold SET until_at = now()")
        cursor.execute("SET LOCAL session_replication_role = origin")
    Incident.objects.update(
        decision="not_notifiable", reasons="None", assessed_at=timezone.now(), closed_at=timezone.now()
    )
    assert outcome().left == 0
    assert months() == set()


def test_a_month_that_was_deleted_by_hand_is_damage(person):
    """Of an earlier month than one that went by the rule, too."""
    holds.ask(
        by=factories.UserFactory(office="privacy_officer"),
        reason="Claim",
        period=(dt.date(2020, 1, 10), dt.date(2020, 1, 11)),
    )
    outcome()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {EVENT}_{JANUARY}")
    assert [each.what for each in seals.verify()] == ["deleted"]


def ask_database(month, role="clinic_app"):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {role}")
        cursor.execute("SELECT audit_drop_month(%s)", [month])


def test_the_database_drops_nothing_before_its_time(person):
    young = AuditMonth.objects.latest("month").month
    with pytest.raises(DatabaseError, match="not out of time"), transaction.atomic():
        ask_database(young)
    with pytest.raises(DatabaseError, match="no looks of"), transaction.atomic():
        ask_database("1999_01")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        ask_database(JANUARY, role="clinic_visitor")
    late = outcome(as_of=timezone.localdate() + dt.timedelta(days=3000))
    assert (late.done, late.left > 0, months()) == (2, True, set())
    assert AuditMonth.objects.filter(month=young).exists()


def test_changes_stay_as_long_as_the_record(person):
    ran = run(data_class="change_log", operator="test")
    assert ran == []
    assert AuditEvent._meta.db_table == EVENT


def test_command_says_what_went(person):
    assert dropped("--dry-run")["due"] == 2
    assert months() == {JANUARY, FEBRUARY}
    assert dropped()["dropped"] == [f"{EVENT}_{JANUARY}", f"{EVENT}_{FEBRUARY}"]
    assert dropped()["dropped"] == []


def dropped(*words):
    out = io.StringIO()
    call_command("drop_audit", *words, "--json", stdout=out)
    return json.loads(out.getvalue())
