"""What patients and the kernel hold: details, consents, messages, requests, and who looked."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from clinic_booking.models import Notification
from patients import vault
from patients.models import Consent, DetailsConfirmed, Patient, PrivacyRequest
from patients.rights import accesses
from patients.rights.parts import Part, Row, register

FROM_YOU = _("You, or whoever booked for you")
BY_USE = _("Made while you used our services")


def _details(patient: Patient) -> Iterable[Row]:
    confirmed = DetailsConfirmed.objects.filter(patient=patient).order_by("-confirmed_on").first()
    yield {
        "name": patient.name,
        "email": patient.email,
        "phone": patient.phone,
        "birth_date": patient.birth_date,
        "masked_id": patient.masked_id,
        "language": patient.get_language_display(),
        "confidentiality": patient.get_confidentiality_display(),
        "has_login": patient.user_id is not None,
        "created_at": patient.created_at,
        "confirmed_on": confirmed and confirmed.confirmed_on,
    }


def _consents(patient: Patient) -> Iterable[Row]:
    for consent in Consent.objects.filter(patient=patient).order_by("pk"):
        yield {
            "purpose": consent.get_purpose_display(),
            "is_given": consent.is_given,
            "at": consent.created_at,
            "notice": consent.notice_version,
            "text_hash": consent.text_hash,
            "language": consent.language,
            "channel": consent.channel,
            "wording": consent.evidence.get("wording", ""),
            "by": consent.actor_id,
        }


def _messages(patient: Patient) -> Iterable[Row]:
    for note in Notification.objects.filter(patient_id=patient.pk).order_by("pk"):
        yield {
            "kind": note.kind,
            "channel": note.channel,
            "status": note.get_status_display(),
            "at": note.sent_at or note.created_at,
        }


def _requests(patient: Patient) -> Iterable[Row]:
    for asked in PrivacyRequest.objects.filter(patient=patient).order_by("pk"):
        yield {
            "reference": asked.reference,
            "kind": asked.get_kind_display(),
            "text": asked.text,
            "received_on": asked.received_on,
            "due_on": asked.due_on,
            "status": asked.get_status_display(),
            "reasons": asked.reasons,
            "annotation": asked.annotation,
        }


def _accesses(patient: Patient) -> Iterable[Row]:
    for seen in accesses.of_last_year(patient):
        yield seen._asdict()


def _numbers(patient: Patient) -> Iterable[Row]:
    for number in vault.current(patient):
        yield {
            "kind": number.get_kind_display(),
            "country": number.country,
            "end": number.ending,
            "source": number.get_source_display(),
            "created_at": number.created_at,
        }


register(
    Part(
        "details",
        _("Your details"),
        _("Booking, care and to reach you"),
        FROM_YOU,
        {
            "name": _("Full name"),
            "email": _("E-mail"),
            "phone": _("Mobile phone"),
            "birth_date": _("Date of birth"),
            "masked_id": _("End of the identity number"),
            "language": _("Language of messages"),
            "has_login": _("Login"),
            "created_at": _("On file since"),
            "confirmed_on": _("Last confirmed at a clinic"),
        },
        _details,
        ("patients.Patient", "patients.PatientClinic", "patients.DetailsConfirmed"),
    ),
    Part(
        "numbers",
        _("Your identity documents"),
        _("The record of your care, as the law asks"),
        FROM_YOU,
        {
            "kind": _("Document"),
            "country": _("Country"),
            "end": _("End of the number"),
            "source": _("Entered by"),
            "created_at": _("On file since"),
        },
        _numbers,
        ("patients.Identifier",),
    ),
    Part(
        "consents",
        _("What you agreed to"),
        _("To be able to show it, and to keep to it"),
        FROM_YOU,
        {
            "purpose": _("Purpose"),
            "is_given": _("Agreed"),
            "at": _("When"),
            "notice": _("Notice"),
            "text_hash": _("Fingerprint of its text"),
            "language": _("Language"),
            "channel": _("By way of"),
            "wording": _("Words agreed to"),
            "by": _("Recorded by"),
        },
        _consents,
        ("patients.Consent",),
        actors=("by",),
    ),
    Part(
        "messages",
        _("Messages to you"),
        _("To tell you of your visits"),
        BY_USE,
        {"kind": _("Kind"), "channel": _("Channel"), "status": _("Status"), "at": _("When")},
        _messages,
        ("clinic_booking.Notification",),
    ),
    Part(
        "requests",
        _("Your requests about your data"),
        _("To answer them in time"),
        FROM_YOU,
        {
            "reference": _("Reference"),
            "kind": _("Kind"),
            "text": _("What you asked"),
            "received_on": _("Received"),
            "due_on": _("To be answered by"),
            "status": _("Status"),
            "reasons": _("Reasons"),
            "annotation": _("Annotation"),
        },
        _requests,
        ("patients.PrivacyRequest", "patients.PrivacyStep", "patients.DataCopy"),
        free=("text", "reasons", "annotation"),
    ),
    Part(
        "accesses",
        _("Who looked at or changed your record, within a year"),
        _("To protect it"),
        BY_USE,
        {
            "at": _("When"),
            "action": _("Act"),
            "by": _("By"),
        },
        _accesses,
        ("clinic_booking.AuditEvent",),
    ),
)
