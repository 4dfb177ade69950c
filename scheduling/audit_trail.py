"""Searching the audit trail: keyset pages, each found through an index, so millions of rows are no matter."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from clinic_booking.models import AuditChange, AuditEvent, User
from scheduling.models import Clinic

SHOWN = 50
MOST_EXPORTED = 50_000


class Asked(NamedTuple):
    """`clinic_id` of a manager is that of the clinic, always."""

    kind: str = "looks"
    actor_id: int | None = None
    patient_id: int | None = None
    clinic_id: int | None = None
    action: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    before: int | None = None


def find(asked: Asked, limit: int = SHOWN) -> list[Any]:
    """The newest first, at most `limit`."""
    rows: QuerySet[Any]
    if asked.kind == "changes":
        rows = AuditChange.objects.all()
        if asked.patient_id:
            rows = rows.filter(patient_id=asked.patient_id)
    else:
        rows = AuditEvent.objects.all()
        if asked.action:
            rows = rows.filter(action=asked.action)
        if asked.patient_id:
            return _of_patient(asked, rows, limit)
    return list(_narrow(asked, rows).order_by("-pk")[:limit])


def _narrow(asked: Asked, rows: QuerySet[Any]) -> QuerySet[Any]:
    wanted = {
        "actor_id": asked.actor_id,
        "clinic_id": asked.clinic_id,
        "created_at__gte": asked.since,
        "created_at__lt": asked.until,
        "pk__lt": asked.before,
    }
    return rows.filter(**{name: value for name, value in wanted.items() if value is not None})


# The fence keeps the planner from walking all rows backwards in the hope of a hit.
ON_LISTS = """
SELECT id FROM (SELECT id FROM clinic_booking_auditevent WHERE patients @> ARRAY[%s::bigint] OFFSET 0) listed
WHERE %s::bigint IS NULL OR id < %s::bigint ORDER BY id DESC LIMIT 5000
"""


def _of_patient(asked: Asked, rows: QuerySet[Any], limit: int) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(ON_LISTS, [asked.patient_id, asked.before, asked.before])
        listed = [pk for (pk,) in cursor.fetchall()]
    own = _narrow(asked, rows.filter(patient_id=asked.patient_id)).order_by("-pk")[:limit]
    found = {
        row.pk: row for row in [*own, *_narrow(asked, rows.filter(pk__in=listed)).order_by("-pk")[:limit]]
    }
    return [found[pk] for pk in sorted(found, reverse=True)][:limit]


def export(asked: Asked) -> Iterator[list[str]]:
    """Line by line for a spreadsheet, the newest first."""
    names = User.objects.in_bulk()
    yield [
        "time",
        "action",
        "subject",
        "patients",
        "by",
        "login",
        "role",
        "clinic",
        "through",
        "reason",
        "request",
        "address",
    ]
    done, chunk = 0, find(asked, 1000)
    while chunk and done < MOST_EXPORTED:
        for row in chunk:
            yield _line(row, names)
        done += len(chunk)
        chunk = find(asked._replace(before=chunk[-1].pk), 1000)


def _line(row: Any, names: dict[int, User]) -> list[str]:
    is_look = isinstance(row, AuditEvent)
    people = (is_look and row.patients) or [row.patient_id or ""]
    login = names[row.actor_id].username if row.actor_id in names else ""
    return [
        timezone.localtime(row.created_at).isoformat(timespec="seconds"),
        row.action if is_look else row.get_operation_display(),
        row.subject if is_look else f"{row.table}:{row.row_id} {' '.join(row.fields)}",
        " ".join(map(str, people)),
        str(row.actor_id or ""),
        login,
        row.role if is_look else "",
        str(row.clinic_id or ""),
        row.via,
        row.reason if is_look else "",
        row.request_id,
        row.ip or "",
    ]


class OfStaff(NamedTuple):
    """A week of one login at one clinic."""

    actor_id: int
    clinic_id: int | None
    role: str
    looks: int
    people: int
    at_night: int
    exports: int
    unmasks: int
    glass: int


WEEK = """
WITH of AS (
    SELECT actor_id, clinic_id, role, action, count, coalesce(patients, ARRAY[patient_id]) AS people,
        extract(hour FROM created_at AT TIME ZONE %(zone)s) AS hour
    FROM clinic_booking_auditevent
    WHERE created_at >= %(since)s AND created_at < %(until)s AND actor_id IS NOT NULL AND role <> ''
      AND (%(clinic)s::bigint IS NULL OR clinic_id = %(clinic)s)
      AND action IN ('list', 'view', 'search', 'export', 'print', 'unmask', 'break_glass'))
SELECT of.actor_id, of.clinic_id, max(role), count(*), coalesce(max(p.n), 0),
    count(*) FILTER (WHERE hour >= 23 OR hour < 6), count(*) FILTER (WHERE action IN ('export', 'print')),
    count(*) FILTER (WHERE action = 'unmask'), count(*) FILTER (WHERE action = 'break_glass')
FROM of LEFT JOIN (
    SELECT actor_id, clinic_id, count(DISTINCT one) AS n FROM of, unnest(people) AS one GROUP BY actor_id, clinic_id
) p ON p.actor_id = of.actor_id AND p.clinic_id IS NOT DISTINCT FROM of.clinic_id
GROUP BY of.actor_id, of.clinic_id ORDER BY 5 DESC, 1 LIMIT 200
"""


def week(since: dt.datetime, until: dt.datetime, clinic: Clinic | None = None) -> list[OfStaff]:
    values = {"since": since, "until": until, "clinic": clinic.pk if clinic else None}
    with connection.cursor() as cursor:
        cursor.execute(WEEK, values | {"zone": timezone.get_current_timezone_name()})
        return [OfStaff(*row) for row in cursor.fetchall()]
