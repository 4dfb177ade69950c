"""A Singpass identity and a record come together by a step of their own, which is written down; nothing is merged."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from clinic_booking.accounts import emails, step_up
from clinic_booking.models import AuditEvent, Event, Notification, User
from patients.models import Consent, LinkingCode, Patient, PatientClinic, SingpassIdentity
from patients.singpass import linking
from patients.singpass.views import adding_token
from tests.billing.steps import run_jobs
from tests.factories import ClinicFactory, MembershipFactory, PatientFactory, UserFactory
from tests.singpass.counterpart import LOCAL, OTHER, Browser, new_sub, reason

pytestmark = pytest.mark.django_db


@pytest.fixture
def shell(ours):
    """Somebody who came with Singpass and has no record."""
    user = User.objects.create(username="singpass-shell", password="!")
    SingpassIdentity.objects.create(user=user, issuer=ours.SINGPASS_ISSUER, sub=new_sub())
    return user


@pytest.fixture
def record(clinic):
    patient = PatientFactory(name="Lim Ah Hock")
    PatientClinic.objects.create(patient=patient, clinic_id=clinic.pk)
    return patient


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def as_user(user):
    browser = Client()
    browser.force_login(user, backend="patients.singpass.backend.SingpassBackend")
    return browser


def code_shown_to(user):
    page = as_user(user).post(reverse("singpass_code")).content.decode()
    return re.search(r"[A-Z2-9]{4}-[A-Z2-9]{4}", page)[0]


def told(patient):
    """The letters about it, all to the one address that is known, with no number in them."""
    run_jobs()
    letters = [each for each in mail.outbox if "Singpass" in each.subject]
    assert {tuple(each.to) for each in letters} == {(patient.email,)}
    assert not any(re.search(r"[STFGM]\d{7}[A-Z]|key=", each.body) for each in letters)
    kinds = Notification.objects.filter(patient_id=patient.pk, kind__startswith="singpass", status="sent")
    return list(kinds.order_by("pk").values_list("kind", flat=True))


def url(clinic, patient, name="desk_singpass"):
    return reverse(name, args=[clinic.slug, patient.uuid])


def form(code, **changed):
    return {"code": code, "document": "passport", "reason": "asked at the counter"} | changed


def test_the_desk_links_by_the_code_of_the_patient(desk, clinic, record, shell, receptionist):
    code = code_shown_to(shell)
    assert code not in str(LinkingCode.objects.values())

    answer = desk.post(url(clinic, record), form(code.lower().replace("-", " ")))

    assert answer.status_code == 302
    record.refresh_from_db()
    assert record.user == shell
    written = AuditEvent.objects.get(action="link")
    assert (written.actor_id, written.patient_id, written.clinic_id) == (
        receptionist.pk,
        record.pk,
        clinic.pk,
    )
    assert written.reason == "passport: asked at the counter"
    assert Event.objects.get(topic="patient.login_linked").data == {
        "patient": record.pk,
        "by": receptionist.pk,
    }
    assert as_user(shell).get(reverse("me")).status_code == 200
    # It is spent.
    with pytest.raises(linking.NoSuchCode):
        linking.link(patient=record, clinic_id=clinic.pk, by=receptionist, **form(code))


def test_code_that_has_run_out(desk, clinic, record, shell):
    code = code_shown_to(shell)
    LinkingCode.objects.update(expires_at="2026-01-01T00:00Z")

    answer = desk.post(url(clinic, record), form(code))
    assert answer.status_code == 409
    assert "has run out" in answer.content.decode()
    record.refresh_from_db()
    assert record.user is None


def test_record_with_another_login_is_left_alone(desk, clinic, record, shell):
    record.user = UserFactory()
    record.save()
    code = code_shown_to(shell)

    answer = desk.post(url(clinic, record), form(code))
    assert answer.status_code == 409
    assert "another login already" in answer.content.decode()
    assert LinkingCode.objects.filter(user=shell).exists()  # still good for the right record


def test_login_with_another_record_is_left_alone(desk, clinic, record, shell):
    code = code_shown_to(shell)
    PatientFactory(user=shell)

    answer = desk.post(url(clinic, record), form(code))
    assert "Records are not merged" in answer.content.decode()
    assert not AuditEvent.objects.filter(action="link").exists()


@pytest.mark.parametrize(
    "changed", [{"document": ""}, {"reason": ""}, {"reason": "passport 12345678"}, {"code": ""}]
)
def test_document_reason_and_code_are_needed(desk, clinic, record, changed):
    assert desk.post(url(clinic, record), form("ABCD-EFGH") | changed).status_code == 422


def test_only_who_acts_at_a_clinic_of_the_patient(client, clinic, record):
    for user, status in [
        (MembershipFactory(clinic=ClinicFactory()).user, 404),
        (MembershipFactory(clinic=clinic, role="doctor").user, 403),
        (record.user or UserFactory(), 404),
    ]:
        client.force_login(user)
        assert client.post(url(clinic, record), form("ABCD-EFGH")).status_code == status


def test_unknown_patient_of_another_clinic(desk, clinic):
    assert desk.get(url(clinic, PatientFactory())).status_code == 404


def test_unlinking_takes_the_record_and_ends_the_sessions(desk, clinic, record, shell):
    Patient.objects.filter(pk=record.pk).update(user=shell)
    theirs = as_user(shell)
    assert theirs.get(reverse("me")).status_code == 200

    answer = desk.post(url(clinic, record, "desk_singpass_removal"), {"reason": "wrong person"})

    assert answer.status_code == 302
    record.refresh_from_db()
    assert record.user is None
    assert theirs.get(reverse("me")).status_code == 302
    assert AuditEvent.objects.get(action="revoke").reason == "wrong person"
    assert Event.objects.filter(topic="patient.login_unlinked").exists()
    assert told(record) == ["singpass_unlinked"]


def test_unlinking_leaves_the_other_way_in(desk, clinic, record, shell):
    emails.prove(shell, "ah.hock@example.com")
    Patient.objects.filter(pk=record.pk).update(user=shell)

    desk.post(url(clinic, record, "desk_singpass_removal"), {"reason": "as asked by the patient"})
    record.refresh_from_db()
    assert record.user == shell
    assert not SingpassIdentity.objects.exists()


def test_session_by_singpass_ends_when_the_identity_is_taken_away(shell):
    theirs = as_user(shell)
    assert theirs.get(reverse("singpass_account")).status_code == 200
    SingpassIdentity.objects.all().delete()
    assert theirs.get(reverse("singpass_account")).status_code == 302


def test_no_code_for_who_has_a_record(shell):
    PatientFactory(user=shell)
    assert as_user(shell).post(reverse("singpass_code")).status_code == 403


def test_details_of_a_first_login_make_a_record_of_its_own(shell):
    PatientFactory(name="Tan Ah Teck", email="teck@example.com", phone="+6591234567")
    browser = as_user(shell)
    given = {"name": "Tan Ah Teck", "email": "teck@example.com", "phone": "9123 4567", "next": "/book/"}

    assert browser.post(reverse("singpass_details"), given).status_code == 422  # without consent
    assert browser.post(reverse("singpass_details"), given | {"consent": "on"}).url == "/book/"
    assert Patient.objects.filter(email="teck@example.com").count() == 2
    patient = Patient.objects.get(user=shell)
    assert Consent.objects.get(patient=patient).purpose == "care_and_booking"
    assert browser.get(reverse("singpass_details")).url == reverse("me")


def test_onward_from_the_details_is_only_here(shell):
    PatientFactory(user=shell)
    answer = as_user(shell).get(reverse("singpass_details"), {"next": "https://elsewhere.example/"})
    assert answer.url == reverse("me")


# -- Added by the patient, who came by another door ----------------------------------------------


@pytest.fixture
def there(singpass, patient):
    browser = Browser()
    browser.clinic.force_login(patient.user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def add(browser, persona=LOCAL):
    page = browser.clinic.get(reverse("singpass_account")).content.decode()
    token = re.search(r"\?add=([^\"]+)", page)[1]
    return browser.log_in(persona, start={"add": token.replace("%3A", ":")})


def test_patient_adds_singpass_and_removes_it(there, patient):
    assert add(there).url == reverse("singpass_account")
    assert SingpassIdentity.objects.get().user == patient.user
    assert AuditEvent.objects.get(action="link").patient_id == patient.pk
    assert Browser().log_in().url == reverse("me")

    there.clinic.post(reverse("singpass_removal"))
    assert not SingpassIdentity.objects.exists()
    assert AuditEvent.objects.get(action="revoke").patient_id == patient.pk
    assert there.user == patient.user_id
    assert told(patient) == ["singpass_linked", "singpass_unlinked"]


def test_identity_of_another_record_is_not_added(there, other_patient, singpass):
    SingpassIdentity.objects.create(user=other_patient.user, issuer=singpass.SINGPASS_ISSUER, sub=LOCAL)
    answer = add(there)

    assert reason(answer) == "in_use"
    assert "another patient record" in there.clinic.get(answer.url).content.decode()
    assert SingpassIdentity.objects.get().user == other_patient.user


def test_login_made_by_mistake_gives_the_identity_up(there, patient):
    Browser().log_in()
    mistake = SingpassIdentity.objects.get().user

    assert add(there).url == reverse("singpass_account")
    assert SingpassIdentity.objects.get().user == patient.user
    mistake.refresh_from_db()
    assert not mistake.is_active


def test_second_identity_is_refused(there):
    add(there)
    page = there.clinic.get(reverse("singpass_account")).content.decode()
    assert "?add=" not in page


def test_link_of_somebody_else_adds_nothing(there, other_patient):
    assert reason(there.start(add=adding_token(other_patient.user))) == "unknown"
    assert reason(there.start(add="forged")) == "too_late"


def test_logged_out_on_the_way(there):
    token = re.search(r"\?add=([^\"]+)", there.clinic.get(reverse("singpass_account")).content.decode())[1]
    query = there.at_singpass(there.start(add=token.replace("%3A", ":")), OTHER)
    session = there.clinic.session
    del session["_auth_user_id"]
    session.save()

    assert reason(there.back(query)) == "unknown"
    assert not SingpassIdentity.objects.exists()


def test_staff_add_no_singpass_to_their_login(singpass, receptionist):
    browser = Browser()
    browser.clinic.force_login(receptionist, backend="django.contrib.auth.backends.ModelBackend")
    assert "?add=" not in browser.clinic.get(reverse("singpass_account")).content.decode()

    assert reason(browser.log_in(start={"add": adding_token(receptionist)})) == "staff"
    assert not SingpassIdentity.objects.exists()


def test_somebody_else_logged_in_on_the_way(there, other_patient):
    """On a shared computer: what one began adds nothing to the login of the next."""
    token = re.search(r"\?add=([^\"]+)", there.clinic.get(reverse("singpass_account")).content.decode())[1]
    query = there.at_singpass(there.start(add=token.replace("%3A", ":")), OTHER)
    session = there.clinic.session
    session["_auth_user_id"] = str(other_patient.user_id)
    session["_auth_user_hash"] = other_patient.user.get_session_auth_hash()
    session.save()

    assert reason(there.back(query)) == "unknown"
    assert not SingpassIdentity.objects.exists()


def test_adding_and_removing_wants_a_fresh_proof(there, patient):
    token = re.search(r"\?add=([^\"]+)", there.clinic.get(reverse("singpass_account")).content.decode())[1]
    session = there.clinic.session
    step_up.forget(session)
    session.save()

    assert there.start(add=token.replace("%3A", ":")).url.startswith(reverse("step_up"))
    assert there.clinic.post(reverse("singpass_removal")).url.startswith(reverse("step_up"))


def test_singpass_is_a_fresh_proof(there, patient):
    add(there)
    session = there.clinic.session
    step_up.forget(session)
    session.save()
    there.log_in()

    assert there.clinic.post(reverse("singpass_removal")).url == reverse("singpass_account")
