"""What providers report: signed, safe to repeat, in any order; what did not arrive goes by the next channel."""

import json

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking.messages.reports import sign
from clinic_booking.models import Event, Notification
from scheduling import work_lists
from scheduling.notifications import mail_about_visit
from tests import factories

pytestmark = pytest.mark.django_db
SECRET = "report_local"


@pytest.fixture
def visit(slots, service, patient):
    return factories.book(slots[:1], service=service, patient=patient)


@pytest.fixture
def event(visit):
    from clinic_booking.events import publish

    data = {"booking": visit.pk, "reference": visit.reference, "version": 1}
    return publish("appointment.booked", f"booking:{visit.pk}", data, clinic_id=visit.clinic_id)


@pytest.fixture
def report(client):
    def post(note, status, *, secret=SECRET, error="", channel="email", **changed):
        body = json.dumps({"id": note.provider_ref, "status": status, "error": error} | changed).encode()
        return client.post(
            f"/messages/reports/{channel}/",
            body,
            content_type="application/json",
            headers={"X-Signature": sign(body, secret)},
        )

    return post


@pytest.fixture
def sent(event):
    mail_about_visit(event)
    return Notification.objects.get()


def state(note):
    note.refresh_from_db()
    return note.status, note.error


def test_delivered(report, sent):
    assert report(sent, "delivered").status_code == 204
    assert state(sent) == ("delivered", "")
    assert sent.delivered_at


def test_bounce_goes_by_the_next_channel(report, sent, event, allow, told, patient):
    allow(patient, reminders_sms=True)
    ProcrastinateJob.objects.all()._raw_delete(using="default")
    assert report(sent, "failed", error="550").status_code == 204
    assert state(sent) == ("failed", "550")
    jobs = ProcrastinateJob.objects.values_list("args", flat=True)
    assert [job["subscriber"] for job in jobs] == ["scheduling.notifications.mail_about_visit"]
    mail_about_visit(event)
    [(channel, to, text)] = told()
    assert (channel, to) == ("sms", patient.phone)
    assert "09:00" in text


def test_report_that_is_repeated_changes_nothing(report, sent):
    report(sent, "failed", error="550")
    jobs = ProcrastinateJob.objects.count()
    report(sent, "failed", error="550")
    assert ProcrastinateJob.objects.count() == jobs
    assert state(sent) == ("failed", "550")


def test_reports_in_any_order(report, sent):
    report(sent, "delivered")
    report(sent, "failed", error="late")
    assert state(sent) == ("delivered", "")


def test_error_holds_no_personal_data(report, sent):
    report(sent, "failed", error="no such user aisyah@example.com")
    assert state(sent) == ("failed", "reported")


def test_unknown_message_is_asked_about_again(report, sent):
    assert report(sent, "delivered", id="another").status_code == 404
    assert report(sent, "delivered", channel="sms").status_code == 404
    assert state(sent) == ("sent", "")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": "x", "status": "read"}', b"\xff"])
def test_bad_report_is_refused(client, sent, body):
    response = client.post(
        "/messages/reports/sms/",
        body,
        content_type="application/json",
        headers={"X-Signature": sign(body, SECRET)},
    )
    assert response.status_code == 400


def test_report_must_be_signed(client, report, sent, settings):
    assert report(sent, "delivered", secret="guessed").status_code == 403
    assert client.post("/messages/reports/email/", b"{}", content_type="application/json").status_code == 403
    settings.MESSAGE_REPORT_SECRETS = ["new", SECRET]
    assert report(sent, "delivered").status_code == 204
    settings.MESSAGE_REPORT_SECRETS = []
    assert report(sent, "delivered").status_code == 404


def test_unknown_channel_is_not_found(report, sent):
    assert report(sent, "delivered", channel="pigeon").status_code == 404


# -- The desk's list -----------------------------------------------------------------------------


def waiting(clinic):
    return [(row.channel, row.patient) for row in work_lists.LISTS["messages"].find(clinic)]


def note_of(event, channel, status, **values):
    return Notification.objects.create(event=event, kind="booked", channel=channel, status=status, **values)


def test_desk_hears_of_the_last_failure_only(event, clinic, patient):
    note_of(event, "email", "failed", error="SMTPServerBusy")
    assert waiting(clinic) == [("email", patient.name)]
    last = note_of(event, "sms", "queued")
    assert waiting(clinic) == []
    Notification.objects.filter(pk=last.pk).update(status="failed")
    assert waiting(clinic) == [("sms", patient.name)]
    assert [work.slug for work in work_lists.LISTS.values() if work.slug == "messages"]


def test_trying_again_begins_with_the_first_channel(
    event, clinic, client, receptionist, mailoutbox, patient, allow
):
    allow(patient, reminders_sms=True)
    note_of(event, "email", "failed", attempts=11)
    last = note_of(event, "sms", "failed", attempts=11)
    client.force_login(receptionist)
    page = client.get(f"/desk/{clinic.slug}/work/").content.decode()
    assert "SMS" in page
    client.post(f"/desk/{clinic.slug}/work/messages/{last.pk}/retry/")
    mail_about_visit(Event.objects.get(pk=event.pk))
    assert len(mailoutbox) == 1
    assert list(Notification.objects.order_by("pk").values_list("channel", "status")) == [
        ("email", "sent"),
        ("sms", "skipped"),
    ]


def test_desk_sees_what_a_patient_was_told(event, visit, clinic, client, receptionist):
    client.force_login(receptionist)
    details = f"/desk/{clinic.slug}/bookings/{visit.reference}/"
    assert "to the patient" not in client.get(details).content.decode().split("Reference")[1]
    note_of(event, "email", "failed")
    note_of(event, "sms", "delivered", sent_at=visit.created_at, delivered_at=visit.created_at)
    page = client.get(details).content.decode()
    assert "2 messages to the patient" in page
    assert "SMS · <strong>Delivered</strong>" in page
