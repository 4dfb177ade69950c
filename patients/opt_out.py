"""Links that stop reminders without a login. They do not run out: who does not want a message can always say so."""

from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse

from clinic_booking import rows
from patients.models import Patient

SALT = "stop-messages"


def stop_url(patient: Patient) -> str:
    token = signing.Signer(salt=SALT).sign(patient.uuid.hex)
    return f"{settings.SITE_URL}{reverse('stop_messages', args=[token])}"


def stop_headers(patient: Patient) -> dict[str, str]:
    """RFC 2369, and RFC 8058: the mailbox itself shows a button, which posts."""
    return {
        "List-Unsubscribe": f"<{stop_url(patient)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def opened(token: str) -> Patient | None:
    try:
        uuid = UUID(signing.Signer(salt=SALT).unsign(token))
    except signing.BadSignature:
        return None
    with rows.all_rows():
        patient = Patient.objects.filter(uuid=uuid).first()
    if patient:
        rows.reveal(patient.pk)
    return patient
