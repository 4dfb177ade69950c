"""What waits for somebody at the desk: lists, each found by one query. Apps to the right add theirs with `register`."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clinic_booking.messages.kinds import Channel
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from patients import vault
from scheduling.models import ChangeProposal, Clinic, DeskNote, VisitTicket, WaitlistOffer

LIMIT = 100
Rows = QuerySet[Any] | list[Any]


@dataclass(frozen=True)
class WorkList:
    """`find` gives at most LIMIT rows of a clinic, in one query, with all that `template` shows of a row.
    Shown to who may do what it `needs`."""

    slug: str
    title: Promise
    empty: Promise
    icon: str
    template: str
    find: Callable[[Clinic], Rows]
    needs: Can = Can.SEE_DESK


LISTS: dict[str, WorkList] = {}


def register(work: WorkList) -> WorkList:
    LISTS[work.slug] = work
    return work


def lists_for(user: User, clinic: Clinic) -> list[WorkList]:
    return [work for work in LISTS.values() if may(user, work.needs, clinic)]


def counts(clinic: Clinic, lists: Iterable[WorkList] | None = None) -> dict[str, int]:
    """As many as are shown: LIMIT stands for that or more."""
    return {work.slug: len(work.find(clinic)) for work in (LISTS.values() if lists is None else lists)}


# -- Notes from practitioners --------------------------------------------------------------------


def _notes(clinic: Clinic) -> Rows:
    related = "booking__patient", "booking__practitioner", "booking__service"
    still_open = DeskNote.objects.filter(booking__clinic=clinic, done_at=None)
    return still_open.select_related(*related).order_by("created_at", "pk")[:LIMIT]


register(
    WorkList(
        "notes",
        _("Notes to the desk"),
        _("No note waits."),
        "sticky",
        "scheduling/work/_note.html",
        _notes,
    )
)


# -- Messages that failed ------------------------------------------------------------------------


class FailedMessage(NamedTuple):
    pk: int
    kind: str
    channel: str
    error: str
    created_at: dt.datetime
    patient: str | None
    phone: str | None
    reference: str | None
    starts_at: dt.datetime | None

    @property
    def channel_text(self) -> str:
        return str(Channel(self.channel).label)


# The last channel that was tried, where nothing else has reached the patient or is on its way.
# News of the waitlist belongs to no clinic: whoever of those who know the patient sees it first.
FAILED = """
SELECT n.id, n.kind, n.channel, n.error, n.created_at, p.name, p.phone, b.reference, b.starts_at
FROM clinic_booking_notification n JOIN clinic_booking_event e ON e.id = n.event_id
LEFT JOIN scheduling_booking b ON b.id = (e.data ->> 'booking')::bigint
LEFT JOIN scheduling_waitlistentry w ON w.id = (e.data ->> 'entry')::bigint
LEFT JOIN scheduling_sessionticket t ON t.id = w.session_id
LEFT JOIN scheduling_bookingrequest r ON r.id = coalesce((e.data ->> 'request')::bigint, t.request_id)
LEFT JOIN patients_patient p ON p.id = coalesce(n.patient_id, b.patient_id, r.patient_id)
WHERE n.status = 'failed' AND (e.clinic_id = %(clinic)s OR e.clinic_id IS NULL AND (
    NOT EXISTS (SELECT FROM patients_patientclinic k WHERE k.patient_id = p.id)
    OR EXISTS (SELECT FROM patients_patientclinic k WHERE k.patient_id = p.id AND k.clinic_id = %(clinic)s)
)) AND NOT EXISTS (
    SELECT FROM clinic_booking_notification o
    WHERE o.event_id = n.event_id AND o.kind = n.kind
        AND (o.status IN ('queued', 'sent', 'delivered', 'by_phone') OR o.status = 'failed' AND o.id > n.id))
