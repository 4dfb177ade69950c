"""Verbs on demand: ask for sessions, change how they are wanted, close what is not wanted any more."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Model
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Patient
from scheduling.errors import BookingError
from scheduling.fit import Pattern
from scheduling.locks import database_now
from scheduling.models import (
    BookingPattern,
    BookingRequest,
    PatternFields,
    Service,
    SessionTicket,
    Urgency,
    WaitlistEntry,
)
from scheduling.unmeetable import Problem, unmeetable

__all__ = ["PatternSpec", "Policies", "Unmeetable", "close_request", "request_sessions", "unmeetable"]

PatternSpec = Pattern
Policy = BookingRequest.Policy


class Unmeetable(BookingError):
    """`problems` says each of them, and which field or pattern is meant."""

    status = 422

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.problems = list(problems)
        self.sentence = " ".join(dict.fromkeys(problem.sentence for problem in problems))


class RequestClosed(BookingError):
    sentence = _("This request is closed: nothing more is planned for it.")


class Policies(NamedTuple):
    """What becomes of a session after a late cancel or a no-show."""

    late_cancel: str = Policy.FORFEIT
    no_show: str = Policy.FORFEIT


def request_sessions(
    *,
    patient: Patient,
    service: Service,
    quantity: int,
    source: str,
    contract: str = "",
    is_prepaid: bool = False,
    price_cents: int | None = None,
    valid_from: dt.date | None = None,
    valid_until: dt.date | None = None,
    policies: Policies = Policies(),  # noqa: B008  (a tuple does not change)
    patterns: Sequence[PatternSpec] = (),
    urgency: int = Urgency.ROUTINE,
    by: User | None,
    is_checked: bool = False,
) -> BookingRequest:
    """Make the request with its patterns and planned sessions. Joins the caller's transaction. Raises Unmeetable.

    `is_checked` by a caller who has just asked whether it can be met.
    """
    if not is_checked and (
        problems := unmeetable(
            service=service,
            quantity=quantity,
            valid_from=valid_from,
            valid_until=valid_until,
            patterns=patterns,
        )
    ):
        raise Unmeetable(problems)
    request = BookingRequest.objects.create(
        patient=patient,
        service=service,
        quantity=quantity,
        source=source,
        contract=contract,
        is_prepaid=is_prepaid,
        price_cents=price_cents,
        valid_from=valid_from,
        valid_until=valid_until,
        late_cancel=policies.late_cancel,
        no_show=policies.no_show,
        urgency=urgency,
    )
    store_patterns(BookingPattern, patterns, request=request)
    SessionTicket.objects.bulk_create(
        SessionTicket(request=request, number=number) for number in range(1, quantity + 1)
    )
    return request


def change_patterns(*, request_id: int, patterns: Sequence[PatternSpec], by: User) -> BookingRequest:
    """How what is still to be planned is wanted from now on; what is booked stays. Joins the caller's transaction.

    Raises Unmeetable, RequestClosed.
    """
    request = BookingRequest.objects.select_related("service").get(pk=request_id)
    if request.closed_at:
        raise RequestClosed
    planned = request.sessions.filter(status=SessionTicket.Status.PLANNED)
    if problems := unmeetable(
        service=request.service,
        quantity=max(1, planned.count()),
        valid_from=request.valid_from,
        valid_until=request.valid_until,
        patterns=patterns,
    ):
        raise Unmeetable(problems)
    request.patterns.all().delete()
    store_patterns(BookingPattern, patterns, request=request)
    planned.update(unplaced_reason="", tried_at=None)
    data = {"request": request.pk, "contract": request.contract, "by": by.pk}
    publish("request.changed", f"request:{request.pk}", data)
    return request


def store_patterns(
    model: type[PatternFields], patterns: Sequence[PatternSpec], **parent: Model
) -> list[PatternFields]:
    """The rows of the patterns of a request, or of what has patterns like it."""
    stored = []
    for p in patterns:
        row = model(
            is_hard=p.is_hard,
            weekdays=sorted(p.weekdays),
            from_time=p.from_time,
            until_time=p.until_time,
            earliest=p.earliest,
            latest=p.latest,
            min_gap_days=p.min_gap_days,
            max_gap_days=p.max_gap_days,
            **parent,
        )
        row.save(force_insert=True)
        row.practitioners.set(p.practitioners)
        row.clinics.set(p.clinics)
        stored.append(row)
    return stored


def close_request(*, request_id: int, by: User | None) -> BookingRequest:
    """Cancel what is planned; what is booked stays booked. Safe to repeat. Joins the caller's transaction.

    A session that somebody is booking right now is waited for, and is then booked.
    """
    request = BookingRequest.objects.get(pk=request_id)
    if request.closed_at:
        return request
    planned = request.sessions.filter(status=SessionTicket.Status.PLANNED)
    ids = list(planned.values_list("pk", flat=True))
    planned.update(status=SessionTicket.Status.CANCELLED, unplaced_reason="")
    WaitlistEntry.objects.filter(
        session__in=ids,
        session__status=SessionTicket.Status.CANCELLED,
        status=WaitlistEntry.Status.WAITING,
    ).update(status=WaitlistEntry.Status.LEFT, ended_at=Now())
    request.closed_at = database_now()
    request.save(update_fields=["closed_at"])
    data = {"request": request.pk, "contract": request.contract, "by": by.pk if by else None}
    publish("request.closed", f"request:{request.pk}", data)
    return request
