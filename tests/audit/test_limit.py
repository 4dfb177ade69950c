"""How many people's records one member of staff opens in an hour."""

import pytest
from django.core import mail
from django.db import connection
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking import audit
from clinic_booking.accounts import step_up
from clinic_booking.models import AuditAlert, AuditEvent, Event
from scheduling import audit_alerts
from tests import factories

pytestmark = pytest.mark.django_db
REASON = "Calls everybody about the closure"


@pytest.fixture
def visits(slots, service, clinic, settings):
    settings.AUDIT_LOOKS_AN_HOUR, settings.AUDIT_LOOKS_AN_HOUR_HARD = 2, 4
    return [factories.book([slot], patient=factories.PatientFactory(), service=service) for slot in slots]


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def look(desk, clinic, visit):
    return desk.get(reverse("desk_booking", args=[clinic.slug, visit.reference]))


def go_on(desk, **more):
    return desk.post(reverse("many_records"), {"reason": REASON, "next": "/desk/", "more": 1} | more)


def test_many_need_a_reason_and_very_many_the_second_factor(desk, clinic, visits, receptionist):
    assert [look(desk, clinic, visit).status_code for visit in visits[:3]] == [200, 200, 429]
    assert look(desk, clinic, visits[2]).status_code == 429  # what was refused is no opening
    assert look(desk, clinic, visits[0]).status_code == 200  # what was opened stays so
    assert desk.get(reverse("desk", args=[clinic.slug]), {"list": ""}).status_code == 200
    assert go_on(desk, reason="so").status_code == 422
    assert go_on(desk)["Location"] == "/desk/"
    assert [look(desk, clinic, visit).status_code for visit in visits[2:5]] == [200, 200, 429]
    session = desk.session
    step_up.forget(session)
    session.save()
    assert go_on(desk)["Location"].startswith("/step-up/")
    assert look(desk, clinic, visits[4]).status_code == 429
    desk.force_login(receptionist)
    go_on(desk)
    assert look(desk, clinic, visits[4]).status_code == 200
    said = (
        AuditEvent.objects.filter(action="over_limit").order_by("pk").values_list("count", "reason", "fields")
    )
    assert list(said) == [(1, REASON, ["3/2"]), (2, REASON, ["5/4"])]


def test_manager_and_officer_are_told_at_once(desk, clinic, visits, receptionist):
    manager = factories.MembershipFactory(clinic=clinic, role="manager").user
    for visit in visits[:3]:
        look(desk, clinic, visit)
    go_on(desk)
    event = Event.objects.get(topic="audit.over_limit")
    for _twice in range(2):
        audit_alerts.tell_of_many(event)
    letters = ProcrastinateJob.objects.filter(task_name="write_of_alerts").first()
    audit_alerts.write_of_alerts(**letters.args)
    alert = AuditAlert.objects.get()
    assert (alert.kind, alert.actor_id, alert.count, alert.limit) == ("over_limit", receptionist.pk, 3, 2)
    assert manager.email in {to for letter in mail.outbox for to in letter.to}
    assert all(visit.patient.name not in letter.body for letter in mail.outbox for visit in visits)


def test_a_file_counts_for_everybody_in_it(receptionist, visits):
    from clinic_booking.audit import limit

    people = [visit.patient_id for visit in visits[:4]]
    audit.record("list", "page:desk", by=receptionist, patients=people, count=4)
    assert limit.standing(receptionist).opened == 0
    audit.record("export", "page:desk_report_csv", by=receptionist, patients=people[:3], count=3)
    assert limit.standing(receptionist).opened == 3
    now = limit.standing(receptionist, these=frozenset(people))
    assert (now.opened, now.needed, now.level) == (4, 1, 0)


def test_counting_uses_its_index(receptionist):
    from clinic_booking.audit.limit import OPENED

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {OPENED}", {"actor": receptionist.pk, "these": []})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "actor_id_created_at" in plan, plan
    assert "Seq Scan" not in plan


def test_only_one_clinic_staff_are_asked(client, patient, clinic):
    client.force_login(patient.user)
    assert client.get(reverse("many_records")).status_code == 404
