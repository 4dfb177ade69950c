"""Unusual looks: counted by login and day against limits (settings.AUDIT_LIMITS) and against what is usual. Each is told
once a day, to the privacy officer, with ids only. Letters are jobs, which are tried again while the mail is away.
"""

from collections.abc import Iterable

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from clinic_booking import events
from clinic_booking.events import subscribe
from clinic_booking.metrics import register
from clinic_booking.models import AuditAlert, Event
from scheduling.glass_report import readers
from scheduling.models import Clinic

Kind = AuditAlert.Kind
RETRY = RetryStrategy(max_attempts=11, exponential_wait=2)
LOOKS = "('list', 'view', 'search', 'export', 'print', 'unmask', 'break_glass')"

# The usual: of the last 28 days' active days the average, of the login itself or, where it is new, of its role.
RECORDS = f"""
WITH days AS (
    SELECT actor_id, max(role) AS role, (created_at AT TIME ZONE %(zone)s)::date AS day, sum(count) AS n
    FROM clinic_booking_auditevent
    WHERE created_at >= now() - interval '29 days' AND actor_id IS NOT NULL AND role <> '' AND action IN {LOOKS}
    GROUP BY actor_id, (created_at AT TIME ZONE %(zone)s)::date
), own AS (
    SELECT actor_id, avg(n) AS usual, count(*) AS days FROM days WHERE day < %(today)s GROUP BY actor_id
), roles AS (SELECT role, avg(n) AS usual FROM days WHERE day < %(today)s GROUP BY role)
SELECT d.actor_id, d.n, greatest(%(records)s, ceil(3 * coalesce(
        CASE WHEN own.days >= 5 THEN own.usual END, roles.usual, 0)))::int
FROM days d LEFT JOIN own USING (actor_id) LEFT JOIN roles ON roles.role = d.role
WHERE d.day = %(today)s AND d.n > greatest(%(records)s, 3 * coalesce(
        CASE WHEN own.days >= 5 THEN own.usual END, roles.usual, 0))
"""  # noqa: S608  (constants)

TODAY = f"""
WITH of AS (
    SELECT actor_id, action, count, subject, role, extract(hour FROM created_at AT TIME ZONE %(zone)s) AS hour
    FROM clinic_booking_auditevent
    WHERE created_at >= (%(today)s::date::timestamp AT TIME ZONE %(zone)s))
SELECT 'night', actor_id, sum(count), %(night)s FROM of
    WHERE (hour >= 23 OR hour < 6) AND role <> '' AND action IN {LOOKS} GROUP BY actor_id
    HAVING sum(count) > %(night)s
UNION ALL SELECT action, actor_id, count(*), CASE action WHEN 'unmask' THEN %(unmask)s ELSE %(break_glass)s END FROM of
    WHERE action IN ('unmask', 'break_glass') AND actor_id IS NOT NULL GROUP BY action, actor_id
    HAVING count(*) > CASE action WHEN 'unmask' THEN %(unmask)s ELSE %(break_glass)s END
UNION ALL SELECT 'export', actor_id, count(*), %(export)s FROM of
    WHERE action IN ('export', 'print') AND role <> '' GROUP BY actor_id HAVING count(*) > %(export)s
UNION ALL SELECT 'login_failed', split_part(subject, ':', 2)::bigint, count(*), %(login_failed)s FROM of
    WHERE action = 'login_failed' AND subject ~ '^user:[0-9]{{1,18}}$' GROUP BY subject
    HAVING count(*) > %(login_failed)s
"""  # noqa: S608

# Who opens the record of somebody who works here, other than their own.
COLLEAGUES = """
SELECT DISTINCT e.actor_id, e.patient_id FROM clinic_booking_auditevent e
JOIN patients_patient p ON p.id = e.patient_id
WHERE e.created_at >= (%(today)s::date::timestamp AT TIME ZONE %(zone)s) AND e.role <> '' AND e.actor_id <> p.user_id
  AND e.action IN ('view', 'print', 'export', 'unmask', 'break_glass')
  AND (EXISTS (SELECT FROM scheduling_membership m WHERE m.user_id = p.user_id)
       OR EXISTS (SELECT FROM clinic_booking_user u WHERE u.id = p.user_id AND u.office <> ''))
"""


