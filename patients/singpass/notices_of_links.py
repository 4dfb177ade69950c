"""The patient hears that Singpass opens the record from now on, or no longer: who did not do it can say so."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from clinic_booking.accounts import emails
from clinic_booking.events import subscribe
from clinic_booking.messages import sending
from clinic_booking.messages.kinds import KINDS, Channel, Kind, register
from clinic_booking.messages.sending import Message, Recipient
from clinic_booking.models import Event
from patients.models import Patient

register(
    Kind("singpass_linked", _("Singpass opens a record"), _("Singpass opens your visits now"), ("link",)),
    Kind(
        "singpass_unlinked",
        _("Singpass opens a record no more"),
        _("Singpass no longer opens your visits"),
        ("link",),
    ),
)


@subscribe("patient.singpass_linked")
def tell_of_link(event: Event) -> None:
    _tell(event, "singpass_linked")


@subscribe("patient.singpass_unlinked")
def tell_of_end(event: Event) -> None:
    _tell(event, "singpass_unlinked")


def _tell(event: Event, kind: str) -> None:
    patient = Patient.objects.select_related("user").filter(pk=event.data["patient"]).first()
    if patient is None or patient.anonymised_at:
        return
    address = _address(patient)
    to = Recipient(
        patient_id=patient.pk,
        name=patient.name,
        language=patient.language,
        addresses={Channel.EMAIL.value: address},
        channels=(Channel.EMAIL.value,) if address else (),
    )
    facts = {"link": f"{settings.SITE_URL}{reverse('account')}"}
    sending.send(Message(event=event, kind=KINDS[kind], to=to, facts=lambda: facts))


def _address(patient: Patient) -> str:
    """One that the login has proved, else the one on the record."""
    proved = emails.verified(patient.user) if patient.user else []
    return proved[0] if proved else patient.email