ORDER BY n.created_at, n.id LIMIT %(limit)s
"""


def _failed(clinic: Clinic) -> list[FailedMessage]:
    return [FailedMessage(*row) for row in _rows(FAILED, clinic)]


register(
    WorkList(
        "messages",
        _("Messages that failed"),
        _("Every message was sent."),
        "envelope-exclamation",
        "scheduling/work/_message.html",
        _failed,
    )
)


# -- Proposals and offers ------------------------------------------------------------------------


def _proposals(clinic: Clinic) -> Rows:
    related = "booking__patient", "booking__service", "from_practitioner"
    ahead = ChangeProposal.objects.open_proposals().filter(booking__clinic=clinic, booking__ends_at__gt=Now())
    return ahead.select_related(*related).order_by("from_starts_at", "pk")[:LIMIT]


register(
    WorkList(
        "proposals",
        _("Visits that need a new time"),
        _("Every visit has a time that can be kept."),
        "calendar-x",
        "scheduling/work/_proposal.html",
        _proposals,
    )
)


def _offers(clinic: Clinic) -> Rows:
    related = "hold__practitioner", "hold__service", "entry__session__request__patient"
    still_open = WaitlistOffer.objects.filter(
        hold__clinic=clinic, outcome=WaitlistOffer.Outcome.OPEN, hold__expires_at__gt=Now()
    )
    return still_open.select_related(*related).order_by("hold__expires_at", "pk")[:LIMIT]


register(
    WorkList(
        "offers",
        _("Offers waiting for an answer"),
        _("No offer waits for an answer."),
        "hourglass-split",
        "scheduling/work/_offer.html",
        _offers,
    )
)


# -- Contact details -----------------------------------------------------------------------------


class Contact(NamedTuple):
    """A patient who comes, and what is wrong: `lacks` an address, or `other` looks like the same person."""

    pk: int
    name: str
    email: str
    phone: str
    birth_date: dt.date | None
    starts_at: dt.datetime
    lacks_email: bool
    lacks_phone: bool
    other: int | None
    other_name: str | None
    other_email: str | None


# Families share a telephone, so people are alike only with the date of birth and a part of the name as well.
CONTACTS = r"""
WITH coming AS (
    SELECT b.patient_id, min(b.starts_at) AS starts_at FROM scheduling_booking b
    WHERE b.clinic_id = %(clinic)s AND b.starts_at >= now() AND b.status IN ('booked', 'arrived')
    GROUP BY b.patient_id
), looked_at AS (
    SELECT p.*, c.starts_at, p.email = '' AND NOT EXISTS (
            SELECT FROM clinic_booking_event e
            WHERE e.subject = 'patient:' || p.id AND e.topic = 'patient.has_no_email') AS lacks_email,
        p.phone !~ '^\+[1-9]\d{6,14}$' OR (p.phone LIKE '+65%%' AND p.phone !~ '^\+65[3689]\d{7}$') AS lacks_phone
    FROM coming c JOIN patients_patient p ON p.id = c.patient_id
)
SELECT p.id, p.name, p.email, p.phone, p.birth_date, p.starts_at, p.lacks_email, p.lacks_phone, o.id, o.name, o.email
FROM looked_at p LEFT JOIN LATERAL (
    SELECT o.id, o.name, o.email FROM patients_patient o
    WHERE EXISTS (
        SELECT FROM patients_patientclinic k WHERE k.patient_id = o.id AND k.clinic_id = %(clinic)s
    ) AND o.phone = p.phone AND o.phone <> '' AND o.id <> p.id AND o.birth_date = p.birth_date
        AND string_to_array(lower(o.name), ' ') && string_to_array(lower(p.name), ' ')
        AND NOT EXISTS (
            SELECT FROM clinic_booking_event e WHERE e.topic = 'patients.told_apart'
            AND e.subject = 'patients:' || least(o.id, p.id) || '-' || greatest(o.id, p.id))
    ORDER BY o.id LIMIT 1) o ON true
WHERE p.lacks_email OR p.lacks_phone OR o.id IS NOT NULL
ORDER BY p.starts_at, p.id LIMIT %(limit)s
"""


def _contacts(clinic: Clinic) -> list[Contact]:
    return [Contact(*row) for row in _rows(CONTACTS, clinic)]


register(
    WorkList(
        "contacts",
        _("Contact details to put right"),
        _("Everybody who comes can be reached."),
        "person-exclamation",
        "scheduling/work/_contact.html",
        _contacts,
    )
)


# -- Identity ------------------------------------------------------------------------------------


def _unidentified(clinic: Clinic) -> Rows:
    here = VisitTicket.objects.filter(clinic=clinic, date=clinic.today(), arrived_at__isnull=False)
    lacking = here.filter(patient__in=vault.incomplete_records())
    return lacking.select_related("patient").order_by("arrived_at", "pk")[:LIMIT]


register(
    WorkList(
        "identity",
        _("Here today, identity to be checked"),
        _("Everybody who is here has been identified."),
        "person-vcard",
        "scheduling/work/_identity.html",
        _unidentified,
        needs=Can.RUN_QUEUE,
    )
)


def _rows(statement: str, clinic: Clinic) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"clinic": clinic.pk, "limit": LIMIT})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
