"""Whom a message reaches, and by which channels: what the patient allows and has an address for."""

from collections.abc import Sequence
from typing import Any

from clinic_booking.messages import sending
from clinic_booking.messages.channels import is_on
from clinic_booking.messages.kinds import KINDS, Channel, Kind, Purpose
from clinic_booking.messages.sending import Message, Recipient
from clinic_booking.models import Event
from patients import consents
from patients.models import Patient

ORDER = (Channel.EMAIL, Channel.SMS, Channel.WHATSAPP)


class NoConsent(Exception):
    """Marketing to somebody who never asked for it. Nothing is sent or noted."""


def send(*, event: Event, kind: str, to: Patient, order: Sequence[str] = ORDER, **more: Any) -> None:
    """Once for the event; `more` is as in `Message`. Raises NotYet when it is to be tried again later."""
    sending.send(Message(event=event, kind=KINDS[kind], to=recipient(to, KINDS[kind], order), **more))


def recipient(patient: Patient, kind: Kind, order: Sequence[str] = ORDER) -> Recipient:
    """Raises NoConsent."""
    addresses = {
        Channel.EMAIL.value: patient.email,
        Channel.SMS.value: patient.phone,
        Channel.WHATSAPP.value: patient.phone,
    }
    allowed = allowed_channels(patient, kind.purpose)
    return Recipient(
        patient_id=patient.pk,
        name=patient.name,
        language=patient.language,
        addresses=addresses,
        channels=tuple(c for c in order if c in allowed and addresses[c] and is_on(c)),
    )


def allowed_channels(patient: Patient, purpose: Purpose) -> set[str]:
    """E-mails about a booking belong to it. Reminders by e-mail can be stopped; what rings or buzzes needs a yes."""
    given = consents.current(patient.pk)
    if purpose == Purpose.MARKETING:
        allowed = {c for c in ORDER if given.get(f"marketing_{c}")}
        if not allowed:
            raise NoConsent
        return {str(c) for c in allowed}
    allowed = {c for c in ORDER if given.get(f"reminders_{c}", c == Channel.EMAIL)}
    if purpose == Purpose.SERVICE:
        allowed.add(Channel.EMAIL)
    return {str(c) for c in allowed}
