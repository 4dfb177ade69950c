"""How a message leaves the system. E-mail by Django; SMS and WhatsApp behind one small port, `Gateway`."""

import json
import smtplib
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from django.utils.module_loading import import_string

from clinic_booking.messages.kinds import Channel
from clinic_booking.messages.texts import Text

OFF = "off"
FOR_DEVELOPMENT = {
    "console": "clinic_booking.messages.channels.Console",
    "file": "clinic_booking.messages.channels.File",
}
AUTHENTICATION_FAILED = 535  # our password, not the patient's address


class ChannelDown(Exception):
    """Not now: to be tried again. `code` says what kind of error, without personal data."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code[:80]


class Refused(ChannelDown):
    """Not to this address, however often: the next channel is tried."""


@dataclass(frozen=True)
class Extras:
    """What only an e-mail carries. Files are (name, content, MIME type); the invitation is (method, text)."""

    files: tuple[tuple[str, bytes, str], ...] = ()
    invitation: tuple[str, bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Gateway(Protocol):
    """A provider of SMS or WhatsApp. `key` is the same at each try: a provider that knows it sends once."""

    def send(self, *, to: str, text: str, key: str) -> str:
        """The provider's id of the message. Raises ChannelDown or Refused."""


class Console:
    def __init__(self, channel: str) -> None:
        self.channel = channel

    def send(self, *, to: str, text: str, key: str) -> str:
        sys.stdout.write(f"-- {self.channel} to {to} ({key})\n{text}\n")
        return key


class File:
    """One JSON object a line in `MESSAGE_FILES`."""

    def __init__(self, channel: str) -> None:
        self.path = Path(settings.MESSAGE_FILES) / f"{channel}.jsonl"

    def send(self, *, to: str, text: str, key: str) -> str:
        line = json.dumps({"id": key, "at": timezone.now().isoformat(), "to": to, "text": text})
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise ChannelDown(type(error).__name__) from error
        return key


def is_on(channel: str) -> bool:
    return channel == Channel.EMAIL or settings.MESSAGE_GATEWAYS[channel] != OFF


def gateway(channel: str) -> Gateway:
    return _gateway(channel, settings.MESSAGE_GATEWAYS[channel], settings.MESSAGE_FILES)


@cache
def _gateway(channel: str, name: str, _files: str) -> Gateway:
    made: Gateway = import_string(FOR_DEVELOPMENT.get(name, name))(channel)
    return made


def deliver(*, channel: str, to: str, text: Text, extras: Extras, key: str) -> str:
    """Hand it over, once. Returns the id by which reports name it. Raises ChannelDown or Refused."""
    if channel == Channel.EMAIL:
        return _mail(to, text, extras, key)
    return gateway(channel).send(to=to, text=text.body, key=key)


def _mail(to: str, text: Text, extras: Extras, key: str) -> str:
    # The same at each try, so that a mailbox may tell that it has the message already.
    message_id = f"<{key}@{urlsplit(settings.SITE_URL).hostname}>"
    message = EmailMultiAlternatives(
        text.subject, text.body, to=[to], headers={"Message-ID": message_id, **extras.headers}
    )
    message.attach_alternative(text.html, "text/html")
    if extras.invitation:
        method, content = extras.invitation
        message.attach_alternative(content.decode(), f"text/calendar; method={method}")
    for name, content, mimetype in extras.files:
        message.attach(name, content, mimetype)
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        raise (Refused if _is_final(error) else ChannelDown)(type(error).__name__) from error
    return message_id


def _is_final(error: Exception) -> bool:
    """The server will never take it (RFC 5321: 5xx)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return (
        isinstance(error, smtplib.SMTPResponseException)
        and not isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError)
        and error.smtp_code >= 500
        and error.smtp_code != AUTHENTICATION_FAILED
    )
