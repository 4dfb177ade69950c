"""A message goes out once, by the first channel that works; what does not is in its row."""

import datetime as dt
import smtplib

import pytest
from django.core import mail
from django.utils import timezone

from clinic_booking.events import NotYet, publish
from clinic_booking.messages import channels
from clinic_booking.messages.channels import ChannelDown, Refused
from clinic_booking.messages.sending import WAITS, overtaken
from clinic_booking.models import Notification
from patients import messages
from patients.messages import NoConsent
from tests import factories

pytestmark = pytest.mark.django_db
FACTS = {"link": "https://clinic.example/waitlist/1/"}


@pytest.fixture
def event():
    return publish("test", "test:1", {})


@pytest.fixture
def down(monkeypatch):
    """Makes channels fail: each named one raises what is given for it."""
    real = channels.deliver

    def fail(**troubles):
        def deliver(*, channel, **rest):
            if channel in troubles:
                raise troubles[channel]
            return real(channel=channel, **rest)

        monkeypatch.setattr("clinic_booking.messages.sending.deliver", deliver)

    return fail


def send(event, patient, **more):
    messages.send(event=event, kind="waiting", to=patient, facts=lambda: FACTS, **more)


def rows(*fields):
    return list(Notification.objects.order_by("pk").values_list("channel", "status", *fields))


def try_until_it_gives_up(event, patient, **more):
    """How many seconds it was tried for."""
    seconds = 0.0
    for _ in range(50):
        try:
            send(event, patient, **more)
        except NotYet as wait:
            seconds += wait.seconds
        else:
            return seconds
    raise AssertionError("it never gives up")


def test_an_hour_without_a_mail_server_is_ridden_out(event, patient, down):
    down(email=ChannelDown("ConnectionRefusedError"))
    seconds = 0.0
    while seconds < 3600:
        with pytest.raises(NotYet) as wait:
            send(event, patient)
        seconds += wait.value.seconds
    [(_, status, error, next_try)] = rows("error", "next_try_at")
    assert (status, error) == ("queued", "ConnectionRefusedError")
    assert next_try > timezone.now()

    down()
    send(event, patient)
    send(event, patient)
    assert len(mail.outbox) == 1
    assert rows("error", "next_try_at", "perhaps_twice") == [("email", "sent", "", None, False)]


def test_next_channel_after_the_last_try(event, patient, down, allow, told):
    allow(patient, reminders_sms=True)
    down(email=ChannelDown("ConnectionRefusedError"))
    assert try_until_it_gives_up(event, patient) == sum(WAITS)
    assert rows() == [("email", "failed"), ("sms", "sent")]
    [(channel, to, text)] = told()
    assert (channel, to) == ("sms", patient.phone)
    assert FACTS["link"] in text


def test_refused_address_is_not_tried_again(event, patient, down, allow, told):
    allow(patient, reminders_whatsapp=True)
    down(email=Refused("SMTPRecipientsRefused"))
    send(event, patient)
    send(event, patient)
    assert rows("attempts") == [("email", "failed", 1), ("whatsapp", "sent", 1)]
    assert len(told()) == 1


def test_urgent_message_falls_back_soon(event, patient, down, allow, told):
    allow(patient, reminders_sms=True)
    down(email=ChannelDown("TimeoutError"))
    assert try_until_it_gives_up(event, patient, is_urgent=True) < 600
    assert rows() == [("email", "failed"), ("sms", "sent")]


def test_only_allowed_channels_are_tried(event, patient, down, allow):
    allow(patient, reminders_sms=True)
    allow(patient, reminders_sms=False)
    down(email=Refused("SMTPRecipientsRefused"))
    send(event, patient)
    assert rows() == [("email", "failed")]


def test_channel_that_is_off_is_not_tried(event, patient, down, allow, settings):
    settings.MESSAGE_GATEWAYS = {"sms": "off", "whatsapp": "off"}
    allow(patient, reminders_sms=True)
    down(email=Refused("SMTPRecipientsRefused"))
    send(event, patient)
    assert rows() == [("email", "failed")]


