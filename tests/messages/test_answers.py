"""Links of a reminder: they work without a login, do nothing when opened, and run out."""

import datetime as dt
from urllib.parse import urlsplit

import pytest
from django.core import signing

from clinic_booking.models import Event
from patients import opt_out
from patients.messages import allowed_channels
from patients.models import Consent
from scheduling import links
from scheduling.booking import move_booking
from scheduling.calendar import dataset
from scheduling.models import Booking
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def visit(slots, service, patient):
    return factories.book(slots[:1], service=service, patient=patient)


def path(url):
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def confirmations():
    return Event.objects.filter(topic="appointment.confirmed_by_patient").count()


# -- Confirming ----------------------------------------------------------------------------------


def test_opening_the_link_confirms_nothing(client, visit):
    page = client.get(path(links.answer_url(visit)), follow=True)
    assert page.redirect_chain == [(f"/bookings/{visit.reference}/answer/", 302)]
    assert "Are you coming?" in page.content.decode()
    visit.refresh_from_db()
    assert (visit.is_confirmed, confirmations()) == (False, 0)


def test_one_tap_confirms_once(client, visit):
    client.get(path(links.answer_url(visit)))
    page = f"/bookings/{visit.reference}/answer/"
    assert "We know that you are coming" in client.post(page, follow=True).content.decode()
    assert "confirmed this visit already" in client.post(page, follow=True).content.decode()
    visit.refresh_from_db()
    assert (visit.is_confirmed, confirmations()) == (True, 1)


def test_all_stops_are_confirmed_together(client, visit, slots, service, patient):
    factories.book(slots[3:4], service=service, patient=patient, visit=visit.visit)
    client.get(path(links.answer_url(visit)))
    client.post(f"/bookings/{visit.reference}/answer/")
    assert [each.is_confirmed for each in Booking.objects.all()] == [True, True]
    assert confirmations() == 2


def test_moved_visit_is_not_confirmed_any_more(client, visit, slots):
    client.get(path(links.answer_url(visit)))
    client.post(f"/bookings/{visit.reference}/answer/")
    move_booking(booking_id=visit.pk, slot_id=slots[3].pk, by=None)
    visit.refresh_from_db()
    assert not visit.is_confirmed
    assert "Are you coming?" in client.get(f"/bookings/{visit.reference}/answer/").content.decode()


def test_cancelled_visit_cannot_be_confirmed(client, slots):
    gone = factories.BookingFactory(cancelled=True)
    client.get(path(links.answer_url(gone)))
    page = client.post(f"/bookings/{gone.reference}/answer/", follow=True).content.decode()
    assert "cannot be confirmed any more" in page
    assert confirmations() == 0


@pytest.mark.parametrize("key", ["x", "1tXYZ:forged", ""])
def test_forged_link_opens_nothing(client, visit, key):
    response = client.get(f"/bookings/{visit.reference}/answer/?key={key}")
    assert response.status_code == (410 if key else 404)
    assert client.post(f"/bookings/{visit.reference}/answer/").status_code == 404


def test_old_link_has_run_out(client, visit, monkeypatch):
    url = path(links.answer_url(visit))
    monkeypatch.setattr(links, "ANSWER_LASTS", dt.timedelta(seconds=-1))
    assert client.get(url).status_code == 410


def test_link_opens_no_other_visit(client, visit, slots, service):
    other = factories.book(slots[1:2], service=service)
    key = urlsplit(links.answer_url(visit)).query
    assert client.get(f"/bookings/{other.reference}/answer/?{key}").status_code == 410


def test_link_leads_on_to_cancel_and_move(client, visit):
    Booking.objects.update(free_cancel_hours=0)  # whatever the time of day is now
    page = client.get(path(links.answer_url(visit)), follow=True).content.decode()
    assert f"/bookings/{visit.reference}/cancellation/" in page
    assert f"move={visit.reference}" in page
    assert client.get(f"/bookings/{visit.reference}/cancellation/").status_code == 200


