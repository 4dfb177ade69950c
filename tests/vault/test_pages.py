import re

import pytest
from django.urls import reverse

from clinic_booking.accounts import step_up
from clinic_booking.models import AuditEvent, User
from patients import vault
from patients.identity import parse
from patients.models import Identifier
from patients.rights import requests
from scheduling import arrivals
from scheduling.models import Membership, VisitTicket
from tests import factories
from tests.access import trying
from tests.billing.steps import take
from tests.vault.keys import number

NUMBER, OTHER = number("S", "8012345"), number("G", "1234567")
WHOLE = re.compile(r"(?i)(?<![a-z0-9])[STFGM]\d{7}[A-Z]")
Role = Membership.Role


@pytest.fixture
def visit(slots, service, patient):
    return factories.book(slots[:1], service=service, patient=patient)


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def on_file(patient, visit, receptionist):
    return vault.record(
        patient_id=patient.pk,
        number=parse("nric", NUMBER),
        source=vault.Source.DESK,
        by=receptionist,
        seen=True,
    )


def own_page(patient):
    return reverse("identity", args=[patient.uuid])


def desk_page(visit):
    return reverse("desk_identity", args=[visit.clinic.slug, visit.patient.uuid])


def number_page(visit, kept):
    return reverse("desk_identity_number", args=[visit.clinic.slug, visit.patient.uuid, kept.pk])


# -- The patient, before the visit ---------------------------------------------------------------


def test_patient_prepares_the_visit(client, patient):
    client.force_login(patient.user)
    page = own_page(patient)
    assert page in client.get("/me/").text
    assert "section 37" in client.get(page).text
    data = {"kind": "nric", "number": f" {NUMBER.lower()} ", "gender": "female", "birth_date": "1988-04-13"}
    answer = client.post(page, data, follow=True)
    assert NUMBER[-4:] in answer.text
    assert not WHOLE.search(answer.text)
    patient.refresh_from_db()
    assert (patient.gender, str(patient.birth_date)) == ("female", "1988-04-13")
    kept = Identifier.objects.get()
    assert (kept.value, kept.source, kept.checked_at) == (NUMBER, "patient", None)
    assert "no-store" in answer["Cache-Control"]


def test_nothing_of_it_must_be_given(client, patient):
    client.force_login(patient.user)
    assert client.post(own_page(patient), {"kind": "nric", "gender": "male"}).status_code == 302
    assert not Identifier.objects.exists()
    patient.refresh_from_db()
    assert (patient.gender, patient.birth_date.year) == ("male", 1988)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", NUMBER[:-1] + ("A" if NUMBER[-1] != "A" else "B")),
        ("birth_date", "2990-01-01"),
        ("kind", "x"),
    ],
)
def test_wrong_input_is_not_repeated(client, patient, field, value):
    client.force_login(patient.user)
    answer = client.post(own_page(patient), {"kind": "nric", "number": NUMBER} | {field: value})
    assert answer.status_code == 422
    assert not WHOLE.search(answer.text)
    assert not Identifier.objects.exists()


def test_answer_is_the_same_whether_a_number_is_known_or_not(client, patient, other_patient, on_file):
    client.force_login(other_patient.user)
    pages = []
    for text in (NUMBER, number("S", "8112345")):
        answer = client.post(own_page(other_patient), {"kind": "nric", "number": text}, follow=True)
        pages.append(re.sub(r'[0-9]{3}[A-Z]\b|value="[^"]*"|X-CSRFToken": "[^"]*"', "", answer.text))
    assert pages[0] == pages[1]


def test_only_the_own_record(client, patient, other_patient):
    page = own_page(patient)
    assert client.get(page).status_code == 302
    client.force_login(other_patient.user)
    assert client.post(page, {"kind": "nric", "number": NUMBER}).status_code == 404
    assert not Identifier.objects.exists()


def test_what_the_desk_has_seen_stays(client, patient, on_file):
    client.force_login(patient.user)
    answer = client.post(own_page(patient), {"kind": "nric", "number": number("S", "8112345")})
    assert answer.status_code == 422
    assert "has seen this document" in answer.text
    assert Identifier.objects.get() == on_file


# -- The desk, at check-in -----------------------------------------------------------------------


