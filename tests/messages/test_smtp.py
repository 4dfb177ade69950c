"""Mails as a real mail server gets them, and the calendar entries in them as another library reads them."""

import email
import socket
import zoneinfo
from email.policy import default

import pytest
import vobject
from aiosmtpd.controller import Controller
from django.db import transaction

from clinic_booking.events import NotYet
from clinic_booking.models import Event, Notification
from scheduling.booking import cancel_booking, confirm_hold, move_booking
from scheduling.notifications import mail_about_visit
from tests import factories

pytestmark = pytest.mark.django_db


class Inbox:
    """What the server took. It refuses whom it does not know."""

    def __init__(self):
        self.letters, self.unknown = [], set()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.letters.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def port(settings):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", number
    return number


@pytest.fixture
def start(port):
    running = []

    def start():
        inbox = Inbox()
        running.append(Controller(inbox, hostname="127.0.0.1", port=port))
        running[-1].start()
        return inbox

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture
def booking(slots, service):
    patient = factories.PatientFactory(name="Siti O'Brien", email="siti@example.com")
    with transaction.atomic():
        return confirm_hold(hold_id=factories.hold(slots[:1], service=service).pk, patient=patient)


def hear(topic):
    mail_about_visit(Event.objects.get(topic=topic))


def entry(letter):
    """The calendar part beside the text, as another library than the one that wrote it reads it."""
    [part] = [
        part
        for part in letter.walk()
        if part.get_content_type() == "text/calendar" and part.get_content_disposition() != "attachment"
    ]
    calendar = vobject.readOne(part.get_content())
    assert part["content-type"].params["method"] == calendar.method.value
    return calendar.method.value, calendar.vevent


def test_calendar_entry_is_made_moved_and_removed(start, booking, slots):
    inbox = start()
    hear("appointment.booked")
    with transaction.atomic():
        move_booking(booking_id=booking.pk, slot_id=slots[3].pk, by=None)
    hear("appointment.moved")
    with transaction.atomic():
        cancel_booking(booking_id=booking.pk, by=None, reason="patient")
    hear("appointment.cancelled")

    methods, events = zip(*map(entry, inbox.letters), strict=True)
    assert methods == ("REQUEST", "REQUEST", "CANCEL")
    assert len({event.uid.value for event in events}) == 1
    sequences = [int(event.sequence.value) for event in events]
    assert sequences == sorted(set(sequences))
    starts = [event.dtstart.value for event in events]
    assert starts == [slots[0].starts_at, slots[3].starts_at, slots[3].starts_at]
    assert [event.status.value for event in events] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    for event in events:
        assert event.dtstamp.value.utcoffset().total_seconds() == 0
        assert event.organizer.value == "mailto:no-reply@harbour-clinics.example"
        assert event.attendee.value == "mailto:siti@example.com"
        assert event.attendee.params["PARTSTAT"] == ["ACCEPTED"]


def test_letter_arrives_whole(start, booking, clinic):
    inbox = start()
    hear("appointment.booked")
    [letter] = inbox.letters
    assert letter["To"] == "siti@example.com"
    assert "is booked" in letter["Subject"]
    for form in ("plain", "html"):
        assert clinic.address in letter.get_body((form,)).get_content()
    [file] = letter.iter_attachments()
    assert file.get_filename() == f"visit-{booking.reference}.ics"
    event = vobject.readOne(file.get_content()).vevent
    assert event.dtstart.value.astimezone(zoneinfo.ZoneInfo("Asia/Singapore")) == booking.starts_at
    assert letter["Message-ID"] == Notification.objects.get().provider_ref


def test_server_that_is_down_for_an_hour_loses_nothing(start, booking):
    waited = 0.0
    while waited < 3600:
        with pytest.raises(NotYet) as wait:
            hear("appointment.booked")
        waited += wait.value.seconds
    note = Notification.objects.get()
    assert (note.status, note.error) == ("queued", "ConnectionRefusedError")
    inbox = start()
    hear("appointment.booked")
    hear("appointment.booked")
    assert len(inbox.letters) == 1
    note.refresh_from_db()
    assert (note.status, note.perhaps_twice) == ("sent", False)


def test_mailbox_that_does_not_exist(start, booking, allow, told):
    inbox = start()
    inbox.unknown.add("siti@example.com")
    allow(booking.patient, reminders_sms=True)
    hear("appointment.booked")
    assert inbox.letters == []
    notes = Notification.objects.order_by("pk").values_list("channel", "status", "error")
    assert list(notes) == [("email", "failed", "SMTPRecipientsRefused"), ("sms", "sent", "")]
    assert len(told()) == 1
