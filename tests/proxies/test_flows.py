"""Booking for a child, acting for somebody, and giving that right at the counter or online."""

import re
import time

import pytest
from django.conf import settings
from django.core import mail, signing
from django.urls import reverse

from clinic_booking.accounts import emails, step_up
from clinic_booking.models import AuditEvent, Notification
from patients import consents, counter_codes
from patients.models import Consent, LinkingCode, Patient, Proxy
from patients.proxies import acts, proofs
from patients.rights import accesses
from scheduling.models import Booking, BookingRequest, Clinic, WaitlistEntry
from tests.billing.steps import post, run_jobs, take
from tests.factories import BookingFactory, MembershipFactory, PatientFactory, UserFactory, known
from tests.proxies.given import backdate, child, given

pytestmark = pytest.mark.django_db
MIA = {
    "who": "new",
    "new_name": "Mia Tan",
    "new_birth_date": "2020-02-29",
    "new_relation": "parent",
    "new_declares": "on",
}


@pytest.fixture
def mother(client, clinic):
    clinic.payment_policy = Clinic.PaymentPolicy.PAY_AT_CLINIC
    clinic.save()
    mother = PatientFactory(name="Mother Tan", with_login=True)
    client.force_login(mother.user)
    return mother


def test_a_mother_books_two_children_and_herself_at_the_same_time(client, mother, slots, service):
    hold = take(client, slots[0], service)
    assert post(client, hold, **MIA).status_code == 303
    mias = Booking.objects.get()
    assert (mias.patient.name, mias.patient.user, mias.patient.email) == ("Mia Tan", None, "siti@example.com")
    assert mias.session.request.source == BookingRequest.Source.ONLINE
    assert Consent.objects.get().on_behalf_of == mias.patient
    assert "authority" not in client.get(reverse("me")).content.decode().lower()
    proxy = Proxy.objects.get()
    assert proxy.must_be_checked
    hold = take(client, slots[1], service)
    page = client.get(reverse("checkout", args=[hold.pk])).content.decode()
    assert "Mia Tan" in page
    assert post(client, hold, who=str(mias.patient.uuid)).status_code == 303
    hold = take(client, slots[2], service)
    assert post(client, hold).status_code == 303  # herself
    assert [each.patient.name for each in Booking.objects.order_by("starts_at")] == [
        "Mia Tan",
        "Mia Tan",
        "Mother Tan",
    ]
    assert client.get(reverse("me")).content.decode().count("For Mia Tan") == 2
    acted = AuditEvent.objects.filter(action="act_for", patient_id=mias.patient_id)
    assert {tuple(each.fields) for each in acted} == {("booking",)}
    # What this browser made opens nothing once it is over.
    acts.end(proxy=proxy, reason=Proxy.End.BY_PROXY, by=mother.user)
    assert client.get(reverse("booking", args=[mias.reference])).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"new_name": ""}, {"new_birth_date": "1990-01-01"}, {"new_declares": ""}, {"who": "1234"}]
)
def test_what_is_missing_for_a_child_is_said(client, mother, slots, service, wrong):
    hold = take(client, slots[0], service)
    assert post(client, hold, **MIA | wrong).status_code == 422
    assert not Proxy.objects.exists()
    assert not Booking.objects.exists()


def test_somebody_elses_child_cannot_be_chosen(client, mother, slots, service):
    other = given(child(name="Ben"))
    hold = take(client, slots[0], service)
    assert "Ben" not in client.get(reverse("checkout", args=[hold.pk])).content.decode()
    assert post(client, hold, who=str(other.patient.uuid)).status_code == 422


