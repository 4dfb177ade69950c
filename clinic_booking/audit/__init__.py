"""Who looked at or did what to whose record. Ids and codes only: no name, contact or number is written here."""

import datetime as dt
import time
from collections.abc import Iterable
from ipaddress import ip_address

from django.db import connection, transaction

from clinic_booking import acting, logs
from clinic_booking.models import AuditEvent, User

Action = AuditEvent.Action

# `audit_role` is a function of the database: the role at the clinic at this moment, or the office.
INSERT = """
INSERT INTO clinic_booking_auditevent
    (action, subject, patient_id, patients, actor_id, via, role, clinic_id, fields, reason, count, request_id, ip)
SELECT %(action)s, %(subject)s, %(patient)s::bigint, %(patients)s::bigint[], %(actor)s::bigint, %(via)s, w.role,
    w.clinic, %(fields)s::varchar[], %(reason)s, %(count)s, %(request)s, %(ip)s::inet
FROM (SELECT c.clinic, CASE WHEN %(actor)s::bigint IS NULL THEN ''
                       ELSE audit_role(%(actor)s::bigint, c.clinic) END AS role
      FROM (SELECT CASE WHEN %(slug)s = '' THEN %(clinic)s::bigint ELSE audit_clinic(%(slug)s) END AS clinic) c) w
WHERE w.role <> '' OR NOT %(only_staff)s
"""


def record(
    action: str,
    subject: str,
    *,
    by: User | None,
    patient_id: int | None = None,
    clinic_id: int | None = None,
    fields: Iterable[str] = (),
    reason: str = "",
    count: int = 1,
    patients: Iterable[int] = (),
    clinic_slug: str = "",
    only_staff: bool = False,
) -> bool:
    """Joins the caller's transaction: what is rolled back has not happened. `subject` is kind:id, `fields` are names
    of fields or classes of them, `count` is how many records a list showed and `patients` whose they are. With
    `only_staff` nothing is written of who has neither a role at a clinic nor an office. Returns whether it was."""
    who = acting.now()
    values = {
        "action": str(action),
        "subject": subject[:80],
        "patient": patient_id,
        "patients": sorted(set(patients)) or None,
        "actor": by.pk if by else None,
        "via": who.via,
        "clinic": clinic_id,
        "slug": clinic_slug,
        "only_staff": only_staff,
        "fields": list(fields),
        "reason": reason[:200],
        "count": count,
        "request": logs.request_id.get(),
        "ip": _address(who.ip),
    }
    with connection.cursor() as cursor:
        cursor.execute(INSERT, values)
        return bool(cursor.rowcount)


def _address(given: str) -> str | None:
    try:
        return str(ip_address(given))
    except ValueError:
        return None


# -- Lists that are asked for again and again ----------------------------------------------------

AGAIN_SECONDS = 600
MOST_KNOWN = 2000
_seen: dict[tuple[int | None, str], dict[int, float]] = {}


def record_list(
    action: str,
    subject: str,
    *,
    by: User | None,
    patients: Iterable[int],
    clinic_id: int | None = None,
    clinic_slug: str = "",
    fields: Iterable[str] = (),
    again: float = AGAIN_SECONDS,
    only_staff: bool = False,
) -> int:
    """One row with all the people a page showed. A page that refreshes itself adds a row only for people whom this
    process has not written down for the same login and subject within so many seconds. Returns how many they were."""
    key, now = (by.pk if by else None, f"{action} {subject} {clinic_id or clinic_slug}"), time.monotonic()
    known = _seen.get(key, {})
    fresh = {pk for pk in patients if pk not in known or now - known[pk] >= again}
    if not fresh:
        return 0
    is_written = record(
        action,
        subject,
        by=by,
        clinic_id=clinic_id,
        clinic_slug=clinic_slug,
        fields=fields,
        count=len(fresh),
        only_staff=only_staff,
        patient_id=next(iter(fresh)) if len(fresh) == 1 else None,
        patients=fresh if len(fresh) > 1 else (),
    )
    # Only what is committed is known: a row that was rolled back is written again.
    transaction.on_commit(lambda: _remember(key, fresh, now))
    return len(fresh) if is_written else 0


def _remember(key: tuple[int | None, str], patients: set[int], now: float) -> None:
    if len(_seen) > MOST_KNOWN:
        _seen.clear()
    known = _seen.setdefault(key, {})
    if len(known) > MOST_KNOWN:
        known.clear()
    known.update(dict.fromkeys(patients, now))


# -- Questions -----------------------------------------------------------------------------------


def accesses_of(patient_id: int, since: dt.datetime) -> list[dict[str, object]]:
    """Who looked at a record, for the patient: `{"at", "action", "role", "clinic_id"}`, the newest first, one for each
    role, clinic, kind of look and day (UTC). No member of staff is named. The patient's own looks are left out."""
    with connection.cursor() as cursor:
        cursor.execute(ACCESSES, {"patient": patient_id, "since": since})
        names = ["at", "action", "role", "clinic_id"]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


ACCESSES = """
SELECT max(created_at) AS at, action, role, clinic_id FROM (
    SELECT created_at, action, role, clinic_id FROM clinic_booking_auditevent
    WHERE patient_id = %(patient)s AND created_at >= %(since)s
    UNION ALL
    SELECT created_at, action, role, clinic_id FROM clinic_booking_auditevent
    WHERE patients @> ARRAY[%(patient)s::bigint] AND created_at >= %(since)s) found
WHERE role <> '' AND action IN ('list', 'view', 'search', 'export', 'print', 'unmask', 'break_glass')
    OR action = 'act_for'
GROUP BY action, role, clinic_id, (created_at AT TIME ZONE 'UTC')::date ORDER BY at DESC
"""


def people_touched(
    *,
    since: dt.datetime,
    until: dt.datetime,
    actor_id: int | None = None,
    clinic_id: int | None = None,
) -> dict[int, set[int | None]]:
    """Whose records were seen or changed from `since` until before `until`, for the register of breaches: the
    patients, each with the clinics where it happened (None: no clinic was named)."""
    values = {"since": since, "until": until, "actor": actor_id, "clinic": clinic_id}
    found: dict[int, set[int | None]] = {}
    with connection.cursor() as cursor:
        cursor.execute(TOUCHED, values)
        for patient_id, clinic in cursor.fetchall():
            found.setdefault(patient_id, set()).add(clinic)
    return found


TOUCHED = """
WITH of AS (
    SELECT patient_id, patients, clinic_id FROM clinic_booking_auditevent
    WHERE created_at >= %(since)s AND created_at < %(until)s
      AND (%(actor)s::bigint IS NULL OR actor_id = %(actor)s)
      AND (%(clinic)s::bigint IS NULL OR clinic_id = %(clinic)s))
SELECT patient_id, clinic_id FROM of WHERE patient_id IS NOT NULL
UNION SELECT patient_id, clinic_id FROM clinic_booking_auditchange
    WHERE patient_id IS NOT NULL AND created_at >= %(since)s AND created_at < %(until)s
      AND (%(actor)s::bigint IS NULL OR actor_id = %(actor)s)
      AND (%(clinic)s::bigint IS NULL OR clinic_id = %(clinic)s)
UNION SELECT unnest(patients), clinic_id FROM of WHERE patients IS NOT NULL
"""
