"""Append-only by permission: what the roles of web and worker may do to the trails, column by column."""

import pytest
from django.db import DatabaseError, connection, transaction

from clinic_booking import audit
from clinic_booking.rows import APP, VISITOR

pytestmark = pytest.mark.django_db
TRAILS = ("clinic_booking_auditevent", "clinic_booking_auditchange", "clinic_booking_auditseal")
ALLOWED = {
    ("clinic_booking_auditevent", APP): {"SELECT", "INSERT"},
    ("clinic_booking_auditevent", VISITOR): {"SELECT", "INSERT"},
    ("clinic_booking_auditevent_rest", APP): {"SELECT", "INSERT"},
    ("clinic_booking_auditevent_rest", VISITOR): {"SELECT", "INSERT"},
    ("clinic_booking_auditchange", APP): {"SELECT"},
    ("clinic_booking_auditchange", VISITOR): {"SELECT"},
    ("clinic_booking_auditseal", APP): {"SELECT", "INSERT"},
    ("clinic_booking_auditseal", VISITOR): {"SELECT"},
}
RIGHTS = """
SELECT c.relname, r.role, p.name FROM pg_class c, unnest(%s::text[]) r(role),
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p(name)
WHERE c.relkind IN ('r', 'p') AND c.relname ~ '^clinic_booking_audit(event|change|seal)' AND c.relnamespace =
    current_schema()::regnamespace AND has_table_privilege(r.role, c.oid, p.name)
"""
COLUMNS = """
SELECT c.relname, a.attname, r.role FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, unnest(%s::text[]) r(role)
WHERE c.relname ~ '^clinic_booking_audit(event|change|seal)' AND c.relkind IN ('r', 'p') AND a.attnum > 0
    AND NOT a.attisdropped AND has_column_privilege(r.role, c.oid, a.attnum, 'UPDATE')
"""


def asked(query):
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_partitions(4)")  # those of months to come too
        cursor.execute(query, [[APP, VISITOR]])
        return cursor.fetchall()


def test_the_roles_may_add_and_read_and_nothing_else():
    found = {}
    for table, role, right in asked(RIGHTS):
        found.setdefault((table, role), set()).add(right)
    assert found == ALLOWED


def test_only_what_was_kept_of_a_record_may_be_emptied():
    changed = {(table, column, role) for table, column, role in asked(COLUMNS)}
    assert changed == {(TRAILS[1], "kept", APP), (TRAILS[1], "salt", APP)}


def test_no_part_is_written_past_its_table():
    audit.record(audit.Action.LOGIN, "user:1", by=None)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {TRAILS[0]}")
        (month,) = cursor.fetchone()
        for role in (APP, VISITOR):
            for sql in ("DELETE FROM {}", "UPDATE {} SET reason = ''", "INSERT INTO {} DEFAULT VALUES"):
                cursor.execute(f"SET LOCAL ROLE {role}")
                with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                    cursor.execute(sql.format(month))