def test_desk_sees_who_has_confirmed(client, visit, clinic, receptionist):
    client.force_login(receptionist)
    day = clinic.local_date(visit.starts_at)
    listed = f"/desk/{clinic.slug}/?date={day}&list=1"
    assert "Confirmed" not in client.get(listed).content.decode()
    Booking.objects.update(confirmed_at=visit.created_at, confirmed_version=1)
    assert "Confirmed" in client.get(listed).content.decode()
    details = client.get(f"/desk/{clinic.slug}/bookings/{visit.reference}/").content.decode()
    assert "Confirmed by the patient" in details
    assert '"confirmed" : true' in dataset(clinics=[clinic], first=day, days=1)


# -- Stopping ------------------------------------------------------------------------------------


def test_opening_the_stop_link_stops_nothing(client, patient):
    page = client.get(path(opt_out.stop_url(patient)))
    assert "Stop reminders?" in page.content.decode()
    assert not Consent.objects.exists()


def test_button_of_the_mailbox_stops_e_mails(patient, allow):
    from django.test import Client

    allow(patient, reminders_sms=True)
    mailbox = Client(enforce_csrf_checks=True)
    mailbox.post(path(opt_out.stop_url(patient)), {"List-Unsubscribe": "One-Click"})
    assert allowed_channels(patient, "reminders") == {"sms"}
    assert allowed_channels(patient, "service") == {"email", "sms"}


@pytest.mark.parametrize(("chosen", "left"), [("sms", {"email"}), ("all", set()), ("x", {"email", "sms"})])
def test_page_stops_what_is_chosen(client, patient, allow, chosen, left):
    allow(patient, reminders_sms=True)
    page = client.post(path(opt_out.stop_url(patient)), {"channel": chosen}, follow=True)
    assert page.status_code == 200
    assert allowed_channels(patient, "reminders") == left


def test_stopping_is_added_to_what_was_said_before(client, patient, allow):
    allow(patient, reminders_sms=True)
    client.post(path(opt_out.stop_url(patient)), {"channel": "sms"})
    said = Consent.objects.filter(purpose="reminders_sms").order_by("pk")
    assert list(said.values_list("is_given", "channel")) == [(True, "web"), (False, "link")]
    assert Event.objects.filter(topic="consent.changed").count() == 2


@pytest.mark.parametrize("token", ["x", "00000000000000000000000000000000:x", "nonsense:signed"])
def test_forged_stop_link_is_not_found(client, token):
    if token == "nonsense:signed":
        token = signing.Signer(salt="another").sign("00000000000000000000000000000000")
    assert client.get(f"/messages/stop/{token}/").status_code == 404


# -- The patient's page --------------------------------------------------------------------------


def test_patient_chooses_channels_and_language(client, patient):
    client.force_login(patient.user)
    page = client.get("/me/messages/").content.decode()
    assert patient.email in page
    response = client.post("/me/messages/", {"language": "zh", "sms": "on"}, follow=True)
    assert "Saved." in response.content.decode()
    patient.refresh_from_db()
    assert patient.language == "zh"
    assert allowed_channels(patient, "reminders") == {"sms"}
    assert Consent.objects.filter(actor=patient.user).count() == 3


def test_unknown_language_is_refused(client, patient):
    client.force_login(patient.user)
    assert client.post("/me/messages/", {"language": "xx"}).status_code == 422
    assert not Consent.objects.exists()


def test_channel_that_is_off_is_not_offered(client, patient, settings):
    settings.MESSAGE_GATEWAYS = {"sms": "off", "whatsapp": "off"}
    client.force_login(patient.user)
    assert "by SMS" not in client.get("/me/messages/").content.decode().replace("With SMS", "")


def test_messages_are_the_patients_own(client, receptionist):
    assert client.get("/me/messages/").status_code == 302
    client.force_login(receptionist)
    assert client.get("/me/messages/").status_code == 404
