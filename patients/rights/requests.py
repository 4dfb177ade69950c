"""What people ask under the PDPA, from receipt to decision. Every verb writes its step, tells the audit and publishes.

None takes a lock: what decides is the update of a request that is still open.
"""

import datetime as dt
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import ClockTimestamp, User
from patients.models import DataCopy, Patient, PrivacyRequest, PrivacyStep
from patients.retention import holds
from patients.rights import copies, sealing
from patients.rights.models import ANSWER_DAYS

Act = PrivacyStep.Act
Kind = PrivacyRequest.Kind
Status = PrivacyRequest.Status
KEPT_DAYS = 30  # at least, after a refusal: PDPR 8
SOON_DAYS = 7


class RequestClosed(NamedError):
    sentence = _("This request is decided already.")


class NotPossible(NamedError):
    """With what is missing."""

    status = 422

    def __init__(self, sentence: str | Promise) -> None:
        super().__init__()
        self.sentence = sentence


# -- Receipt -------------------------------------------------------------------------------------


def due_on(received: dt.date) -> dt.date:
    """30 calendar days; the day of receipt does not count (PDPR 5)."""
    return received + dt.timedelta(days=ANSWER_DAYS)


def zone() -> dt.tzinfo:
    return ZoneInfo(settings.TIME_ZONE)


def today() -> dt.date:
    """By the group's clock; the desk says what day it is at its clinic."""
    return timezone.now().astimezone(zone()).date()


def receive(
    *,
    kind: str,
    channel: str,
    text: str,
    by: User | None,
    patient: Patient | None = None,
    clinic_id: int | None = None,
    received_on: dt.date | None = None,
    identity_proof: str = PrivacyRequest.Proof.NONE,
    name: str = "",
    contact: str = "",
) -> PrivacyRequest:
    """Joins the caller's transaction, if there is one."""
    day = received_on or today()
    with transaction.atomic():
        request = PrivacyRequest.objects.create(
            kind=kind,
            channel=channel,
            text=text,
            patient=patient,
            clinic_id=clinic_id,
            received_on=day,
            due_on=due_on(day),
            identity_proof=identity_proof,
            name=name,
            contact=contact,
        )
        _step(request, Act.RECEIVED, by)
    return request


# -- On the way ----------------------------------------------------------------------------------


def identify(*, request: PrivacyRequest, proof: str, by: User, text: str = "") -> None:
    """Raises RequestClosed."""
    with transaction.atomic():
        _write(request, identity_proof=proof)
        _step(request, Act.IDENTIFIED, by, text or proof)


def extend(*, request: PrivacyRequest, until: dt.date, reason: str, by: User) -> None:
    """The person is told within the 30 days when there will be an answer. Raises NotPossible, RequestClosed."""
    if not reason.strip():
        raise NotPossible(_("Please say what the person was told."))
    if until <= request.due_on:
        raise NotPossible(_("The new day must be after the present one."))
    if today() > request.due_on:
        raise NotPossible(_("It is overdue: an extension had to be told before."))
    with transaction.atomic():
        _write(request, due_on=until)
        _step(request, Act.EXTENDED, by, f"{until.isoformat()}: {reason}")


def estimate_fee(*, request: PrivacyRequest, cents: int, by: User) -> None:
    """In writing, before any work; only of a request for access (PDPR 7). Raises NotPossible, RequestClosed."""
    if request.kind != Kind.ACCESS:
        raise NotPossible(_("A fee can be asked for a copy of data only."))
    with transaction.atomic():
        _write(request, fee_cents=cents, fee_agreed=False)
        _step(request, Act.FEE, by, str(cents))


def agree_fee(*, request: PrivacyRequest, by: User) -> None:
    if request.fee_cents is None:
        raise NotPossible(_("No fee was estimated."))
    with transaction.atomic():
        _write(request, fee_agreed=True)
        _step(request, Act.FEE_AGREED, by)


def note(*, request: PrivacyRequest, text: str, by: User, act: str = Act.NOTED) -> None:
    """A word, or that a recipient was told of a correction; also of a request that is decided."""
    if not text.strip():
        raise NotPossible(_("Please write what was done."))
    with transaction.atomic():
        _step(request, act, by, text)


def hand_over(*, request: PrivacyRequest, form: str, by: User) -> DataCopy:
    """The patient gets a link, and a code when it is opened. Raises NotPossible, TooManyRequests."""
    if request.kind != Kind.ACCESS or request.patient is None:
        raise NotPossible(
            _("Only a request for a copy, of a patient who is on file, can be answered by one.")
        )
    if request.identity_proof == PrivacyRequest.Proof.NONE:
        raise NotPossible(_("Please check first who asks."))
    if request.fee_cents and not request.fee_agreed:
        raise NotPossible(_("The fee is not agreed to yet."))
    if not request.patient.email:
        raise NotPossible(_("There is no e-mail address on file."))
    return copies.ask(patient=request.patient, form=form, by=by, request=request)


def disclosed(request: PrivacyRequest, *, by: User | None, text: str) -> None:
    """Joins the caller's transaction."""
    _step(request, Act.DISCLOSED, by, text)


# -- Decision ------------------------------------------------------------------------------------


