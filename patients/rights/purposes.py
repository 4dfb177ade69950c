"""What may be agreed to, each for itself: in which words, and what follows when it is taken back (PDPA s 16)."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clinic_booking.messages.channels import is_on
from clinic_booking.messages.kinds import Channel
from patients import consents
from patients.forms import AGREES
from patients.models import Consent, Patient

Name = Consent.Purpose

NO_MORE_SMS = _(
    "You get no more of these messages from now on. What belongs to a booking still comes by e-mail."
)
NO_MORE_OFFERS = _("You get no more offers from now on. Nothing else changes.")
AT_ONCE: dict[str, tuple[Promise, Promise]] = {
    Name.REMINDERS_EMAIL: (_("Remind me of my visits by e-mail."), NO_MORE_SMS),
    Name.REMINDERS_SMS: (_("Remind me of my visits by SMS."), NO_MORE_SMS),
    Name.REMINDERS_WHATSAPP: (_("Remind me of my visits by WhatsApp."), NO_MORE_SMS),
    Name.MARKETING_EMAIL: (_("Send me offers by e-mail."), NO_MORE_OFFERS),
    Name.MARKETING_SMS: (_("Send me offers by SMS."), NO_MORE_OFFERS),
    Name.MARKETING_WHATSAPP: (_("Send me offers by WhatsApp."), NO_MORE_OFFERS),
    Name.RESEARCH: (
        _("Use my record for research, without my name."),
        _("Your record is not used for new research. What was evaluated already cannot be taken out again."),
    ),
    Name.SHARE_WITH_REFERRER: (
        _("Send reports to whoever referred me."),
        _("Whoever referred you gets nothing more from us. You may have to pass on results yourself."),
    ),
}
CARE_CONSEQUENCE = _(
    "Without it we can no longer book for you or treat you. Visits that are booked stay booked until you cancel them."
    " Records of care, bills and what the law asks for are kept as long as it says. Our privacy officer writes to you."
)


class Purpose(NamedTuple):
    name: str
    title: Promise
    wording: Promise
    consequence: Promise
    is_required: bool
    is_given: bool
    is_asked: bool


def of(patient: Patient) -> list[Purpose]:
    """As it stands. Reminders by e-mail come unless they were stopped; all else is off until somebody says yes."""
    said = consents.current(patient.pk)
    care = Name.CARE_AND_BOOKING
    found = [_purpose(care, AGREES, CARE_CONSEQUENCE, said, True)]
    for name, (wording, consequence) in AT_ONCE.items():
        channel = name.rpartition("_")[2]
        if channel not in Channel.values or is_on(channel):
            found.append(_purpose(name, wording, consequence, said, False))
    return found


def _purpose(
    name: str, wording: Promise, consequence: Promise, said: dict[str, bool], is_required: bool
) -> Purpose:
    by_default = name == Name.REMINDERS_EMAIL
    title = Name(name).label
    return Purpose(
        str(name), title, wording, consequence, is_required, said.get(name, by_default), name in said
    )
