import datetime as dt

import pytest
from django.core import mail
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking import audit
from clinic_booking.models import AuditAlert, AuditEvent
from scheduling import audit_alerts, audit_trail
from scheduling.models import Membership
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def officer(client):
    user = factories.UserFactory(office="privacy_officer")
    client.force_login(user)
    return user


@pytest.fixture
def trail(receptionist, clinic, patient):
    audit.record("view", "booking:1", by=receptionist, patient_id=patient.pk, clinic_id=clinic.pk)
    audit.record_list("list", "page:desk", by=receptionist, patients=[patient.pk, 99], clinic_id=clinic.pk)
    audit.record("view", "booking:elsewhere", by=factories.UserFactory(), patient_id=patient.pk)


def subjects(answer):
    assert answer.status_code == 200
    return [row.subject for row in answer.context["rows"]]


def test_the_officer_searches_everything(client, officer, trail, patient, receptionist):
    page = reverse("audit")
    assert subjects(client.get(page)) == ["booking:elsewhere", "page:desk", "booking:1"]
    assert subjects(client.get(page, {"patient": patient.pk})) == [
        "booking:elsewhere",
        "page:desk",
        "booking:1",
    ]
    assert subjects(client.get(page, {"patient": 99})) == ["page:desk"]
    assert subjects(client.get(page, {"login": receptionist.username, "action": "view"})) == ["booking:1"]
    today = timezone.localdate()
    assert len(subjects(client.get(page, {"since": today, "until": today}))) >= 3
    assert subjects(client.get(page, {"until": today - dt.timedelta(1)})) == []
    assert client.get(page, {"login": "nobody"}).status_code == 422
    assert client.get(page, {"until": "9999-12-31"}).status_code == 422
    assert client.get(reverse("audit_review"), {"to": "0001-01-01"}).status_code == 200
    assert AuditEvent.objects.filter(
        subject="audit:trail", actor_id=officer.pk, role="privacy_officer"
    ).exists()


def test_pages_go_on_where_the_last_ended(client, officer, receptionist):
    for n in range(audit_trail.SHOWN + 3):
        audit.record("view", f"n:{n}", by=receptionist)
    first = client.get(reverse("audit"), {"login": receptionist.username})
    assert len(subjects(first)) == audit_trail.SHOWN
    assert subjects(client.get(f"{reverse('audit')}?{first.context['next']}")) == ["n:2", "n:1", "n:0"]


def test_a_manager_sees_the_own_clinic_alone(client, clinic, trail):
    client.force_login(factories.MembershipFactory(clinic=clinic, role=Membership.Role.MANAGER).user)
    assert subjects(client.get(reverse("desk_audit", args=[clinic.slug]))) == ["page:desk", "booking:1"]
    other = factories.ClinicFactory()
    assert subjects(client.get(reverse("desk_audit", args=[clinic.slug]), {"clinic": other.pk})) != []
    for name in ("desk_audit", "desk_audit_csv", "desk_audit_review"):
        assert client.get(reverse(name, args=[other.slug])).status_code == 404
    for name in ("audit", "audit_csv", "audit_review"):
        assert client.get(reverse(name)).status_code == 404


def test_nobody_else_finds_it(client, clinic, receptionist, patient):
    for user in (receptionist, patient.user, factories.UserFactory(is_admin=True)):
        client.force_login(user)
        assert client.get(reverse("audit")).status_code == 404
        assert client.get(reverse("desk_audit", args=[clinic.slug])).status_code == 404


def test_changes_show_what_was_before_and_count_as_a_look(client, officer, patient):
    patient.phone = "+6590004321"
    patient.save()
    page = client.get(reverse("audit"), {"kind": "changes", "patient": patient.pk})
    assert "+6590004321" in page.content.decode()
    seen = AuditEvent.objects.get(subject="page:audit")
    assert (seen.patient_id, seen.actor_id) == (patient.pk, officer.pk)


def test_the_export_is_written_down_and_runs_no_formula(client, officer, trail, receptionist):
    audit.record("unmask", "patient:1", by=receptionist, reason="=cmd()")
    answer = client.get(reverse("audit_csv"), {"login": receptionist.username})
    text = b"".join(answer.streaming_content).decode()
    assert text.count("\n") == 4
    assert "'=cmd()" in text
    row = AuditEvent.objects.get(action="export")
    assert (row.actor_id, row.reason) == (officer.pk, f"kind=looks actor_id={receptionist.pk}")


def test_the_weekly_review_counts_people_once(client, officer, trail, receptionist, clinic):
    page = client.get(reverse("audit_review"))
    rows = {row.actor_id: row for row, *_rest in page.context["rows"]}
    mine = rows[receptionist.pk]
    assert (mine.looks, mine.people, mine.role, mine.clinic_id) == (2, 2, "receptionist", clinic.pk)
    audit_alerts.remind_of_audit_review(timestamp=0)
    assert reverse("audit_review") in mail.outbox[-1].body


# -- Alerts --------------------------------------------------------------------------------------


def kinds(actor):
    return sorted(AuditAlert.objects.filter(actor_id=actor.pk).values_list("kind", flat=True))


@pytest.mark.usefixtures("clinic")
def test_unusual_looks_are_told_once(client, officer, receptionist, settings):
    settings.AUDIT_LIMITS = dict.fromkeys(settings.AUDIT_LIMITS, 2) | {"night": 10**6}
    audit.record("list", "page:desk", by=receptionist, count=3)
    for action in ["unmask", "break_glass", "export"] * 3:
        audit.record(action, "patient:1", by=receptionist)
    for _n in range(3):
        audit.record("login_failed", f"user:{receptionist.pk}", by=None)
    audit_alerts.look_for_unusual(timestamp=0)
    letters = ProcrastinateJob.objects.get(task_name="write_of_alerts")
    audit_alerts.write_of_alerts(**letters.args)
    assert kinds(receptionist) == ["break_glass", "export", "login_failed", "records", "unmask"]
    assert mail.outbox[-1].body.count(f"user:{receptionist.pk}") == 5
    assert audit_alerts.look() == []
    alert = AuditAlert.objects.first()
    assert client.get(reverse("audit")).content.decode().count("What was found") > 1
    client.post(reverse("audit_alert", args=[alert.pk]), {"note": "Audit day"})
    alert.refresh_from_db()
    assert (alert.note, alert.closed_by_id) == ("Audit day", officer.pk)


@pytest.mark.usefixtures("clinic")
def test_many_are_usual_for_who_always_has_many(receptionist, settings):
    settings.AUDIT_LIMITS |= {"records": 2, "night": 10**6}
    for day in range(1, 8):
        audit.record("list", "page:desk", by=receptionist, count=10)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "UPDATE clinic_booking_auditevent SET created_at = created_at - %s * interval '1 day'"
                " WHERE id = (SELECT max(id) FROM clinic_booking_auditevent)",
                [day],
            )
            cursor.execute("SET LOCAL session_replication_role = origin")
    audit.record("list", "page:desk", by=receptionist, count=30)
    audit_alerts.look()
    assert kinds(receptionist) == []
    audit.record("list", "page:desk", by=receptionist, count=1)
    audit_alerts.look()
    assert kinds(receptionist) == ["records"]


def test_the_record_of_a_colleague_is_told(receptionist, clinic, patient):
    factories.MembershipFactory(clinic=clinic, user=patient.user)
    audit.record("view", "patient:1", by=receptionist, patient_id=patient.pk)
    audit.record("view", "patient:1", by=patient.user, patient_id=patient.pk)
    audit_alerts.look()
    assert AuditAlert.objects.filter(kind="colleague").count() == 1
