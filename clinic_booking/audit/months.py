"""How long looks are kept: whole months of them go by the rule of retention, never while a legal hold or an open
incident needs one. A seal says what went by which rule, so that the trail stays proved. The record of changes stays as
long as the records: nothing of it goes here."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from django.db import connection, transaction

from clinic_booking.audit import seals
from clinic_booking.models import AuditAlert, AuditEvent, AuditMonth
from clinic_booking.retention.kernel import delete, midnight
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.registry import Cleaner, Pk, Rows, register
from clinic_booking.retention.rules import rule_of

TABLE = AuditEvent._meta.db_table


def _over(day: dt.date) -> Rows:
    return AuditMonth.objects.filter(ends_at__lte=midnight(day))


def drop(months: Sequence[Pk]) -> Counter[str]:
    """Joins the caller's transaction. The database refuses what is held, or younger than a year."""
    done: Counter[str] = Counter()
    rule = str(rule_of(DataClass.ACCESS_LOG))
    for month in AuditMonth.objects.filter(pk__in=months).defer("is_held"):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT audit_drop_month(%s)", [month.pk])
            rows = cursor.fetchone()[0]
            seals.dropped(month.starts_at, month.ends_at, TABLE, rule=rule, rows=rows)
        done["clinic_booking.AuditMonth"] += 1
        done["clinic_booking.AuditEvent"] += rows
    return done


def _alerts(day: dt.date) -> Rows:
    return AuditAlert.objects.filter(created_at__lt=midnight(day), closed_at__isnull=False)


register(
    Cleaner(DataClass.ACCESS_LOG, "audit_month", _over, drop, clear=lambda rows: rows.filter(is_held=False))
)
register(Cleaner(DataClass.ACCESS_LOG, "audit_alert", _alerts, lambda ids: delete(AuditAlert, ids)))
