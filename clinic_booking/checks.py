"""`check --deploy`: what looks like a sent message has been sent, and a channel that is off is named."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.utils.module_loading import import_string

from clinic_booking.messages.channels import FOR_DEVELOPMENT, OFF

REAL_MAIL = "django.core.mail.backends.smtp.EmailBackend"
PRETENDS = ("console", "filebased", "locmem", "dummy")


@register(Tags.security, deploy=True)
def messages_are_real(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_mail(), *_gateways()]


def _mail() -> Iterator[CheckMessage]:
    if settings.EMAIL_BACKEND.split(".")[-2] in PRETENDS:
        yield Error(
            f"No e-mail leaves this system: {settings.EMAIL_BACKEND} is for development.",
            hint="Set EMAIL_URL, such as smtp+tls://user:password@mail.example.com:587.",
            id="messages.E001",
        )


def _gateways() -> Iterator[CheckMessage]:
    for channel, name in settings.MESSAGE_GATEWAYS.items():
        variable = f"{channel.upper()}_GATEWAY"
        if name == OFF:
            yield Info(f"Nothing is sent by {channel}: {variable} is off.", id="messages.I001")
        elif name in FOR_DEVELOPMENT or name in FOR_DEVELOPMENT.values():
            yield Error(
                f"{variable}={name} is for development: messages by {channel} would be marked as sent.",
                hint="Name the class of a provider, or switch it off.",
                id="messages.E002",
            )
        elif not _imports(name):
            yield Error(f"{variable}={name} cannot be imported.", id="messages.E003")
        elif not settings.MESSAGE_REPORT_SECRETS:
            yield Warning(
                f"Reports about messages by {channel} are refused: MESSAGE_REPORT_SECRETS is empty.",
                hint="Without reports a message that is sent is never known to have arrived.",
                id="messages.W001",
            )


def _imports(name: str) -> bool:
    try:
        import_string(name)
    except ImportError:
        return False
    return True
