"""The kinds of messages: which facts each may name, what it is for, whether it waits for the day.

No kind has a fact that says why somebody comes: no service, no practitioner, no room, no identity number.
"""

from dataclasses import dataclass

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Channel(models.TextChoices):
    EMAIL = "email", _("E-mail")
    SMS = "sms", _("SMS")
    WHATSAPP = "whatsapp", _("WhatsApp")


class Purpose(models.TextChoices):
    """What it needs: nothing but an address, a consent that is not withdrawn, or one that is on record."""

    SERVICE = "service", _("About a booking")
    REMINDERS = "reminders", _("Reminder")
    MARKETING = "marketing", _("Marketing")


FACTS: dict[str, Promise] = {
    "name": _("the patient's name"),
    "brand": _("the name of the clinics"),
    "dpo_email": _("where questions about data go"),
    "date": _("the day of the visit"),
    "time": _("when it begins"),
    "until": _("when it ends"),
    "clinic": _("the clinic's name"),
    "address": _("the clinic's address"),
    "phone": _("the clinic's telephone"),
    "reference": _("the booking's reference"),
    "link": _("where to go on"),
}
ALWAYS = ("name", "brand", "dpo_email")
VISIT = ("date", "time", "until", "clinic", "address", "phone", "reference")


@dataclass(frozen=True)
class Kind:
    """`subject` names facts in braces. One that waits is not sent in the clinic's quiet hours."""

    name: str
    title: Promise
    subject: str | Promise
    facts: tuple[str, ...]
    purpose: Purpose = Purpose.SERVICE
    waits: bool = False

    @property
    def allowed(self) -> tuple[str, ...]:
        return (*self.facts, *ALWAYS)


KINDS: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    KINDS.update({kind.name: kind for kind in kinds})


def choices() -> list[tuple[str, str | Promise]]:
    return sorted((name, kind.title) for name, kind in KINDS.items())
