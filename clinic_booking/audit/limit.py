"""How many different people's records one member of staff opens in an hour, counted in the trail itself. Above the first
limit a reason is asked for, above the second one the second factor too; each lasts an hour and is told at once."""

from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.audit import openings
from clinic_booking.audit.limit_form import WhyForm
from clinic_booking.audit.openings import LEAST_REASON, MOST_REASON, Opening, ShortReason
from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import AuditEvent, User

Action = AuditEvent.Action

# By the index `audit_openings`. A page's own row only once it was shown: what was refused is no opening. A file counts
# for everybody in it.
OPENED = """
SELECT count(DISTINCT person), count(DISTINCT person) FILTER (WHERE person = ANY(%(these)s::bigint[])),
    coalesce(max(e.count) FILTER (WHERE e.action = 'over_limit'), 0)
FROM clinic_booking_auditevent e, unnest(coalesce(e.patients, ARRAY[e.patient_id])) AS person
WHERE e.actor_id = %(actor)s AND e.created_at > statement_timestamp() - interval '1 hour'
  AND e.action IN ('view', 'print', 'export', 'unmask', 'break_glass', 'over_limit')
  AND (e.subject LIKE 'page:%%' OR e.action IN ('unmask', 'break_glass', 'over_limit'))
"""


class TooManyRecords(NamedError):
    status = 429
    sentence = _(
        "You have opened very many records within the hour. Please say why before you open more. "
        "The clinic manager and the privacy officer are told."
    )


class Standing(NamedTuple):
    """`opened` with what is about to be. `level`: 0 free, 1 with a reason, 2 with the second factor too."""

    opened: int
    needed: int
    level: int

    @property
    def is_asked(self) -> bool:
        return self.needed > self.level


def standing(user: User, *, these: frozenset[int] = frozenset(), more: int = 0) -> Standing:
    with connection.cursor() as cursor:
        cursor.execute(OPENED, {"actor": user.pk, "these": sorted(these)})
        opened, known, level = cursor.fetchone()
    new = more or len(these) - known
    total = opened + new
    needed = (total > settings.AUDIT_LOOKS_AN_HOUR) + (total > settings.AUDIT_LOOKS_AN_HOUR_HARD)
    return Standing(total, needed if new else 0, level)


def go_on(*, now: Standing, reason: str, by: User, clinic: str = "") -> None:
    """`clinic` is the slug of the page's, if it has one. Raises ShortReason.

    Whoever calls has seen to the second factor where it is needed.
    """
    reason = reason.strip()
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise ShortReason
    clinic_id = openings.clinic_of(clinic, by)
    limit = settings.AUDIT_LOOKS_AN_HOUR if now.needed == 1 else settings.AUDIT_LOOKS_AN_HOUR_HARD
    with transaction.atomic(durable=True):
        audit.record(
            Action.OVER_LIMIT,
            f"user:{by.pk}",
            by=by,
            clinic_id=clinic_id,
            fields=[f"{now.opened}/{limit}"],
            reason=reason,
            count=now.needed,
        )
        data = {"by": by.pk, "records": now.opened, "limit": limit, "level": now.needed}
        publish("audit.over_limit", f"user:{by.pk}", data, clinic_id=clinic_id)


@openings.gate
def ask_who_opens_many(request: HttpRequest, opening: Opening) -> HttpResponse | None:
    if opening.is_office or not opening.patients:
        return None
    now = standing(opening.user, these=opening.patients)
    if not now.is_asked:
        return None
    return _ask(request, now, opening)


def _ask(request: HttpRequest, now: Standing, opening: Opening) -> HttpResponse:
    about = {"more": len(opening.patients), "clinic": opening.clinic}
    form = WhyForm(initial=about | {"next": openings.way_back(request)})
    context: dict[str, object] = {"nav": "desk", "form": form, "standing": now}
    return openings.ask(request, TooManyRecords(), "audit/many_records.html", context)