def decide(
    *,
    request: PrivacyRequest,
    status: str,
    by: User,
    reasons: str = "",
    annotation: str = "",
) -> None:
    """Refused access is kept in full (s 22A); a refused correction is noted beside the record (s 22(5)).

    Raises NotPossible, RequestClosed.
    """
    _require(request, status, reasons, annotation)
    with transaction.atomic():
        kept = _preserve(request, status)
        values = {"status": status, "reasons": reasons, "annotation": annotation, **kept}
        _write(request, closed_at=ClockTimestamp(), closed_by=by, **values)
        _step(request, Act.DECIDED, by, status)
        if kept:
            _hold(request, by)
            _step(request, Act.PRESERVED, by, str(kept["preserved_until"]))


def _require(request: PrivacyRequest, status: str, reasons: str, annotation: str) -> None:
    is_refusal = status in (Status.REFUSED, Status.PARTLY)
    if status not in (Status.GRANTED, Status.PARTLY, Status.REFUSED):
        raise NotPossible(_("Please choose a decision."))
    if is_refusal and not reasons.strip():
        raise NotPossible(_("Please give the reasons."))
    if request.kind == Kind.CORRECTION and status == Status.REFUSED and not annotation.strip():
        raise NotPossible(_("A correction that is refused must be noted beside the record."))
    needs_proof = request.kind in (Kind.ACCESS, Kind.CORRECTION) and status != Status.REFUSED
    if needs_proof and request.identity_proof == PrivacyRequest.Proof.NONE:
        raise NotPossible(_("Please check first who asks."))


def _preserve(request: PrivacyRequest, status: str) -> dict[str, object]:
    if request.kind != Kind.ACCESS or status == Status.GRANTED:
        return {}
    until = today() + dt.timedelta(days=KEPT_DAYS)
    if request.patient is None:
        return {"preserved_until": until}
    content = copies.content_of(request.patient, DataCopy.Form.JSON)
    return {"preserved": sealing.seal(request, content), "preserved_until": until}


def _hold(request: PrivacyRequest, by: User) -> None:
    """Nothing of the patient is destroyed before the day after."""
    if request.patient and request.preserved_until:
        until = dt.datetime.combine(request.preserved_until + dt.timedelta(days=1), dt.time(), zone())
        holds.preserve(request.patient, f"s 22A {request.reference}", until, by=by)


def keep_longer(*, request: PrivacyRequest, until: dt.date, by: User) -> None:
    """A review by the Commission or a court is under way. Never shorter. Raises NotPossible."""
    kept = PrivacyRequest.objects.filter(pk=request.pk, preserved_until__lt=until)
    with transaction.atomic():
        if not kept.update(preserved_until=until):
            raise NotPossible(_("It is kept for longer already, or nothing is kept."))
        request.refresh_from_db()
        _hold(request, by)
        _step(request, Act.REVIEW, by, until.isoformat())


def forget_preserved() -> int:
    """The day is over, and nothing else holds it."""
    over = PrivacyRequest.objects.filter(preserved__isnull=False, preserved_until__lt=today())
    is_held = Exists(Patient.objects.filter(holds.held(), pk=OuterRef("patient")))
    return over.filter(~is_held).update(preserved=None)


# -- For the privacy officer ---------------------------------------------------------------------


def to_remind() -> list[PrivacyRequest]:
    """Open, and due within a week or overdue."""
    until = today() + dt.timedelta(days=SOON_DAYS)
    return list(PrivacyRequest.objects.filter(status=Status.OPEN, due_on__lte=until))


def numbers(days: int = 365) -> dict[str, int]:
    """Of the last year, for the privacy officer's report."""
    since = today() - dt.timedelta(days=days)
    found = PrivacyRequest.objects.filter(received_on__gte=since).aggregate(
        received=Count("pk"),
        open=Count("pk", filter=Q(status=Status.OPEN)),
        overdue=Count("pk", filter=Q(status=Status.OPEN, due_on__lt=today())),
        late=Count("pk", filter=Q(closed_at__date__gt=F("due_on"))),
        refused=Count("pk", filter=Q(status__in=[Status.REFUSED, Status.PARTLY])),
    )
    done = PrivacyRequest.objects.filter(received_on__gte=since).exclude(status=Status.OPEN)
    ends = done.values_list("closed_at", "received_on")
    took = [(closed.astimezone(zone()).date() - received).days for closed, received in ends if closed]
    return {**found, "days": round(sum(took) / len(took)) if took else 0}


# ------------------------------------------------------------------------------------------------


def _write(request: PrivacyRequest, **values: object) -> None:
    if not PrivacyRequest.objects.filter(pk=request.pk, status=Status.OPEN).update(**values):
        raise RequestClosed
    request.refresh_from_db()


def _step(request: PrivacyRequest, act: str, by: User | None, text: str = "") -> None:
    PrivacyStep.objects.create(request=request, act=act, by=by, text=text)
    subject = f"privacy_request:{request.pk}"
    data = {
        "request": request.pk,
        "act": str(act),
        "patient": request.patient_id,
        "by": by.pk if by else None,
    }
    publish("privacy_request.step", subject, data, clinic_id=request.clinic_id)
    audit.record(
        audit.Action.CREATE if act == Act.RECEIVED else audit.Action.CHANGE,
        subject,
        by=by,
        patient_id=request.patient_id,
        clinic_id=request.clinic_id,
        reason=str(act),
    )