def test_a_proxy_cancels_and_the_patient_sees_who_did(client, mother):
    father = PatientFactory(with_login=True)
    given(father, mother.user, "spouse")
    booking = BookingFactory(patient=father)
    page = reverse("cancellation", args=[booking.reference])
    shown = client.get(page).content.decode()
    seen = re.search(r'name="seen-one" value="([^"]*)"', shown)
    client.post(page, {"scope": "one", "seen-one": seen[1] if seen else ""})
    booking.refresh_from_db()
    assert booking.status == Booking.Status.CANCELLED
    assert (
        AuditEvent.objects.filter(action="act_for", fields=["cancel"], actor_id=mother.user_id).count() == 1
    )
    assert [each.by for each in accesses.of_last_year(father)] == ["Your parent or caregiver"]


def test_a_mother_waits_for_a_child(client, mother, slots, service):
    proxy = given(child(name="Mia"), mother.user)
    answer = client.post(
        reverse("join_waitlist"),
        {"service": service.slug, "strict": "yes", "notice_minutes": "120", "who": str(proxy.patient.uuid)}
        | {"name": mother.name, "email": mother.email, "phone": mother.phone, "consent": "on"},
    )
    assert answer.status_code == 303
    entry = WaitlistEntry.objects.get()
    assert entry.session.request.patient == proxy.patient
    assert client.get(reverse("waiting", args=[entry.pk])).status_code == 200
    acts.end(proxy=proxy, reason=Proxy.End.BY_DESK, by=UserFactory())
    assert client.get(reverse("waiting", args=[entry.pk])).status_code == 404


def test_whose_own_details_are_known_still_agrees_for_a_new_child(client, mother, slots, service):
    consents.agree(patient=mother, by=mother.user, how=consents.Asked("web"))
    asked = {"service": service.slug, "strict": "yes", "notice_minutes": "120"} | MIA
    refused = client.post(reverse("join_waitlist"), asked)
    assert refused.status_code == 422
    assert "I agree that the clinic uses these details for their booking" in refused.text
    assert not Patient.objects.filter(name="Mia Tan").exists()
    assert client.post(reverse("join_waitlist"), asked | {"new_consent": "on"}).status_code == 303
    mia = WaitlistEntry.objects.get().session.request.patient
    assert Consent.objects.get(patient=mia).evidence["wording"].startswith("I agree")


def test_the_counter_gives_and_ends(client, mother, clinic):
    staff = MembershipFactory(clinic=clinic).user
    mia = known(child(name="Mia"), clinic)
    shown = client.post(reverse("people_code")).content.decode()
    code = re.search(r"([A-Z2-9]{4}-[A-Z2-9]{4})", shown)[1]
    client.force_login(staff)
    page = reverse("desk_people", args=[clinic.slug, mia.uuid])
    said = {"relation": "parent", "evidence": "birth_certificate", "note": "came together", "code": code}
    assert client.post(page, said | {"code": "WRNG-CODE"}).status_code == 409
    assert client.post(page, said | {"note": "S1234567"}).status_code == 422
    assert client.post(page, said).status_code == 302
    assert client.post(page, said).status_code == 409  # one use
    proxy = Proxy.objects.live().get()
    assert (proxy.user, proxy.by, proxy.must_be_checked) == (mother.user, staff, False)
    end = reverse("desk_people_end", args=[clinic.slug, mia.uuid, proxy.pk])
    assert client.post(end, {"reason": ""}).status_code == 422
    assert client.post(end, {"reason": "mother asked"}).status_code == 302
    assert not Proxy.objects.live().exists()


def test_the_desk_confirms_what_was_declared(client, clinic):
    mother = PatientFactory(name="Mother Tan", with_login=True)
    proxy = given(known(child(), clinic), mother.user, evidence="declared")
    client.force_login(MembershipFactory(clinic=clinic).user)
    page = reverse("desk_people", args=[clinic.slug, proxy.patient.uuid])
    shown = client.get(page).text
    assert "Authority to be checked" in shown
    assert "Mother Tan" in shown  # to compare with the document
    client.post(reverse("desk_people_check", args=[clinic.slug, proxy.patient.uuid, proxy.pk]))
    assert "Authority to be checked" not in client.get(page).content.decode()


