"""What people ask, until when, what was done about it; and by whom it may be seen."""

import datetime as dt

import pytest
from django.core import mail
from django.db import DatabaseError, transaction
from django.urls import reverse

from clinic_booking.accounts import step_up
from clinic_booking.models import AuditEvent, Event, User
from patients.models import DataCopy, PrivacyRequest, PrivacyStep
from patients.retention.models import LegalHold
from patients.rights import copies, reminding, requests
from tests import factories

pytestmark = pytest.mark.django_db
Kind, Proof, Status = PrivacyRequest.Kind, PrivacyRequest.Proof, PrivacyRequest.Status
SECRET = "Zebrafish"


@pytest.fixture
def officer(db):
    return factories.UserFactory(office=User.Office.PRIVACY_OFFICER)


@pytest.fixture
def asked(patient):
    def asked(kind=Kind.ACCESS, proof=Proof.LOGIN, **values):
        values = {"channel": "web", "text": SECRET, "by": None, "patient": patient} | values
        return requests.receive(kind=kind, identity_proof=proof, **values)

    return asked


@pytest.mark.parametrize(
    ("utc", "received", "due"),
    [
        ("2027-01-31T15:59:00+00:00", dt.date(2027, 1, 31), dt.date(2027, 3, 2)),
        ("2027-01-31T16:00:00+00:00", dt.date(2027, 2, 1), dt.date(2027, 3, 3)),
        ("2028-01-30T20:00:00+00:00", dt.date(2028, 1, 31), dt.date(2028, 3, 1)),
        ("2026-12-05T00:00:00+00:00", dt.date(2026, 12, 5), dt.date(2027, 1, 4)),
    ],
)
def test_thirty_days_count_by_singapores_calendar(asked, monkeypatch, utc, received, due):
    monkeypatch.setattr(requests.timezone, "now", lambda: dt.datetime.fromisoformat(utc))
    request = asked()
    assert (request.received_on, request.due_on) == (received, due)
    assert request.days_left(received) == 30
    assert not request.is_overdue(due)
    assert request.is_overdue(due + dt.timedelta(1))


def test_extension_is_told_before_it_is_overdue(asked, officer):
    request = asked()
    until = request.due_on + dt.timedelta(20)
    with pytest.raises(requests.NotPossible):
        requests.extend(request=request, until=request.due_on, reason="told", by=officer)
    requests.extend(request=request, until=until, reason="told by letter", by=officer)
    assert request.due_on == until
    late = asked(received_on=requests.today() - dt.timedelta(40))
    with pytest.raises(requests.NotPossible, match="overdue"):
        requests.extend(request=late, until=requests.today() + dt.timedelta(9), reason="late", by=officer)


def test_refused_access_is_preserved_and_held(asked, officer, patient):
    request = asked()
    with pytest.raises(requests.NotPossible, match="reasons"):
        requests.decide(request=request, status=Status.REFUSED, by=officer)
    requests.decide(request=request, status=Status.REFUSED, reasons="s 21(3)", by=officer)
    assert request.preserved_until == requests.today() + dt.timedelta(30)
    kept = copies.sealing.unseal(request)
    assert patient.email.encode() in kept
    hold = LegalHold.objects.get(patient=patient, is_automatic=True)
    assert hold.until_at.astimezone(requests.zone()).date() == request.preserved_until + dt.timedelta(1)
    assert requests.forget_preserved() == 0
    longer = requests.today() + dt.timedelta(90)
    requests.keep_longer(request=request, until=longer, by=officer)
    assert request.preserved_until == longer
    with pytest.raises(requests.NotPossible):
        requests.keep_longer(request=request, until=requests.today(), by=officer)


def test_copy_of_a_refusal_goes_when_its_time_is_over(asked, officer, monkeypatch):
    monkeypatch.setattr(requests, "KEPT_DAYS", -2)  # with the hold that the refusal set
    request = asked()
    requests.decide(request=request, status=Status.PARTLY, reasons="others", by=officer)
    assert requests.forget_preserved() == 1
    request.refresh_from_db()
    assert request.preserved is None


def test_refused_correction_is_noted_beside_the_record(asked, officer):
    request = asked(Kind.CORRECTION)
    refuse = {"request": request, "status": Status.REFUSED, "reasons": "professional opinion", "by": officer}
    with pytest.raises(requests.NotPossible, match="noted"):
        requests.decide(**refuse)
    requests.decide(**refuse, annotation="The patient says otherwise.")
    assert request.annotation == "The patient says otherwise."
    with pytest.raises(requests.RequestClosed):
        requests.decide(**refuse, annotation="again")


