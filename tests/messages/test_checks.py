"""What only looks sent is no way to run in production."""

import pytest

from clinic_booking.checks import messages_are_real

FILE = "clinic_booking.messages.channels.File"
REAL = "tests.messages.test_checks.Provider"


class Provider:
    pass


@pytest.fixture
def production(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.MESSAGE_GATEWAYS = {"sms": "off", "whatsapp": REAL}
    settings.MESSAGE_REPORT_SECRETS = ["secret"]
    return settings


def found():
    return [problem.id for problem in messages_are_real(None)]


def test_channel_that_is_off_is_named(production):
    [note] = messages_are_real(None)
    assert (note.id, note.msg) == ("messages.I001", "Nothing is sent by sms: SMS_GATEWAY is off.")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("file", "messages.E002"),
        ("console", "messages.E002"),
        (FILE, "messages.E002"),
        ("no.One", "messages.E003"),
    ],
)
def test_gateway_for_development_is_refused(production, name, problem):
    production.MESSAGE_GATEWAYS = {"sms": name, "whatsapp": REAL}
    assert found() == [problem]


@pytest.mark.parametrize("backend", ["console", "filebased", "locmem", "dummy"])
def test_mail_that_goes_nowhere_is_refused(production, backend):
    production.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
    assert "messages.E001" in found()


def test_reports_that_are_refused_are_named(production):
    production.MESSAGE_REPORT_SECRETS = []
    assert found() == ["messages.I001", "messages.W001"]