def look() -> list[AuditAlert]:
    """Write what is unusual today and was not told yet."""
    today = timezone.localdate()
    values = {"zone": timezone.get_current_timezone_name(), "today": today, **settings.AUDIT_LIMITS}
    found: list[AuditAlert] = []
    with connection.cursor() as cursor:
        cursor.execute(RECORDS, values)
        for actor, n, limit in cursor.fetchall():
            found.append(AuditAlert(day=today, kind=Kind.RECORDS, actor_id=actor, count=n, limit=limit))
        cursor.execute(TODAY, values)
        for kind, actor, n, limit in cursor.fetchall():
            found.append(AuditAlert(day=today, kind=kind, actor_id=actor, count=n, limit=limit))
        cursor.execute(COLLEAGUES, values)
        for actor, patient in cursor.fetchall():
            found.append(
                AuditAlert(
                    day=today, kind=Kind.COLLEAGUE, actor_id=actor, patient_id=patient, count=1, limit=0
                )
            )
    known = set(AuditAlert.objects.filter(day=today).values_list("kind", "actor_id", "patient_id"))
    new = [each for each in found if (each.kind, each.actor_id, each.patient_id) not in known]
    return _tell(new) if new else []


def _tell(alerts: list[AuditAlert]) -> list[AuditAlert]:
    with transaction.atomic():
        made = [alert for alert, is_new in map(_kept, alerts) if is_new]
        events.defer(write_of_alerts, alerts=[alert.pk for alert in made])
    return made


def _kept(alert: AuditAlert) -> tuple[AuditAlert, bool]:
    return AuditAlert.objects.get_or_create(
        day=alert.day,
        kind=alert.kind,
        actor_id=alert.actor_id,
        patient_id=alert.patient_id,
        defaults={"count": alert.count, "limit": alert.limit},
    )


@app.periodic(cron="*/10 * * * *")
@app.task(name="look_for_unusual", queue="ops", queueing_lock="look_for_unusual", retry=RETRY)
def look_for_unusual(timestamp: int) -> None:
    look()


@subscribe("audit.over_limit")
def tell_of_many(event: Event) -> None:
    """At once, to the managers of the clinic, too."""
    said = event.data
    found = AuditAlert(
        day=timezone.localdate(event.created_at),
        kind=Kind.OVER_LIMIT,
        actor_id=said["by"],
        count=said["records"],
        limit=said["limit"],
    )
    with transaction.atomic():
        alert, _is_new = _kept(found)
        events.defer(write_of_alerts, alerts=[alert.pk], clinic_id=event.clinic_id)


@app.task(name="write_of_alerts", queue="ops", retry=RETRY)
def write_of_alerts(alerts: list[int], clinic_id: int | None = None) -> None:
    """To the privacy officer; of a clinic also to who looks at what its staff opened. Tried again while the mail is
    away."""
    found = list(AuditAlert.objects.filter(pk__in=alerts).order_by("pk"))
    to = {settings.DPO_EMAIL}
    if clinic := Clinic.objects.filter(pk=clinic_id).first() if clinic_id else None:
        told_of = {alert.actor_id for alert in found}
        to |= {user.email for user in readers(clinic) if user.pk not in told_of}
    _mail(_("Audit: %(n)s unusual") % {"n": len(found)}, found, sorted(to))


@app.periodic(cron="0 0 * * 1")
@app.task(name="remind_of_audit_review", queue="ops", queueing_lock="remind_of_audit_review", retry=RETRY)
def remind_of_audit_review(timestamp: int) -> None:
    """The weekly review of each clinic: a link, no names."""
    address = f"{settings.SITE_URL}{reverse('audit_review')}"
    text = _("What staff looked at in the last seven days, by clinic:\n\n%(address)s\n") % {
        "address": address
    }
    send_mail(_("Audit: weekly review"), text, settings.DEFAULT_FROM_EMAIL, [settings.DPO_EMAIL])


def _mail(subject: str, alerts: Iterable[AuditAlert], to: list[str]) -> None:
    """Each on its own: nobody learns who else is told."""
    lines = [f"{alert.kind} user:{alert.actor_id} {alert.count}/{alert.limit}" for alert in alerts]
    address = f"{settings.SITE_URL}{reverse('audit')}"
    for each in to:
        send_mail(subject, "\n".join([*lines, "", address, ""]), settings.DEFAULT_FROM_EMAIL, [each])


@register
def alerts() -> Iterable[Metric]:
    metric = CounterMetricFamily(
        "audit_alerts", "Unusual looks told to the privacy officer.", labels=["kind"]
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, count(*) FROM clinic_booking_auditalert GROUP BY kind")
        for kind, n in cursor.fetchall():
            metric.add_metric([kind], n)
    yield metric
