"""What the people of an incident are told: one letter each, by the ways that carry all messages; the notifications of
their events are the log of what was sent."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.events import publish, subscribe
from clinic_booking.messages.kinds import FACTS, Channel, Kind, register
from clinic_booking.models import Event, Notification, User
from clinic_booking.retention.models import Incident
from clinic_booking.roles import Can, may
from patients import messages
from patients.models import Patient
from patients.retention import affected

TOPIC = "incident.person"
FACTS["told"] = _("what happened and what to do")
register(Kind("breach", _("A breach of data"), _("Important: about your personal data"), ("told",)))


class NobodyKnown(NamedError):
    sentence = _("Nobody to be told was found, or they have been told, or there is no text yet.")


def tell(*, incident: Incident, by: User) -> int:
    """Each person once. Returns how many letters are on their way. Raises NotAllowed, NobodyKnown."""
    if not may(by, Can.MANAGE_BREACHES):
        raise NotAllowed
    subject = f"incident:{incident.pk}"
    with transaction.atomic():
        told = Event.objects.filter(topic=TOPIC, subject=subject).values_list("data__patient", flat=True)
        waiting = set(
            affected.people(incident).filter(anonymised_at=None).values_list("pk", flat=True)
        ) - set(told)
        if not waiting or not incident.letter.strip():
            raise NobodyKnown
        for pk in sorted(waiting):
            publish(TOPIC, subject, {"incident": incident.pk, "patient": pk, "by": by.pk})
        audit.record(
            audit.Action.EXPORT, subject, by=by, fields=["letters"], count=len(waiting), patients=waiting
        )
    return len(waiting)


@subscribe(TOPIC)
def send(event: Event) -> None:
    incident = Incident.objects.filter(pk=event.data["incident"]).first()
    patient = Patient.objects.filter(pk=event.data["patient"], anonymised_at=None).first()
    if incident and patient:
        messages.send(
            event=event,
            kind="breach",
            to=patient,
            order=(Channel.EMAIL,),
            facts=lambda: {"told": incident.letter},
        )


def sent(incident: Incident) -> dict[str, int]:
    """By status: the log of what was sent."""
    notes = Notification.objects.filter(event__topic=TOPIC, event__subject=f"incident:{incident.pk}")
    counted: dict[str, int] = {}
    for note in notes:
        label = str(note.get_status_display())
        counted[label] = counted.get(label, 0) + 1
    return counted
