"""Confidential records: of people known to the public and of staff. Lists show them like others; who opens one as
staff says why, once an hour, and somebody else looks at it (`patients.glass`). Nobody opens their own record as staff,
nor that of somebody they act for."""

from collections.abc import Callable, Iterable

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Upper
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit, rows
from clinic_booking.audit import openings
from clinic_booking.audit.openings import LEAST_REASON, MOST_REASON, Opening
from clinic_booking.errors import NamedError, NotAllowed
from clinic_booking.events import publish
from clinic_booking.models import ClockTimestamp, User
from clinic_booking.roles import Can, may
from patients import glass
from patients.access import own
from patients.models import BrokenGlass, Patient

Code = Patient.Confidentiality
STAFF = User.objects.filter(~Q(office="") | Q(memberships__isnull=False))


class NeedsReason(NamedError):
    status = 403
    sentence = _("This record is confidential. Please say why you open it: it is written down and looked at.")


class OwnRecord(NamedError):
    status = 403
    sentence = _(
        "This is your own record, or that of somebody you act for. See it under “My visits”; at the desk a "
        "colleague does it."
    )


class NothingChanged(NamedError):
    sentence = _("That is how the record is marked already.")


# Of these patients, whom the user sees today to treat them: they need no reason. Scheduling knows.
Treats = Callable[[User, Iterable[int]], set[int]]
_treats: list[Treats] = []


def treats(function: Treats) -> Treats:
    _treats.append(function)
    return function


def works_here() -> Q:
    """The condition on Patient: the login is one of staff, whatever the record is marked as."""
    return Q(Exists(STAFF.filter(pk=OuterRef("user"))))


def confidential() -> Q:
    return ~Q(confidentiality=Code.NORMAL) | works_here()


def may_be_staff() -> QuerySet[Patient]:
    """Proposals: who writes from an address of somebody who works here, and is not marked yet."""
    addresses = [
        email.upper() for email in STAFF.exclude(email="").values_list("email", flat=True).distinct()
    ]
    same = Patient.objects.annotate(address=Upper("email")).filter(address__in=addresses)
    return same.filter(~works_here(), confidentiality=Code.NORMAL)


# -- Opening -------------------------------------------------------------------------------------


@openings.gate
def ask_for_reason(request: HttpRequest, opening: Opening) -> HttpResponse | None:
    with rows.all_rows():  # of the patients whom the page was about to show
        special = _special(opening)
    if opening.is_staff_page and any(is_own for _pk, _uuid, _name, is_own in special):
        return openings.refuse(request, OwnRecord())
    closed = [each for each in special if not each[3]]
    if opening.is_office or opening.action == openings.Action.EXPORT and len(opening.patients) > 1:
        return None
    wanted = {pk for pk, _uuid, _name, _is_own in closed}
    for left in (_open_to, *_treats):
        wanted -= left(opening.user, wanted) if wanted else set()
    asked = next((each for each in closed if each[0] in wanted), None)
    return _ask(request, opening, asked[1], asked[2]) if asked else None


def _special(opening: Opening) -> list[tuple[int, object, str, bool]]:
    is_own = Case(When(own(opening.user), then=Value(True)), default=Value(False))
    found = Patient.objects.filter(confidential() | own(opening.user), pk__in=opening.patients)
    return list(found.annotate(is_own=is_own).values_list("pk", "uuid", "name", "is_own"))


def _open_to(user: User, patients: Iterable[int]) -> set[int]:
    mine = BrokenGlass.objects.filter(user=user, patient__in=patients, expires_at__gt=ClockTimestamp())
    return set(mine.values_list("patient", flat=True))


def _ask(request: HttpRequest, opening: Opening, uuid: object, name: str) -> HttpResponse:
    from patients.confidential_forms import OpenForm

    form = OpenForm(initial={"next": openings.way_back(request), "clinic": opening.clinic})
    context: dict[str, object] = {"nav": "desk", "form": form, "uuid": uuid, "name": name}
    return openings.ask(request, NeedsReason(), "patients/confidential_ask.html", context)


def open_record(*, patient: Patient, reason: str, by: User, clinic: str = "") -> BrokenGlass:
    """For an hour, at work at the clinic of this slug. Raises NotAllowed, ShortReason, OwnRecord."""
    _not_own(patient, by)
    if (clinic_id := openings.clinic_of(clinic, by)) is None:
        raise NotAllowed
    kind = BrokenGlass.Kind.CONFIDENTIAL
    return glass.open_for_an_hour(patient=patient, clinic_id=clinic_id, reason=reason, by=by, kind=kind)


def _not_own(patient: Patient, by: User) -> None:
    with rows.all_rows():
        if Patient.objects.filter(own(by), pk=patient.pk).exists():
            raise OwnRecord


# -- Marking -------------------------------------------------------------------------------------


def mark(*, patient: Patient, code: str, reason: str, by: User) -> None:
    """Raises NotAllowed, ShortReason, OwnRecord, NothingChanged."""
    if not may(by, Can.MARK_CONFIDENTIAL):
        raise NotAllowed
    _not_own(patient, by)
    reason = reason.strip()
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise openings.ShortReason
    with transaction.atomic(durable=True):
        changed = Patient.objects.filter(pk=patient.pk, anonymised_at=None).exclude(confidentiality=code)
        if not changed.update(confidentiality=code):
            raise NothingChanged
        audit.record(
            audit.Action.CHANGE,
            f"patient:{patient.pk}",
            by=by,
            patient_id=patient.pk,
            fields=["confidentiality", code or "normal"],
            reason=reason,
        )
        publish("patient.marked", f"patient:{patient.pk}", {"patient": patient.pk, "code": code, "by": by.pk})