def test_desk_checks_the_document(desk, visit, patient, receptionist):
    page = desk_page(visit)
    assert page in desk.get(reverse("desk_booking", args=[visit.clinic.slug, visit.reference])).text
    assert "no identity number" in desk.get(page).text
    data = {"kind": "nric", "number": NUMBER, "birth_date": "1988-04-12", "gender": "female"}
    assert desk.post(page, data).status_code == 422
    assert desk.post(page, data | {"seen": "on"}).status_code == 303
    answer = desk.get(page)
    assert "Document seen" in answer.text
    assert not WHOLE.search(answer.text)
    kept = Identifier.objects.get()
    assert (kept.value, kept.checked_by, kept.source) == (NUMBER, receptionist, "desk")
    assert vault.incomplete({patient.pk}) == set()


def test_desk_is_told_of_a_duplicate_but_not_whose(desk, visit, on_file, slots, service, other_patient):
    other = factories.book(slots[2:3], service=service, patient=other_patient)
    answer = desk.post(desk_page(other), {"kind": "nric", "number": NUMBER, "seen": "on"})
    assert answer.status_code == 409
    assert "Another record has this number" in answer.text
    assert not WHOLE.search(answer.text)
    assert visit.patient.name not in answer.text


def test_check_in_goes_on_without_and_the_lists_say_so(desk, visit, day_of_visit, receptionist, patient):
    queue, work = (reverse(name, args=[visit.clinic.slug]) for name in ("desk_queue", "desk_work"))
    arrivals.check_in(booking_id=visit.pk, by=receptionist)
    VisitTicket.objects.update(date=visit.clinic.today())  # the clock of the day is that of check-in alone
    assert desk_page(visit) in desk.get(work).text
    vault.record(
        patient_id=patient.pk,
        number=parse("nric", NUMBER),
        source=vault.Source.DESK,
        by=receptionist,
        seen=True,
    )
    assert vault.incomplete({patient.pk}) == {patient.pk}
    vault.describe(patient_id=patient.pk, birth_date=None, gender="other", by=receptionist, clinic_id=None)
    assert desk_page(visit) not in desk.get(work).text
    assert desk.get(queue).status_code == 200


@pytest.mark.parametrize(
    ("role", "status"),
    [("receptionist", 200), ("nurse", 200), ("manager", 200), ("doctor", 404), ("finance", 404)],
)
def test_who_may_open_the_pages(client, visit, on_file, role, status):
    member = factories.MembershipFactory(clinic=visit.clinic, role=role)
    elsewhere = factories.MembershipFactory(role=Role.MANAGER)
    for user, expected in ((member.user, status), (elsewhere.user, 404)):
        client.force_login(user)
        assert client.get(desk_page(visit)).status_code == expected
        answer = client.post(number_page(visit, on_file), {"reason": "document"})
        assert (answer.status_code, NUMBER in answer.text) == (expected, expected == 200)


def test_whole_number_is_shown_for_a_reason_and_written_down(desk, visit, on_file, receptionist):
    assert NUMBER not in desk.get(desk_page(visit)).text
    assert desk.get(number_page(visit, on_file)).status_code == 405
    assert desk.post(number_page(visit, on_file), {"reason": "curious"}).status_code == 303
    assert not AuditEvent.objects.filter(action="unmask").exists()
    page = desk.post(number_page(visit, on_file), {"reason": "law"})
    part = desk.post(number_page(visit, on_file), {"reason": "law"}, headers={"hx-request": "true"})
    for answer in (page, part):
        assert NUMBER in answer.text
        assert "no-store" in answer["Cache-Control"]
    assert 'content="30;url=' in page.text
    assert 'data-seconds="30"' in part.text
    trail = AuditEvent.objects.filter(action="unmask")
    assert {(e.actor_id, e.patient_id, e.reason) for e in trail} == {
        (receptionist.pk, visit.patient_id, "law")
    }
    assert trail.count() == 2


def test_whole_number_needs_a_fresh_proof(desk, visit, on_file):
    session = desk.session
    step_up.forget(session)
    session.save()
    answer = desk.post(number_page(visit, on_file), {"reason": "law"})
    assert answer.status_code == 302
    assert not AuditEvent.objects.filter(action="unmask").exists()


def test_number_of_somebody_else_is_not_found(desk, visit, on_file, receptionist):
    """Not of a patient whom the clinic does not know, nor under the name of one whom it knows."""
    stranger = factories.PatientFactory()
    theirs = vault.record(
        patient_id=stranger.pk, number=parse("fin", OTHER), source=vault.Source.DESK, by=receptionist
    )
    slug = visit.clinic.slug
    for patient in (stranger, visit.patient):
        page = reverse("desk_identity_number", args=[slug, patient.uuid, theirs.pk])
        assert desk.post(page, {"reason": "law"}).status_code == 404
    assert not AuditEvent.objects.filter(action="unmask").exists()


