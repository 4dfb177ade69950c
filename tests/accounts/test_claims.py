"""A guest's visits come into an account by a code to the contact on the record."""

import json

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from clinic_booking.accounts import emails, step_up
from clinic_booking.models import AuditEvent
from patients import claims
from patients.models import Patient
from scheduling.models import Booking
from tests import factories
from tests.accounts.conftest import code_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(db):
    return factories.PatientFactory(name="Siti Rahmah", email="Siti@example.com")


@pytest.fixture
def visit(guest):
    return factories.BookingFactory(patient=guest)


@pytest.fixture
def browser(client, visit):
    """Has booked as a guest, and logs in with some account."""
    session = client.session
    session["bookings"] = [visit.reference]
    session.save()
    return client


def log_in_by_code(client, address, **more):
    client.post("/login/", {"email": address, **more})
    return client.post("/login/code/", {"code": code_in()})


def test_page_of_a_guest_offers_an_account(browser, visit):
    page = f"/bookings/{visit.reference}/account/"
    assert page in browser.get(f"/bookings/{visit.reference}/").text
    assert browser.get(page).headers["location"] == f"/login/?next={page}"


def test_code_to_the_same_address_is_enough(browser, visit, guest):
    page = f"/bookings/{visit.reference}/account/"
    assert log_in_by_code(browser, "siti@example.com", next=page).headers["location"] == page
    assert browser.post(page).headers["location"] == "/me/"
    guest.refresh_from_db()
    assert str(guest.user_id) == browser.session["_auth_user_id"]
    assert visit.reference in browser.get("/me/").text
    record = AuditEvent.objects.get(action="link")
    assert (record.patient_id, record.actor_id) == (guest.pk, guest.user_id)


def test_other_account_shows_a_code_of_the_record(browser, visit, guest):
    log_in_by_code(browser, "daughter@example.com")
    page = f"/bookings/{visit.reference}/account/"
    assert "S•••@example.com" in browser.get(page).text
    browser.post(page)
    assert mail.outbox[-1].to == ["Siti@example.com"]
    assert browser.post(page, {"code": "12"}).status_code == 422
    assert browser.post(page, {"code": code_in()}).status_code == 302
    guest.refresh_from_db()
    assert str(guest.user_id) == browser.session["_auth_user_id"]
    assert "siti@example.com" not in emails.verified(guest.user)


def test_code_goes_by_sms_where_the_phone_is_the_contact(browser, visit, guest, settings, tmp_path):
    settings.MESSAGE_FILES = str(tmp_path)
    settings.MESSAGE_GATEWAYS = {"sms": "file", "whatsapp": "off"}
    type(guest).objects.filter(pk=guest.pk).update(email="")
    log_in_by_code(browser, "daughter@example.com")
    page = f"/bookings/{visit.reference}/account/"
    browser.post(page)
    sent = json.loads((tmp_path / "sms.jsonl").read_text())
    assert sent["to"] == guest.phone
    code = sent["text"].split("code is ")[1][:6]
    assert browser.post(page, {"code": code}).status_code == 302


def test_record_of_another_login_is_never_handed_over(browser, visit, guest, other_patient):
    type(guest).objects.filter(pk=guest.pk).update(user=factories.UserFactory())
    log_in_by_code(browser, "siti@example.com")
    assert browser.post(f"/bookings/{visit.reference}/account/").status_code == 409
    assert browser.post(f"/me/records/{guest.uuid}/claim/").status_code == 404
    with pytest.raises(claims.RecordIsTaken):
        claims.claim(patient=guest, user=factories.UserFactory(), proof="email")


def test_family_chooses_who_is_who(client, visit, guest):
    child = factories.PatientFactory(name="Adam Rahmah", email="siti@example.com")
    log_in_by_code(client, "siti@example.com")
    page = client.get("/me/").text
    assert "Siti R." in page
    assert "Adam R." in page
    assert not Booking.objects.filter(patient__user__isnull=False).exists()
    client.post(f"/me/records/{child.uuid}/claim/")
    child.refresh_from_db()
    guest.refresh_from_db()
    assert (child.user is not None, guest.user) == (True, None)
    assert client.post(f"/me/records/{guest.uuid}/claim/").status_code == 404


def test_claim_wants_a_fresh_proof(client, visit, guest):
    log_in_by_code(client, "siti@example.com")
    session = client.session
    step_up.forget(session)
    session.save()
    there = client.post(f"/me/records/{guest.uuid}/claim/")
    assert there.headers["location"].startswith("/step-up/")
    guest.refresh_from_db()
    assert guest.user is None


def test_records_of_other_addresses_cannot_be_claimed(client, visit, guest):
    log_in_by_code(client, "other@example.com")
    assert client.post(f"/me/records/{guest.uuid}/claim/").status_code == 404
    assert Client().post(f"/me/records/{guest.uuid}/claim/").status_code == 302
    assert client.get(f"/bookings/{visit.reference}/account/").status_code == 404


def test_records_of_an_address_are_found_by_an_index(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        found = Patient.objects.filter(email__iexact="Nurul@Example.com")
        assert "patient_email_upper" in found.explain()