def test_an_invitation_is_for_the_address_and_for_once(client, mother):
    people = reverse("my_people")
    assert client.post(people, {"relation": "spouse", "email": "Dad@example.com"}).status_code == 302
    link = re.search(r"http://[^/]+(/me/people/\S+)", mail.outbox[-1].body)[1]
    assert mother.name not in mail.outbox[-1].body
    assert settings.DPO_EMAIL in mail.outbox[-1].body
    assert settings.DPO_EMAIL in mail.outbox[-1].alternatives[0][0]
    father = UserFactory(email="dad@example.com")
    client.force_login(father)
    elsewhere = client.get(link)  # written, not proved
    assert (elsewhere.status_code, "Mother" in elsewhere.text) == (403, False)
    assert "went to another e-mail address" in elsewhere.text
    gone = client.get(reverse("people_invitation", args=["nonsense"]))
    assert (gone.status_code, "has run out" in gone.text) == (404, True)
    emails.prove(father, "dad@example.com")
    assert client.get(link).status_code == 200
    assert not Proxy.objects.exists()
    assert client.post(link).status_code == 302
    proxy = Proxy.objects.live().get()
    assert (proxy.user, proxy.patient, proxy.evidence) == (father, mother, "consent")
    client.force_login(mother.user)
    assert client.post(reverse("people_end", args=[proxy.pk])).status_code == 302
    client.force_login(father)
    assert client.post(link).status_code == 409
    assert not Proxy.objects.live().exists()
    assert "Mother T." in client.get(people).content.decode()
    assert not Patient.objects.belonging_to(father).exists()


def test_an_invitation_runs_out_and_wants_a_fresh_proof(client, mother, monkeypatch):
    people, given_to = reverse("my_people"), {"relation": "spouse", "email": "dad@example.com"}
    client.post(people, given_to)
    link = re.search(r"http://[^/]+(/me/people/\S+)", mail.outbox[-1].body)[1]
    session = client.session
    step_up.forget(session)
    session.save()
    assert client.post(people, given_to)["Location"].startswith("/step-up/")
    assert len(mail.outbox) == 1
    father = UserFactory(email="dad@example.com")
    emails.prove(father, "dad@example.com")
    client.force_login(father)
    with monkeypatch.context() as later:
        now = time.time()
        later.setattr(signing.time, "time", lambda: now + proofs.DAYS * 24 * 3600 + 60)
        assert proofs.opened(link.split("/")[-2]) is None
    assert proofs.opened(link.split("/")[-2])


def test_code_for_the_counter_is_for_one_use_and_purpose_for_ten_minutes(mother):
    code = proofs.make_code(user=mother.user)
    assert counter_codes.redeem(code, purpose="singpass.linking") is None
    assert proofs.redeem(code) == mother.user
    with pytest.raises(proofs.NoSuchCode):
        proofs.redeem(code)
    code = proofs.make_code(user=mother.user)
    LinkingCode.objects.update(expires_at="2026-01-01T00:00Z")
    with pytest.raises(proofs.NoSuchCode):
        proofs.redeem(code)


def test_nobody_ends_what_is_between_others(client, mother):
    proxy = given()
    assert client.post(reverse("people_end", args=[proxy.pk])).status_code == 404
    assert Proxy.objects.live().get() == proxy


def test_both_hear_of_the_end(mother):
    proxy = given(PatientFactory(name="Old Lim", email="lim@example.com"), mother.user, "caregiver")
    backdate(proxy)
    acts.end_due()
    run_jobs()
    told = Notification.objects.filter(event__topic="proxy.ended").order_by("kind")
    assert [(each.kind, each.status) for each in told] == [("proxy_ended", "sent"), ("proxy_over", "sent")]
    assert {m.to[0] for m in mail.outbox[-2:]} == {"lim@example.com", mother.user.email}