def test_desk_has_no_page_of_a_patient_whom_it_does_not_know(desk, visit):
    stranger, found = factories.PatientFactory(), 0
    for name, wanted in trying.addresses().items():
        if wanted == {"clinic", "patient"}:
            found += 1
            for patient, status in ((stranger, {404}), (visit.patient, {200, 405})):
                page = reverse(name, kwargs={"clinic": visit.clinic.slug, "patient": patient.uuid})
                assert desk.get(page).status_code in status | {405}, name
                if patient is stranger:
                    assert desk.post(page, {"seen": "on"}).status_code == 404, name
    assert found >= 3


def test_too_many_are_refused(desk, visit, on_file, settings):
    settings.UNMASKED_AN_HOUR = 1
    statuses = [desk.post(number_page(visit, on_file), {"reason": "law"}).status_code for _ in range(2)]
    assert statuses == [200, 429]


# -- Searching -----------------------------------------------------------------------------------


def test_whole_number_is_searched_by_posting_it(desk, clinic, visit, patient, on_file):
    options, plan, book = (
        reverse(name, args=[clinic.slug]) for name in ("desk_book_patients", "desk_plan", "desk_book")
    )
    found = f'data-patient-pk="{patient.pk}"'
    assert found in desk.post(options, {"q": NUMBER}).text
    assert found not in desk.get(options, {"q": NUMBER}).text
    assert f"patient={patient.pk}" in desk.post(plan, {"q": NUMBER}).text
    assert patient.name in desk.post(book, {"q": NUMBER, "act": "find"}).text
    for page in (options, plan, book):
        assert not WHOLE.search(desk.post(page, {"q": NUMBER, "act": "find"}).text)
        assert not WHOLE.search(desk.post(page, {"q": OTHER, "act": "find"}).text)


def test_admin_shows_the_mask(client, on_file):
    client.force_login(factories.UserFactory(is_admin=True, office="system_admin"))
    for name, args in (("changelist", []), ("change", [on_file.pk])):
        answer = client.get(reverse(f"admin:patients_identifier_{name}", args=args))
        if answer.status_code == 200:
            assert on_file.blind_index not in answer.text
            assert "v1.dev." not in answer.text
            assert not WHOLE.search(answer.text)
        else:
            assert answer.status_code in (302, 403, 404)


def test_nobody_is_asked_in_order_to_book(client, slots, service):
    page = client.get(f"/checkout/{take(client, slots[0], service).pk}/")
    assert page.status_code == 200
    assert not re.search(r"(?i)nric|identity number|passport", page.text)


# -- The privacy officer, for a request ----------------------------------------------------------


def test_officer_sees_the_number_of_whom_a_request_is_about(client, patient, on_file, settings):
    settings.UNMASKED_AN_HOUR = 2
    officer = factories.UserFactory(office=User.Office.PRIVACY_OFFICER)
    asked = requests.receive(
        kind="correction",
        channel="phone",
        text="My number",
        by=officer,
        patient=patient,
        identity_proof="none",
    )
    other = requests.receive(
        kind="complaint", channel="phone", text="x", by=officer, patient=None, identity_proof="none"
    )
    client.force_login(officer)
    page = reverse("privacy_request", args=[asked.pk])
    shown = client.get(page).text
    assert on_file.masked in shown
    assert NUMBER not in shown
    number_of = reverse("privacy_number", args=[asked.pk, on_file.pk])
    assert number_of in shown
    assert client.post(number_of, {"reason": "curious"}).url == page
    assert (
        client.post(reverse("privacy_number", args=[other.pk, on_file.pk]), {"reason": "law"}).status_code
        == 404
    )
    assert NUMBER in client.post(number_of, {"reason": "correction"}).text
    assert NUMBER in client.post(number_of, {"reason": "law"}, headers={"hx-request": "true"}).text
    assert client.post(number_of, {"reason": "law"}).status_code == 429
    trail = AuditEvent.objects.filter(action="unmask").order_by("pk")
    assert [(e.actor_id, e.patient_id, e.reason) for e in trail] == [
        (officer.pk, patient.pk, "correction"),
        (officer.pk, patient.pk, "law"),
    ]
    session = client.session
    step_up.forget(session)
    session.save()
    assert client.post(number_of, {"reason": "law"}).url.startswith(reverse("step_up"))
