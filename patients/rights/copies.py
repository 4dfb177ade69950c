"""Copies of what is held about a patient: made by a job, there for 24 hours, fetched once."""

import datetime as dt
import json
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking import audit, rows
from clinic_booking.errors import NamedError, TooManyRequests
from clinic_booking.models import ClockTimestamp, User
from clinic_booking.pdf import pdf
from patients.models import DataCopy, Patient, PrivacyRequest
from patients.rights import mail, parts, sealing

TEMPLATE = Path(__file__).with_name("copy.typ")
LASTS = dt.timedelta(hours=24)
MOST_A_DAY = 10
SALT = "data-copy"
TYPES = {DataCopy.Form.JSON: "application/json", DataCopy.Form.PDF: "application/pdf"}


class CopyOver(NamedError):
    status = 410
    sentence = gettext_lazy(
        "This copy was fetched already, or its 24 hours are over. Please ask for a new one."
    )


def ask(*, patient: Patient, form: str, by: User | None, request: PrivacyRequest | None = None) -> DataCopy:
    """The job makes it. Raises TooManyRequests."""
    from patients.jobs import make_copy

    with transaction.atomic():
        today = DataCopy.objects.filter(patient=patient, created_at__gte=ClockTimestamp() - LASTS)
        if today.count() >= MOST_A_DAY:
            raise TooManyRequests(3600)
        copy = DataCopy.objects.create(patient=patient, form=form, asked_by=by, request=request)
        _tell(copy, "asked", by)
        make_copy.defer(copy_id=str(copy.pk))
    return copy


def make(copy_id: UUID | str) -> None:
    """Safe to repeat."""
    copy = DataCopy.objects.select_related("patient").get(pk=copy_id)
    if copy.ready_at is not None:
        return
    content = content_of(copy.patient, copy.form)
    waiting = DataCopy.objects.filter(pk=copy.pk, ready_at=None)
    made = waiting.update(
        content=sealing.seal(copy, content),
        ready_at=ClockTimestamp(),
        expires_at=ClockTimestamp() + dt.timedelta(hours=23, minutes=59),
    )
    if made:
        mail.copy_is_ready(copy.patient, link_to(copy))


def content_of(patient: Patient, form: str) -> bytes:
    if form == DataCopy.Form.JSON:
        return json.dumps(
            parts.as_json(patient), cls=DjangoJSONEncoder, ensure_ascii=False, indent=1
        ).encode()
    return pdf(TEMPLATE, _words(patient))


def _words(patient: Patient) -> dict[str, object]:
    made = parts.collect(patient)
    return {
        "title": _("What we hold about you"),
        "issuer": settings.BRAND,
        "intro": [
            _("Given under the Personal Data Protection Act 2012 to the patient with the number %(number)s.")
            % {"number": patient.uuid},
            _("Staff are named by what they do. Questions: %(email)s") % {"email": settings.DPO_EMAIL},
        ],
        "nothing": _("Nothing."),
        "parts": [
            {
                "title": str(section.part.title),
                "why": f"{_('For')}: {section.part.purpose}. {_('From')}: {section.part.source}.",
                "rows": section.read,
            }
            for section in made
        ],
    }


def fetch(*, copy_id: UUID, by: User | None) -> tuple[DataCopy, bytes]:
    """Of two who come at once one gets it. Raises CopyOver."""
    with transaction.atomic(durable=True):
        live = DataCopy.objects.filter(
            pk=copy_id, ready_at__isnull=False, fetched_at=None, expires_at__gt=ClockTimestamp()
        )
        copy = live.select_related("patient", "request").first()
        # The row's update is the decision: the second waits for the first, looks again and finds it fetched.
        if copy is None or not live.update(fetched_at=ClockTimestamp(), content=None):
            raise CopyOver
        assert copy.content is not None
        content = sealing.unseal(copy)
        _tell(copy, "fetched", by)
        if copy.request:
            from patients.rights import requests

            requests.disclosed(copy.request, by=by, text=f"{copy.get_form_display()}")
    return copy, content


def _tell(copy: DataCopy, what: str, by: User | None) -> None:
    audit.record(
        audit.Action.EXPORT,
        f"copy:{copy.pk}",
        by=by,
        patient_id=copy.patient_id,
        fields=[part.slug for part in parts.registered()],
        reason=f"{what} {copy.form}",
    )


def link_to(copy: DataCopy) -> str:
    """Its own page; whoever has no login gets there by the link, and both are asked for a code."""
    return f"{settings.SITE_URL}{reverse('data_copy', args=[token_of(copy)])}"


def token_of(copy: DataCopy) -> str:
    return signing.Signer(salt=SALT).sign(copy.pk.hex)


def find(token: str) -> DataCopy | None:
    """Without its content. Raises CopyOver."""
    try:
        pk = UUID(signing.Signer(salt=SALT).unsign(token))
    except (signing.BadSignature, ValueError):
        return None
    with rows.all_rows():
        found = DataCopy.objects.select_related("patient").defer("content").filter(pk=pk).first()
    if found and found.is_over(timezone.now()):
        raise CopyOver
    return found


def empty_old() -> int:
    """What was not fetched in time is gone."""
    over = DataCopy.objects.filter(expires_at__lte=ClockTimestamp(), content__isnull=False)
    return over.update(content=None)
