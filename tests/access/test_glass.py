"""The record of a patient of another clinic: with a reason, for an hour, looked at by somebody else."""

import datetime as dt
import threading

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from clinic_booking.accounts import step_up
from clinic_booking.models import AuditEvent, Event
from patients import glass
from patients.models import BrokenGlass, Patient
from scheduling.glass_report import send_report
from tests import factories
from tests.race import Rival

pytestmark = pytest.mark.django_db
REASON = "Came in with chest pain, no record here"


@pytest.fixture
def elsewhere(slots, service):
    """A visit at the clinic of the test, whose patient the own clinic does not know."""
    patient = factories.PatientFactory(name="Siti Rahmah binte Ali", phone="+6591112222")
    return factories.book(slots[:1], patient=patient, service=service)


@pytest.fixture
def own(db):
    return factories.MembershipFactory(clinic__slug="jurong", role="receptionist")


@pytest.fixture
def desk(client, own):
    client.force_login(own.user)
    return client


def ask(desk, **changes):
    asked = {"name": "Siti Rahmah", "phone": "9111 2222", "reason": REASON} | changes
    return desk.post(reverse("glass", args=["jurong"]), asked)


def test_opens_for_an_hour_with_a_reason(desk, own, elsewhere):
    answer = ask(desk)
    glass = BrokenGlass.objects.get()
    assert (glass.patient, glass.user, glass.reason) == (elsewhere.patient, own.user, REASON)
    assert dt.timedelta(minutes=59) < glass.expires_at - timezone.now() <= dt.timedelta(minutes=60)
    page = desk.get(answer["Location"]).content.decode()
    assert elsewhere.patient.name in page
    assert elsewhere.service.name in page
    assert REASON in page
    assert Event.objects.get(topic="glass.broken").data["by"] == own.user.pk
    written = AuditEvent.objects.get(action="break_glass")
    assert (written.patient_id, written.actor_id, written.reason) == (
        elsewhere.patient.pk,
        own.user.pk,
        REASON,
    )


def test_closes_by_itself(desk, own, elsewhere):
    page = ask(desk)["Location"]
    past = timezone.now() - dt.timedelta(minutes=1)
    BrokenGlass.objects.update(expires_at=past)
    assert desk.get(page).status_code == 404
    assert not Patient.objects.visible_to(own.user).exists()


def test_is_open_to_nobody_else(desk, client, own, elsewhere):
    page = ask(desk)["Location"]
    client.force_login(factories.MembershipFactory(clinic=own.clinic).user)
    assert client.get(page).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "why not"},
        {"reason": ""},
        {"phone": "9111 2223"},
        {"phone": "9111 2223", "name": "Siti Rahmah binte Ali"},
        {"name": "Wong Kah Wai"},
    ],
)
def test_refuses_without_reason_or_person(desk, elsewhere, wrong):
    answer = ask(desk, **wrong)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert elsewhere.patient.email not in page
    assert "binte Ali" not in page.replace(wrong.get("name", "-"), "")  # the form shows what was typed
    assert not BrokenGlass.objects.exists()


def test_second_click_leads_to_what_is_open(desk, elsewhere):
    first = ask(desk)["Location"]
    assert ask(desk)["Location"] == first
    assert BrokenGlass.objects.count() == AuditEvent.objects.filter(action="break_glass").count() == 1
    BrokenGlass.objects.update(expires_at=timezone.now() - dt.timedelta(minutes=1))
    assert ask(desk)["Location"] != first


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_opens(own, elsewhere):
    meets = threading.Barrier(2)
    rivals = [
        Rival(
            lambda: glass.break_glass(
                patient=elsewhere.patient, clinic_id=own.clinic_id, reason=REASON, by=own.user
            ),
            meets=meets,
        )
        for _each in range(2)
    ]
    first, second = (each.outcome() for each in rivals)
    assert first == second == BrokenGlass.objects.get()


def test_asks_who_it_is_first(desk, elsewhere):
    session = desk.session
    step_up.forget(session)
    session.save()
    assert ask(desk).status_code == 302
    assert not BrokenGlass.objects.exists()


def test_opened_patient_is_found_and_booked(desk, own, elsewhere):
    find = reverse("desk_book_patients", args=["jurong"])
    assert "binte Ali" not in desk.get(find, {"q": "siti rahmah"}).content.decode()
    ask(desk)
    assert "binte Ali" in desk.get(find, {"q": "siti rahmah"}).content.decode()


def test_registering_again_points_to_the_record(desk, own, elsewhere):
    slot = factories.SlotFactory(clinic=own.clinic)
    service = factories.ServiceFactory(practitioners=[slot.practitioner])
    asked = {"act": "book", "slot": slot.pk, "service": service.slug, "pay": "later", "consent": "on"}
    person = {"name": "Siti Rahmah binte Ali", "phone": "9111 2222"}
    answer = desk.post(reverse("desk_book", args=["jurong"]), asked | person)
    assert answer.status_code == 409
    assert reverse("glass", args=["jurong"]) in answer.content.decode()
    assert elsewhere.patient.email not in answer.content.decode()


# -- Looked at -----------------------------------------------------------------------------------


@pytest.fixture
def opened(own, elsewhere):
    until = timezone.now() + dt.timedelta(hours=1)
    return BrokenGlass.objects.create(
        patient=elsewhere.patient, user=own.user, clinic_id=own.clinic_id, reason=REASON, expires_at=until
    )


def test_report_names_ids_and_goes_to_who_looks(opened, own):
    manager = factories.MembershipFactory(clinic=own.clinic, role="manager").user
    officer = factories.UserFactory(office="privacy_officer")
    assert send_report() == 1
    assert {to for letter in mail.outbox for to in letter.to} == {manager.email, officer.email}
    for letter in mail.outbox:
        assert str(opened.pk) in letter.body
        assert "Siti" not in letter.body + letter.subject
        assert REASON not in letter.body


@pytest.mark.parametrize("who", ["manager", "officer"])
def test_is_ticked_by_somebody_else(client, opened, own, who):
    manager = factories.MembershipFactory(clinic=own.clinic, role="manager").user
    user = manager if who == "manager" else factories.UserFactory(office="privacy_officer")
    client.force_login(user)
    page = client.get(reverse("glass_reviews")).content.decode()
    assert REASON in page
    assert "Siti" not in page
    client.post(reverse("glass_review", args=[opened.pk]), {"justified": "no"})
    opened.refresh_from_db()
    assert (opened.is_justified, opened.reviewed_by) == (False, user)
    assert send_report() == 0


def test_nobody_looks_at_their_own(client, opened, own):
    own.role = "manager"
    own.save()
    client.force_login(own.user)
    answer = client.post(reverse("glass_review", args=[opened.pk]), {"justified": "yes"})
    assert answer.status_code == 409
    assert BrokenGlass.objects.get().reviewed_at is None