def test_nobody_is_reached_without_an_address(event):
    patient = factories.PatientFactory(email="")
    send(event, patient)
    send(event, patient)
    assert rows("error", "patient_id") == [("email", "skipped", "no_channel", patient.pk)]


def test_try_that_was_cut_off_is_recorded(event, patient, monkeypatch):
    """The mail server has it and nobody knows: the second one is sent, and says so."""
    monkeypatch.setattr("clinic_booking.messages.sending._write", lambda *_, **__: None)
    send(event, patient)
    monkeypatch.undo()
    assert rows() == [("email", "queued")]
    send(event, patient)
    assert rows("attempts", "perhaps_twice") == [("email", "sent", 2, True)]
    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]


def test_rival_has_this_try(event, patient, monkeypatch):
    def rival_first(*_):
        Notification.objects.update(attempts=1)

    monkeypatch.setattr("clinic_booking.messages.sending._wait_for_day", rival_first)
    send(event, patient)
    assert not mail.outbox


def test_nothing_rings_at_night(event, patient, down, allow, told):
    allow(patient, reminders_sms=True)
    morning = timezone.now() + dt.timedelta(hours=3)
    down(email=Refused("SMTPRecipientsRefused"))
    with pytest.raises(NotYet) as wait:
        send(event, patient, quiet_until=morning)
    assert 10_700 < wait.value.seconds <= 10_800
    assert rows("next_try_at") == [("email", "failed", None), ("sms", "queued", morning)]
    assert told() == []
    send(event, patient, quiet_until=None)
    assert len(told()) == 1


def test_what_can_wait_is_not_mailed_at_night(event, patient):
    morning = timezone.now() + dt.timedelta(hours=3)
    with pytest.raises(NotYet):
        send(event, patient, quiet_until=morning, waits=True)
    assert rows("next_try_at") == [("email", "queued", morning)]


def test_urgent_message_does_not_wait_for_the_morning(event, patient, down, allow, told):
    allow(patient, reminders_sms=True)
    down(email=Refused("SMTPRecipientsRefused"))
    send(event, patient, quiet_until=timezone.now() + dt.timedelta(hours=3), is_urgent=True)
    assert len(told()) == 1


def test_nothing_is_sent_when_it_is_too_late(event, patient):
    send(event, patient, until=timezone.now())
    assert rows("error") == [("email", "skipped", "too_late")]
    assert not mail.outbox


def test_what_is_overtaken_is_not_left_waiting(event, patient, down):
    down(email=ChannelDown("TimeoutError"))
    with pytest.raises(NotYet):
        send(event, patient)
    overtaken(event)
    assert rows("error", "next_try_at") == [("email", "skipped", "overtaken", None)]


@pytest.mark.parametrize(
    ("trouble", "is_final"),
    [
        (smtplib.SMTPRecipientsRefused({"a@example.com": (550, b"no such user")}), True),
        (smtplib.SMTPRecipientsRefused({"a@example.com": (450, b"greylisted")}), False),
        (smtplib.SMTPDataError(554, b"spam"), True),
        (smtplib.SMTPDataError(451, b"try later"), False),
        (smtplib.SMTPAuthenticationError(535, b"wrong password"), False),
        (smtplib.SMTPConnectError(554, b"closed"), False),
        (ConnectionRefusedError(), False),
    ],
)
def test_what_a_mail_server_says_for_good(trouble, is_final):
    assert channels._is_final(trouble) is is_final


def test_marketing_needs_a_consent_on_record(event, patient, allow, monkeypatch):
    from clinic_booking.messages.kinds import KINDS, Kind, Purpose

    monkeypatch.setitem(KINDS, "waiting", Kind("waiting", "", "News", ("link",), purpose=Purpose.MARKETING))
    allow(patient, reminders_sms=True, care_and_booking=True)
    with pytest.raises(NoConsent):
        send(event, patient)
    assert (rows(), mail.outbox) == ([], [])
    allow(patient, marketing_email=True)
    send(event, patient)
    assert rows() == [("email", "sent")]
