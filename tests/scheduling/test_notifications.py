"""E-mails about a visit: once, with a calendar file, and nothing about why somebody comes."""

import smtplib

import pytest
from django.core import mail
from django.db import transaction
from icalendar import Calendar

from clinic_booking.events import NotYet, publish
from clinic_booking.models import Event, Notification
from scheduling.booking import Place, cancel_booking, confirm_hold, move_booking, place_sessions
from scheduling.message_kinds import cancel_reason
from scheduling.models import Booking
from scheduling.notifications import mail_about_sessions, mail_about_visit
from tests import factories


@pytest.fixture
def booking(slots, service):
    patient = factories.PatientFactory(name="Siti O'Brien", email="siti@example.com")
    with transaction.atomic():
        return confirm_hold(hold_id=factories.hold(slots[:1], service=service).pk, patient=patient)


@pytest.fixture
def booked(booking):
    return Event.objects.get(topic="appointment.booked")


def test_confirmation(booking, booked, clinic):
    mail_about_visit(booked)
    [message] = mail.outbox
    html, invitation = message.alternatives
    assert invitation.mimetype == "text/calendar; method=REQUEST"
    assert message.to == ["siti@example.com"]
    assert "is booked" in message.subject
    for text in (message.body, html.content):
        assert booking.reference in text
        assert clinic.address in text
        assert f"/bookings/{booking.reference}/?key=" in text
    assert "Dear Siti O'Brien" in message.body
    assert "O&#x27;Brien" in html.content


def test_calendar_file_is_attached(booking, booked):
    mail_about_visit(booked)
    [file] = mail.outbox[0].attachments
    assert (file.filename, file.mimetype) == (f"visit-{booking.reference}.ics", "text/calendar")
    [event] = Calendar.from_ical(file.content).walk("VEVENT")
    assert event.decoded("dtstart") == booking.starts_at


def test_nothing_says_why(booking, booked):
    mail_about_visit(booked)
    raw = mail.outbox[0].message().as_string()
    for word in ("General consultation", "Dr Lim Wei Jie", "General practice"):
        assert word not in raw


def test_sent_once(booked):
    mail_about_visit(booked)
    mail_about_visit(booked)
    assert len(mail.outbox) == 1
    note = Notification.objects.get()
    assert (note.status, note.attempts, note.kind) == ("sent", 1, "booked")


def test_failure_is_noted_and_tried_again(booked, monkeypatch):
    def refuse(self):
        raise smtplib.SMTPServerDisconnected("siti@example.com is unhappy")

    monkeypatch.setattr("clinic_booking.messages.channels.EmailMultiAlternatives.send", refuse)
    with pytest.raises(NotYet):
        mail_about_visit(booked)
    monkeypatch.undo()
    note = Notification.objects.get()
    assert (note.status, note.error) == ("queued", "SMTPServerDisconnected")
    mail_about_visit(booked)
    assert len(mail.outbox) == 1


def test_moved(booking, slots):
    with transaction.atomic():
        move_booking(booking_id=booking.pk, slot_id=slots[3].pk, by=None)
    mail_about_visit(Event.objects.get(topic="appointment.moved"))
    assert "is moved to" in mail.outbox[0].subject
    assert "10:00" in mail.outbox[0].subject


def test_cancelled(booking, booked):
    with transaction.atomic():
        cancel_booking(booking_id=booking.pk, by=None, reason="patient")
    mail_about_visit(booked)
    mail_about_visit(Event.objects.get(topic="appointment.cancelled"))
    [message] = mail.outbox
    assert "is cancelled" in message.subject
    assert "METHOD:CANCEL" in message.attachments[0].content


def test_cancelled_says_what_becomes_of_the_money_whatever_was_paid():
    free, late, prepaid = (
        cancel_reason(Booking(price_cents=price, fee_cents=fee))
        for price, fee in [(4500, 0), (4500, 2250), (0, 0)]
    )
    assert free.startswith("If you have paid for it, you get your money back.")
    assert late.startswith(
        "A fee of S$\u00a022.50 is charged, as was agreed. If you have paid less, please pay the rest"
    )
    assert prepaid == ""


def test_sessions_planned_together_are_one_message(slots, service, patient):
    request = factories.BookingRequestFactory(patient=patient, service=service, source="contract", quantity=2)
    sessions = [factories.SessionTicketFactory(request=request, number=n) for n in (1, 2)]
    with transaction.atomic():
        placed = place_sessions(
            places=[Place(s.pk, slot.pk) for s, slot in zip(sessions, slots, strict=False)], by=None
        )
        data = {"request": request.pk, "sessions": [s.pk for s in sessions], "bookings": [], "count": 2}
        matched = publish("request.matched", f"request:{request.pk}", data)
    for event in Event.objects.filter(topic="appointment.booked"):
        mail_about_visit(event)
    assert not mail.outbox
    mail_about_sessions(matched)
    [message] = mail.outbox
    assert message.subject == "Your 2 visits are planned"
    assert all(made.reference in message.body for made in placed.booked)
    assert len(message.attachments) == 2
    assert "General consultation" not in message.message().as_string()
