import datetime as dt
import io
import json

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from clinic_booking import audit, stream
from clinic_booking.audit import changes, jobs, seals
from clinic_booking.models import AuditEvent, AuditSeal
from scheduling import consistency
from tests import factories

pytestmark = pytest.mark.django_db
EVENT, CHANGE = "clinic_booking_auditevent", "clinic_booking_auditchange"


@pytest.fixture(autouse=True)
def all_is_certain(monkeypatch):
    """The test is one transaction, which is never before its own horizon."""
    monkeypatch.setattr(stream, "horizon", lambda: stream.Place(2**62, 0))


@pytest.fixture
def sealed(patient):
    for n in range(3):
        audit.record(audit.Action.VIEW, f"patient:{n}", by=None, patient_id=n)
    seals.seal()
    audit.record(audit.Action.VIEW, "patient:4", by=None, patients=[4, 5])
    seals.seal()
    assert list(seals.verify()) == []


def as_superuser(sql, *params):
    """Who owns the cluster can switch the triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, params)
        cursor.execute("SET LOCAL session_replication_role = origin")


def found(**options):
    return [(each.what, each.where.split(",")[0]) for each in seals.verify(**options)]


def nth(n):
    return AuditEvent.objects.order_by("pk").values_list("pk", flat=True)[n]


def test_a_sound_chain_is_sound(sealed):
    assert AuditSeal.objects.filter(kind="events").count() == 2
    assert AuditSeal.objects.filter(kind="changes").count() == 1
    told = []
    assert list(seals.verify(tell=lambda done, of: told.append((done, of)))) == []
    assert told[-1] == (3, 3)
    assert changes.unwatched_tables() == []


@pytest.mark.parametrize(
    "column", ["actor_id = 99", "created_at = created_at - interval '1 second'", "reason = 'x'"]
)
def test_a_changed_row_is_named(sealed, column):
    as_superuser(f"UPDATE {EVENT} SET {column} WHERE id = %s", nth(1))
    assert found() == [("changed", f"{EVENT} {nth(1)}")]


def test_a_deleted_row_is_named(sealed):
    gone = nth(1)
    as_superuser(f"DELETE FROM {EVENT} WHERE id = %s", gone)
    assert found() == [("deleted", f"{EVENT} {gone}")]


def test_an_inserted_row_is_named(sealed):
    audit.record(audit.Action.VIEW, "patient:7", by=None)
    late = AuditEvent.objects.latest("pk").pk
    as_superuser(f"UPDATE {EVENT} SET xact = xact - 1 WHERE id = %s", late)
    assert found() == [("inserted", f"{EVENT} {late}")]


def test_a_moved_row_is_named(sealed):
    as_superuser(f"UPDATE {EVENT} SET xact = xact + 1 WHERE id = %s", nth(0))
    assert found() == [("moved", f"{EVENT} {nth(0)}")]


def test_swapped_rows_are_named(sealed):
    first, second = nth(0), nth(1)
    for old, new in ((first, 10**9), (second, first), (10**9, second)):
        as_superuser(f"UPDATE {EVENT} SET id = %s WHERE id = %s", new, old)
    assert {what for what, _where in found()} == {"changed"}


def test_changed_values_of_the_change_log_are_named(sealed, patient):
    as_superuser(
        f"""UPDATE {CHANGE} SET kept = '{{"name": [null, "X"]}}' WHERE table_name = 'patients_patient'"""
    )
    assert [what for what, _where in found()] == ["values"]


def test_values_may_be_emptied_when_a_record_is_made_anonymous(sealed, patient):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {CHANGE} SET kept = NULL, salt = NULL WHERE patient_id = %s", [patient.pk])
    assert found() == []


def test_a_missing_seal_is_a_gap(sealed):
    as_superuser("DELETE FROM clinic_booking_auditseal WHERE number = 2")
    assert ("gap", f"seals 2 to 2 before seal 3 of {timezone.localdate()} are missing") in found()


def test_a_seal_without_the_key_is_a_forgery(sealed, settings):
    as_superuser("UPDATE clinic_booking_auditseal SET count = 2 WHERE number = 1")
    assert ("seal", f"seal 1 of {timezone.localdate()} was changed") in found()


def forged(**values):
    """A seal as whoever can write the table makes one."""
    last = AuditSeal.objects.last()
    made = {"number": last.number + 1, "day": last.day, "previous": last.mac, "key_id": last.key_id}
    return AuditSeal(**{**made, "mac": b"forged", **values})


def test_forged_word_of_retention_hides_no_deletion(sealed):
    until = (timezone.now() + dt.timedelta(1)).isoformat()
    forged(kind="dropped", payload=json.dumps({"until": until, "table": EVENT})).save(force_insert=True)
    gone = nth(1)
    as_superuser(f"DELETE FROM {EVENT} WHERE id = %s", gone)
    assert {what for what, _where in found()} == {"seal", "deleted"}


def test_seal_of_another_chain_is_named(sealed):
    """Sound in itself, as of a copy that went its own way."""
    seal = forged(kind="closing", previous=b"another")
    seal.mac = seals._seal_mac(seals.keys()[0], seal)
    seal.save(force_insert=True)
    assert found() == [("seal", f"seal {seal.number} of {seal.day} does not follow the seal before it")]


def test_hash_of_a_row_needs_the_key():
    """Else a name could be guessed from it."""
    row = (1, 2, "view", False)
    assert seals._row_mac(b"one", "events", row) != seals._row_mac(b"two", "events", row)


def test_another_key_seals_and_the_old_one_proves(sealed, settings):
    settings.AUDIT_KEYS = ["new", *settings.AUDIT_KEYS]
    audit.record(audit.Action.VIEW, "patient:8", by=None)
    seals.seal()
    assert found() == []
    settings.AUDIT_KEYS = ["new"]
    assert {what for what, _where in found()} >= {"seal"}


def test_each_day_is_closed_and_a_missing_day_is_named(sealed, monkeypatch):
    today = timezone.localdate()
    monkeypatch.setattr(timezone, "localdate", lambda: today + dt.timedelta(2))
    audit.record(audit.Action.VIEW, "patient:9", by=None)
    seals.seal()
    closed = AuditSeal.objects.filter(kind="closing").values_list("day", flat=True)
    assert list(closed) == [today, today + dt.timedelta(1)]
    assert found() == []
    as_superuser("DELETE FROM clinic_booking_auditseal WHERE kind = 'closing' AND day = %s", today)
    assert ("day", f"{today} was not closed") in found()
    assert ("day", f"{today} was not closed") in found(day=today)


def test_the_digest_of_a_day_is_mailed_and_compared(sealed, monkeypatch):
    today = timezone.localdate()
    monkeypatch.setattr(timezone, "localdate", lambda: today + dt.timedelta(1))
    jobs.announce_audit_day(timestamp=0)
    digest = bytes(AuditSeal.objects.get(kind="closing").mac).hex()
    assert mail.outbox[-1].body.startswith(digest)
    assert run("--day", str(today), "--digest", digest)["damage"] == []
    with pytest.raises(SystemExit):
        run("--day", str(today), "--digest", "another")


def run(*words):
    out = io.StringIO()
    call_command("verify_audit", *words, "--json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


def test_the_command_ends_with_one_on_damage(sealed, capsys):
    assert run()["damage"] == []
    as_superuser(f"DELETE FROM {EVENT} WHERE id = %s", nth(0))
    out = io.StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("verify_audit", stdout=out, stderr=io.StringIO())
    assert stopped.value.code == 1
    assert out.getvalue().startswith(f"deleted: {EVENT}")


def test_what_retention_dropped_is_no_damage(sealed):
    a_day = dt.timedelta(1)
    seals.dropped(timezone.now() - a_day, timezone.now() + a_day, EVENT, rule="access_log 1", rows=1)
    as_superuser(f"DELETE FROM {EVENT}")
    assert found() == []


def test_after_a_restore_another_count_begins(sealed):
    as_superuser(f"UPDATE {EVENT} SET xact = xact WHERE false")
    seals.restored()
    audit.record(audit.Action.VIEW, "patient:11", by=None)
    as_superuser(
        f"UPDATE {EVENT} SET xact = 5 WHERE subject = 'patient:11'"
    )  # a younger cluster counts from small
    seals.seal()
    assert found() == []
    assert seals.last_place("events").xact == 5


def test_rows_that_nobody_sealed_are_told_of(sealed):
    audit.record(audit.Action.VIEW, "patient:12", by=None)
    as_superuser(
        f"UPDATE {EVENT} SET created_at = created_at - interval '40 minutes' WHERE subject = 'patient:12'"
    )
    assert found() == [("unsealed", f"{EVENT}: 1 rows from {AuditEvent.objects.latest('pk').pk} on")]


@pytest.mark.parametrize("table", ["auditevent", "auditchange", "auditseal"])
@pytest.mark.parametrize("role", ["clinic_app", "clinic_visitor"])
@pytest.mark.parametrize("act", ["DELETE FROM", "TRUNCATE"])
def test_nobody_else_may_change_the_trails(table, role, act):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"SET LOCAL ROLE {role}")
        with pytest.raises(DatabaseError, match="permission denied"):
            cursor.execute(f"{act} clinic_booking_{table}")


def test_the_application_writes_without_being_the_owner(receptionist, clinic):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE clinic_app")
        audit.record(audit.Action.VIEW, "patient:1", by=receptionist, clinic_id=clinic.pk)
        factories.PatientFactory()
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            cursor.execute(f"INSERT INTO {CHANGE} (table_name) VALUES ('forged')")
        cursor.execute("SELECT audit_partitions(3)")
        assert cursor.fetchone()[0] <= 1
        cursor.execute("RESET ROLE")
    assert AuditEvent.objects.latest("pk").role == "receptionist"


def test_quick_checks_find_a_gap_and_a_sleeping_trigger(sealed):
    assert [each.name for each in consistency.broken() if "audit" in each.name or "look" in each.name] == []
    as_superuser("DELETE FROM clinic_booking_auditseal WHERE number = 2")
    names = [each.name for each in consistency.broken()]
    assert "each seal of the audit trail follows the one before" in names
