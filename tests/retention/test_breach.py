"""The register of incidents: its clocks, and a drill from the discovery to the last letter."""

import datetime as dt

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking import audit
from clinic_booking.errors import NotAllowed
from clinic_booking.models import AuditEvent, Event
from clinic_booking.retention import breach
from clinic_booking.retention.models import Incident
from patients.models import Patient
from patients.retention import affected, letters
from tests import factories
from tests.audit.test_changes import as_web_request_of

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 10, 15, 30, tzinfo=dt.UTC)  # half past eleven at night in Singapore


@pytest.fixture
def incident(officer):
    return Incident.objects.create(title="Lost laptop", discovered_at=AT, made_by=officer)


def due(incident):
    return {each.name: each.due and timezone.localtime(each.due) for each in breach.deadlines(incident)}


def test_clocks_run_from_the_discovery(incident):
    found = due(incident)
    assert found["minister_first"] - AT == dt.timedelta(hours=2)
    assert found["minister_full"] - AT == dt.timedelta(hours=72)
    assert found["assessment"] - AT == dt.timedelta(days=30)
    assert found["commission"] is found["individuals"] is None


def test_commission_within_three_calendar_days_after_that_of_the_assessment(incident):
    incident.decision, incident.assessed_at = "notifiable", AT
    # Assessed on the 10th by the clock of the clinics: until the end of the 13th.
    assert f"{due(incident)['commission']:%Y-%m-%d %H:%M:%S}" == "2026-03-13 23:59:59"
    incident.is_protected = True
    assert due(incident)["individuals"] is None


def test_deadlines_are_settings(incident, settings):
    settings.BREACH_MINISTER_FIRST_HOURS = 6
    assert due(incident)["minister_first"] - AT == dt.timedelta(hours=6)


def test_clock_says_in_words_how_long(incident):
    first = breach.deadlines(incident)[0]
    assert first.left(AT) == "0 d 2 h 00 min left"
    assert first.left(AT + dt.timedelta(hours=3)) == "0 d 1 h 00 min overdue"
    assert first._replace(done=AT + dt.timedelta(hours=3)).left(AT) == "done, but late"


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        ({"people": 499, "data_classes": ["contact"]}, "not_notifiable"),
        ({"people": 500, "data_classes": ["contact"]}, "notifiable"),
        ({"people": 1, "data_classes": ["identifier", "health"]}, "notifiable"),
        ({"people": 1, "data_classes": ["identifier", "financial"]}, "notifiable"),
        ({"people": 1, "data_classes": ["identifier", "security"]}, "notifiable"),
        ({"people": 1, "data_classes": ["contact", "security"]}, "notifiable"),
        ({"people": 1, "data_classes": ["identifier", "vulnerable"]}, "notifiable"),
        ({"people": 1, "data_classes": ["identifier", "contact"]}, "not_notifiable"),
        ({"people": 1, "data_classes": ["health"]}, "not_notifiable"),
        ({"people": 900, "data_classes": ["identifier", "health"], "is_internal": True}, "not_notifiable"),
    ],
)
def test_rule_proposes_with_its_reasons(incident, facts, decision):
    for name, value in facts.items():
        setattr(incident, name, value)
    proposed, reasons = breach.proposal(incident)
    assert proposed == decision
    assert reasons


def test_decision_needs_reasons_and_is_made_once(incident, officer, receptionist):
    with pytest.raises(breach.ReasonsMissing):
        breach.decide(incident=incident, decision="notifiable", reasons=" ", by=officer)
    with pytest.raises(NotAllowed):
        breach.decide(incident=incident, decision="notifiable", reasons="Many", by=receptionist)
    with pytest.raises(IntegrityError, match="time_and_reasons"), transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(decision="notifiable")
    breach.decide(incident=incident, decision="notifiable", reasons="Many", by=officer)
    with pytest.raises(breach.Decided):
        breach.decide(incident=incident, decision="not_notifiable", reasons="No", by=officer)


def test_officers_are_reminded_once_when_little_is_left_and_once_when_it_is_over(incident, officer):
    soon, late = AT + dt.timedelta(minutes=100), AT + dt.timedelta(minutes=130)
    assert [breach.remind(AT), breach.remind(soon), breach.remind(soon)] == [0, 1, 0]
    assert [breach.remind(late), breach.remind(late)] == [1, 0]
    for job in ProcrastinateJob.objects.filter(task_name="write_of_deadline"):
        breach.write_of_deadline(**job.args)
    assert "First report to the Minister" in mail.outbox[0].body
    assert officer.email in mail.outbox[0].to
    assert "Lost laptop" not in mail.outbox[0].body


