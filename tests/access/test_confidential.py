"""Records of people known to the public and of staff: opened with a reason, never one's own."""

import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from clinic_booking.models import AuditEvent, Event
from patients import confidential
from patients.models import BrokenGlass, Patient
from scheduling.models import Booking
from tests import factories
from tests.proxies.given import given

pytestmark = pytest.mark.django_db
REASON = "Calls about the visit of today"


@pytest.fixture
def visit(slots, service, patient):
    Patient.objects.filter(pk=patient.pk).update(confidentiality="VIP", phone="+6590007531")
    return factories.book(slots[:1], patient=patient, service=service)


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def record(clinic, visit):
    return reverse("desk_booking", args=[clinic.slug, visit.reference])


def open_it(desk, visit, page="/desk/", reason=REASON):
    address = reverse("confidential_opening", args=[visit.patient.uuid])
    return desk.post(address, {"reason": reason, "next": page, "clinic": visit.clinic.slug})


def test_is_opened_for_an_hour_with_a_reason(desk, clinic, visit, receptionist):
    factories.MembershipFactory(user=receptionist, clinic__slug="another")
    page = record(clinic, visit)
    asked = desk.get(page)
    assert asked.status_code == 403
    assert "9000 7531" not in asked.content.decode()
    assert not AuditEvent.objects.filter(action="view", patient_id=visit.patient_id).exists()
    assert open_it(desk, visit, page, reason="because").status_code == 422
    assert open_it(desk, visit, page)["Location"] == page
    assert "9000 7531" in desk.get(page).content.decode()
    glass = BrokenGlass.objects.get()
    assert (glass.kind, glass.clinic_id, glass.reason) == ("confidential", clinic.pk, REASON)
    assert Event.objects.get(topic="glass.broken").data["by"] == receptionist.pk
    assert AuditEvent.objects.get(action="break_glass").patient_id == visit.patient_id
    BrokenGlass.objects.update(expires_at=timezone.now() - dt.timedelta(minutes=1))
    assert desk.get(page).status_code == 403


def test_the_day_goes_on_without(desk, clinic, visit, day_of_visit):
    day = clinic.local_date(visit.starts_at)
    for name, query in (("desk", {"list": "", "date": day}), ("desk_queue", {}), ("desk_work", {})):
        assert desk.get(reverse(name, args=[clinic.slug]), query).status_code == 200, name
    for name in ("desk_move", "desk_cancel"):
        assert desk.get(reverse(name, args=[clinic.slug, visit.reference])).status_code == 200, name
    act = reverse("visit_act", args=[clinic.slug, visit.reference])
    said = desk.post(act, {"act": "arrive", "version": visit.version, "back": "queue"})
    assert said.status_code == 303
    assert Booking.objects.get(pk=visit.pk).status == "arrived"


def test_a_drawer_leads_to_the_page_that_asks(desk, clinic, visit):
    page = record(clinic, visit)
    said = desk.get(page, headers={"HX-Request": "true"})
    assert (said.status_code, said["HX-Redirect"]) == (403, page)
    assert "<html" not in said.content.decode()
    said = desk.get(page, headers={"Accept": "application/json"})
    assert (said.status_code, list(said.json())) == (403, ["error"])


def test_who_treats_them_today_needs_no_reason(client, clinic, visit, practitioner, monkeypatch):
    doctor = factories.MembershipFactory(clinic=clinic, role="doctor").user
    practitioner.user = doctor
    practitioner.save()
    client.force_login(doctor)
    assert client.get(record(clinic, visit)).status_code == 403
    monkeypatch.setattr(type(clinic), "today", lambda self: self.local_date(visit.starts_at))
    monkeypatch.setattr(timezone, "now", lambda: visit.starts_at)
    assert client.get(record(clinic, visit)).status_code == 200


def test_colleagues_are_confidential_by_their_login(desk, clinic, visit, patient):
    Patient.objects.update(confidentiality="")
    assert desk.get(record(clinic, visit)).status_code == 200
    factories.MembershipFactory(user=patient.user)
    assert desk.get(record(clinic, visit)).status_code == 403


@pytest.mark.parametrize("whose", ["own", "child"])
def test_nobody_opens_their_own_at_the_desk(client, clinic, visit, patient, whose):
    Patient.objects.update(confidentiality="")
    user = patient.user
    if whose == "child":
        user = factories.UserFactory()
        given(patient, user, relation="caregiver")
    factories.MembershipFactory(user=user, clinic=clinic, role="manager")
    client.force_login(user)
    said = client.get(record(clinic, visit))
    assert said.status_code == 403
    assert "your own record" in said.content.decode()
    assert open_it(client, visit).status_code == 403
    mark = client.post(reverse("confidential_record", args=[patient.uuid]), {"code": "VIP", "reason": REASON})
    assert mark.status_code == 403
    assert (
        client.get(reverse("booking", args=[visit.reference])).status_code == 200
    )  # as the patient they are


def test_opens_nothing_of_other_clinics(desk, clinic, visit, receptionist):
    open_it(desk, visit)
    elsewhere = factories.SlotFactory(starts_at=factories.tomorrow_at(15))
    factories.book([elsewhere], patient=visit.patient)
    seen = Booking.objects.visible_to(receptionist)
    assert [each.pk for each in seen] == [visit.pk]


# -- Marking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["manager", "officer"])
def test_is_marked_with_a_reason(client, clinic, patient, who):
    role = {"role": "manager", "clinic": clinic}
    user = (
        factories.MembershipFactory(**role).user
        if who == "manager"
        else factories.UserFactory(office="privacy_officer")
    )
    client.force_login(user)
    page = reverse("confidential_record", args=[patient.uuid])
    assert client.get(page).status_code == 200
    assert client.post(page, {"code": "VIP", "reason": "short"}).status_code == 422
    client.post(page, {"code": "VIP", "reason": "Is on television"})
    patient.refresh_from_db()
    assert patient.confidentiality == "VIP"
    assert Event.objects.get(topic="patient.marked").data == {
        "patient": patient.pk,
        "code": "VIP",
        "by": user.pk,
    }
    assert AuditEvent.objects.get(action="change").reason == "Is on television"
    assert patient.name in client.get(reverse("confidential_records")).content.decode()
    assert client.post(page, {"code": "VIP", "reason": "Is on television"}).status_code == 409


def test_staff_are_proposed_by_their_address(clinic, patient, receptionist):
    assert not confidential.may_be_staff().exists()
    receptionist.email = patient.email.upper()
    receptionist.save()
    assert list(confidential.may_be_staff()) == [patient]