def test_nothing_is_handed_over_to_a_stranger(asked, officer):
    request = asked(proof=Proof.NONE)
    with pytest.raises(requests.NotPossible, match="who asks"):
        requests.hand_over(request=request, form="pdf", by=officer)
    requests.identify(request=request, proof=Proof.IN_PERSON, by=officer)
    requests.estimate_fee(request=request, cents=2500, by=officer)
    with pytest.raises(requests.NotPossible, match="fee"):
        requests.hand_over(request=request, form="pdf", by=officer)
    requests.agree_fee(request=request, by=officer)
    copy = requests.hand_over(request=request, form=DataCopy.Form.JSON, by=officer)
    copies.make(copy.pk)
    copies.fetch(copy_id=copy.pk, by=None)
    requests.decide(request=request, status=Status.GRANTED, by=officer)
    acts = ["received", "identified", "fee", "fee_agreed", "disclosed", "decided"]
    assert list(request.steps.values_list("act", flat=True)) == acts


def test_each_step_is_audited_told_and_stays(asked, officer, patient):
    request = asked()
    requests.note(request=request, text="called back", by=officer)
    subject = f"privacy_request:{request.pk}"
    assert list(
        AuditEvent.objects.filter(subject=subject).order_by("pk").values_list("reason", flat=True)
    ) == [
        "received",
        "noted",
    ]
    event = Event.objects.filter(topic="privacy_request.step").order_by("-pk")[0]
    assert event.data == {"request": request.pk, "act": "noted", "patient": patient.pk, "by": officer.pk}
    for change in (lambda: PrivacyStep.objects.update(text="x"), lambda: PrivacyStep.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append"), transaction.atomic():
            change()


def test_officers_are_reminded_once_a_day_without_names(asked, officer, patient):
    soon = asked(received_on=requests.today() - dt.timedelta(25))
    over = asked(received_on=requests.today() - dt.timedelta(31))
    asked()  # not yet
    assert reminding.remind() == 2
    assert reminding.remind() == 0
    letter = mail.outbox[-1]
    assert officer.email in letter.to
    assert "5 days left" in letter.body
    assert "1 days overdue" in letter.body
    for request in (soon, over):
        assert reverse("privacy_request", args=[request.pk]) in letter.body
    whole = letter.body + letter.alternatives[0][0] + letter.subject
    assert patient.name not in whole
    assert SECRET not in whole


# -- Pages ---------------------------------------------------------------------------------------


def test_only_the_privacy_officer_sees_the_office(client, asked, officer, patient, receptionist):
    request = asked()
    pages = [
        reverse("privacy_office"),
        reverse("privacy_request", args=[request.pk]),
        reverse("privacy_request_new"),
    ]
    admin = factories.UserFactory(office=User.Office.SYSTEM_ADMIN)
    for user in (patient.user, receptionist, admin):
        client.force_login(user)
        assert [client.get(page).status_code for page in pages] == [404, 404, 404]
        act = reverse("privacy_request_act", args=[request.pk, "note"])
        assert client.post(act, {"text": "x"}).status_code == 404
    client.force_login(officer)
    assert [client.get(page).status_code for page in pages] == [200, 200, 200]
    assert request.steps.count() == 1


def test_officer_takes_a_request_to_its_decision(client, asked, officer):
    request = asked(Kind.CORRECTION, Proof.NONE, received_on=requests.today() - dt.timedelta(35))
    client.force_login(officer)
    assert "5 days overdue" in client.get(reverse("privacy_office")).content.decode()

    def act(what, **fields):
        return client.post(reverse("privacy_request_act", args=[request.pk, what]), fields)

    early = act("decision", status="granted")
    assert (early.status_code, "who asks" in early.content.decode()) == (422, True)
    assert act("identity", proof="in_person").status_code == 302
    assert act("corrected", text="telephone number").status_code == 302
    assert act("decision", status="granted").status_code == 302
    assert act("notified", text="the laboratory").status_code == 302
    assert act("nonsense").status_code == 404
    request.refresh_from_db()
    assert (request.status, request.closed_by) == ("granted", officer)
    assert requests.numbers() == {"received": 1, "open": 0, "overdue": 0, "late": 1, "refused": 0, "days": 35}


def test_patient_asks_and_sees_until_when(client, patient):
    client.force_login(patient.user)
    client.post(reverse("ask_privacy"), {"kind": "correction", "text": SECRET})
    request = PrivacyRequest.objects.get()
    page = client.get(reverse("my_privacy")).content.decode()
    assert request.reference in page
    assert (request.patient, request.identity_proof) == (patient, "login")


def test_anybody_may_complain(client, officer):
    url = reverse("privacy_complaint")
    assert client.post(url, {"text": SECRET}).status_code == 422
    page = client.post(url, {"text": SECRET, "contact": "me@example.com"}).content.decode()
    request = PrivacyRequest.objects.get()
    assert request.reference in page
    assert (request.kind, request.patient, request.contact) == ("complaint", None, "me@example.com")
    client.force_login(officer)
    assert SECRET in client.get(reverse("privacy_request", args=[request.pk])).content.decode()


def test_desk_logs_what_came_by_telephone(
    client, slots, service, patient, clinic, receptionist, other_patient
):
    booking = factories.book(slots[:1], service=service, patient=patient)
    client.force_login(receptionist)
    url = f"{reverse('desk_privacy_request', args=[clinic.slug])}?booking={booking.reference}"
    assert patient.name in client.get(url).content.decode()
    form = {
        "kind": "access",
        "channel": "phone",
        "text": SECRET,
        "received_on": clinic.today().isoformat(),
        "identity_proof": "none",
        "contact": "+6590000000",
        "patient": patient.pk,
    }
    assert client.post(url, form).status_code == 302
    assert client.post(url, form | {"patient": other_patient.pk}).status_code == 302
    future = (clinic.today() + dt.timedelta(1)).isoformat()
    assert client.post(url, form | {"received_on": future}).status_code == 422
    first, second = PrivacyRequest.objects.order_by("pk")
    assert (first.patient, first.clinic_id) == (patient, clinic.pk)
    assert second.patient is None  # whose visit it is not
    client.force_login(patient.user)
    assert client.get(url).status_code == 404


def test_desk_confirms_details_and_consent_at_check_in(client, slots, service, patient, clinic, receptionist):
    booking = factories.book(slots[:1], service=service, patient=patient)
    client.force_login(receptionist)
    page, url = (
        reverse(name, args=[clinic.slug, booking.reference]) for name in ("desk_booking", "desk_confirm")
    )
    shown = client.get(page).content.decode()
    assert "Contact details confirmed</button>" in shown
    assert "Agrees to the privacy notice" in shown
    client.post(url, {"say": "confirmed"})
    client.post(url, {"say": "confirmed"})
    client.post(url, {"say": "agrees"})
    after = client.get(page).content.decode()
    assert "Contact details confirmed today" in after
    assert "Agrees to the privacy notice" not in after
    assert patient.confirmations.get().by == receptionist
    kept = patient.consents.get()
    assert (kept.channel, kept.evidence["form"], kept.actor) == ("desk", "check_in", receptionist)
    assert client.post(url, {"say": "else"}).status_code == 404


def test_own_details_want_a_fresh_proof(client, patient):
    """Where letters and codes go is what somebody at an open screen would change first."""
    client.force_login(patient.user)
    session = client.session
    step_up.forget(session)
    session.save()
    answer = client.post(reverse("my_details"), {"phone": "9000 7777", "email": "thief@example.com"})
    assert answer.headers["location"].startswith(reverse("step_up"))
    before = (patient.email, patient.phone)
    patient.refresh_from_db()
    assert (patient.email, patient.phone) == before
    assert mail.outbox == []


def test_new_address_counts_when_its_code_came_back(client, patient):
    client.force_login(patient.user)
    old = patient.email
    client.post(reverse("my_details"), {"phone": "9000 7777", "email": "new@example.com"})
    patient.refresh_from_db()
    assert (patient.email, patient.phone) == (old, "+6590007777")
    digits = mail.outbox[-1].subject.split()[-1]
    assert mail.outbox[-1].to == ["new@example.com"]
    wrong = f"{(int(digits) + 1) % 1_000_000:06}"
    assert client.post(reverse("code_new_email"), {"code": wrong}).status_code == 422
    client.post(reverse("code_new_email"), {"code": digits})
    patient.refresh_from_db()
    assert patient.email == "new@example.com"