def test_drill(client, officer, receptionist, clinic):
    """Somebody at the desk looked at what was none of their business: who is affected, what is told to whom by when."""
    seen = [factories.PatientFactory(name=f"Seen {n}", email=f"seen{n}@home.example") for n in (1, 2, 3)]
    factories.PatientFactory(name="Not Seen")
    audit.record(audit.Action.VIEW, "patient:1", by=receptionist, patient_id=seen[0].pk, clinic_id=clinic.pk)
    audit.record(
        audit.Action.LIST, "patients:all", by=receptionist, patients=[p.pk for p in seen], clinic_id=clinic.pk
    )
    client.force_login(officer)
    answer = client.post("/privacy-office/incidents/new/", FACTS | {"actor_id": receptionist.username})
    [incident] = Incident.objects.all()
    page = f"/privacy-office/incidents/{incident.pk}/"
    assert answer["Location"] == page
    shown = client.get(page).content.decode()
    assert "First report to the Minister" in shown
    assert "names 3 people" in shown
    assert "Proposed by rule: To be notified" in shown

    people = client.get(f"{page}people.csv").content.decode()
    assert [f"Seen {n}" in people for n in (1, 2, 3)] == [True] * 3
    assert "Not Seen" not in people
    assert client.post(f"{page}decision/", {"decision": "notifiable", "reasons": ""}).status_code == 422
    client.post(f"{page}decision/", {"decision": "notifiable", "reasons": "Health data with names"})
    for step in ("contained", "minister_first", "minister_full", "commission"):
        client.post(f"{page}{step}/")
    client.post(f"{page}close/")
    incident.refresh_from_db()
    assert incident.closed_at is None  # the people are not told yet

    client.post(f"{page}letters/")
    for event in Event.objects.filter(topic=letters.TOPIC):
        letters.send(event)
    assert sorted(letter.to[0] for letter in mail.outbox) == [f"seen{n}@home.example" for n in (1, 2, 3)]
    assert "Change nothing, we did" in mail.outbox[0].body
    assert "Sent: 3" in client.get(f"{page}commission.txt").content.decode()
    client.post(f"{page}individuals/")
    client.post(f"{page}close/")
    incident.refresh_from_db()
    assert incident.closed_at
    assert AuditEvent.objects.filter(subject=f"incident:{incident.pk}", action="export").count() == 2


def test_who_was_changed_is_affected_too(officer, receptionist):
    """By somebody who opened no page."""
    changed = factories.PatientFactory()
    factories.PatientFactory()
    as_web_request_of(receptionist, lambda: Patient.objects.filter(pk=changed.pk).update(name="Another"))
    incident = Incident(title="Changed names", discovered_at=AT, actor_id=receptionist.pk)
    assert affected.patient_ids(incident) == {changed.pk}
    incident.subject_kind = "booking"
    assert affected.patient_ids(incident) == set()
    assert affected.patient_ids(Incident(title="No trace", discovered_at=AT)) == set()


FACTS = {
    "title": "Looked without a reason",
    "facts": "Three records were opened at night.",
    "discovered_at": "2026-03-10T09:00",
    "data_classes": ["identifier", "health"],
    "people": "3",
    "letter": "Somebody saw your record. Change nothing, we did.",
}
PAGES = ["retention/", "retention/bill/", "holds/", "vendors/", "vendors/new/", "processing/", "backups/"]
PAGES += ["incidents/", "incidents/new/"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_the_privacy_officer(client, officer, receptionist, path):
    address = f"/privacy-office/{path}"
    assert client.get(address).status_code == 302
    client.force_login(receptionist)
    assert client.get(address).status_code == 404
    client.force_login(officer)
    assert client.get(address).status_code == 200


def test_vendor_is_registered_and_its_review_falls_due(client, officer):
    client.force_login(officer)
    today = timezone.localdate().isoformat()
    given = {
        "name": "Mailer Ltd",
        "service": "E-mail",
        "data": "addresses",
        "country": "Ireland",
        "ground": "contract",
    }
    client.post("/privacy-office/vendors/new/", given | {"review_on": today})
    assert "Review was due" in client.get("/privacy-office/vendors/").content.decode()


def test_hold_is_asked_and_confirmed_on_the_page(client, officer, second, patient):
    client.force_login(officer)
    booking = factories.BookingFactory(patient=patient)
    given = {"scope": "appointment", "reference": booking.reference.lower(), "reason": "Claim 17"}
    client.post("/privacy-office/holds/", given)
    [hold] = patient.legal_holds.all()
    assert hold.booking_id == booking.pk
    client.post(f"/privacy-office/holds/{hold.pk}/confirmation/")
    hold.refresh_from_db()
    assert hold.confirmed_at is None  # by the same person
    client.force_login(second)
    page = client.get("/privacy-office/holds/").content.decode()
    assert "Claim 17" in page
    assert "/privacy-office/audit/" not in page  # only the way to what is theirs
    assert 'href="/privacy-office/holds/"' in client.get("/help/").content.decode()
    client.post(f"/privacy-office/holds/{hold.pk}/confirmation/")
    hold.refresh_from_db()
    assert hold.confirmed_by == second


def test_unknown_patient_cannot_be_held(client, officer):
    client.force_login(officer)
    answer = client.post(
        "/privacy-office/holds/", {"scope": "patient", "patient": "99999", "reason": "Claim"}
    )
    assert answer.status_code == 422


def test_changed_rule_is_told_in_the_notice(client, officer):
    client.force_login(officer)
    given = {
        "trigger": "served or withdrawn",
        "months": "0",
        "days": "45",
        "action": "delete",
        "basis": "Own choice",
    }
    client.post("/privacy-office/retention/waitlist/", given)
    assert "45 days" in client.get("/privacy/").content.decode()
