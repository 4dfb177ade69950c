"""Verbs on contracts: draft, confirm, plan, cancel, complete.

Order of locks: what scheduling locks, then the contract (docs/locking.md). A draft has nothing in scheduling yet.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bills, instalments, settlements
from billing.locks import lock_contract, tell_of_contract
from billing.models import Contract, ContractLine, ContractPattern
from billing.models.contracts import MAX_PRICE_CENTS
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.templatetags.page import money
from patients.models import Patient
from scheduling import booking, demand, matching
from scheduling.demand import PatternSpec, Policies
from scheduling.models import Booking, BookingRequest, Clinic, Service, SessionTicket
from scheduling.unmeetable import Problem, unmeetable

Status = Contract.Status


class NotDraft(NamedError):
    sentence = gettext_lazy("This contract is confirmed or over: it cannot be changed any more.")


class AlreadyOver(NamedError):
    sentence = gettext_lazy("This contract is over.")


class Undecided(NamedError):
    sentence = gettext_lazy(
        "Please decide about each visit that is still to come. They are shown as they are now."
    )


class Incomplete(NamedError):
    """`problems` are sentences; nothing was changed."""

    status = 422

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__()
        self.problems = list(problems)
        self.sentence: str | Promise = " ".join(problems)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a line sells. The price is for each session."""

    service: Service
    quantity: int
    price_cents: int
    valid_from: dt.date
    valid_until: dt.date
    patterns: Sequence[PatternSpec] = ()

    @classmethod
    def of(cls, line: ContractLine, patterns: Sequence[PatternSpec] | None = None) -> "Terms":
        """With other patterns than those stored, where they are just being written."""
        if patterns is None:
            stored = line.patterns.order_by("pk") if line.pk else []
            patterns = [PatternSpec.of(pattern) for pattern in stored]
        return cls(
            service=line.service,
            quantity=line.quantity,
            price_cents=line.price_cents,
            valid_from=line.valid_from,
            valid_until=line.valid_until,
            patterns=patterns,
        )

    def problems(self) -> list[Problem]:
        found = unmeetable(
            service=self.service,
            quantity=self.quantity,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            patterns=self.patterns,
        )
        if not 0 <= self.price_cents <= MAX_PRICE_CENTS:
            text = _("A session can cost between %(least)s and %(most)s.")
            values = {"least": money(0), "most": money(MAX_PRICE_CENTS)}
            found.append(Problem(text % values, "price"))
        return found


class BillingTerms(NamedTuple):
    """When it is billed, and what is kept of unused sessions when it ends early: so many percent, at most so much."""

    billing: str = Contract.Billing.ON_SIGNING
    admin_fee_percent: int = 10
    admin_fee_cap_cents: int = 10_000


# -- Drafts --------------------------------------------------------------------------------------

NEXT_NUMBER = """
INSERT INTO billing_contractseries AS s (year, last_number) VALUES (%s, 1)
ON CONFLICT (year) DO UPDATE SET last_number = s.last_number + 1 RETURNING last_number
"""


def next_reference(year: int) -> str:
    """Joins the caller's transaction, which makes the contract."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_NUMBER, [year])
        return f"C-{year}-{cursor.fetchone()[0]:04d}"


def draft_contract(
    *,
    patient: Patient,
    clinic: Clinic,
    policies: Policies = Policies(),  # noqa: B008  (a tuple does not change)
    billed: BillingTerms = BillingTerms(),  # noqa: B008
    signed_on: dt.date | None = None,
    note: str = "",
    by: User | None,
) -> Contract:
    """Raises Incomplete where nobody could tell the patient about the visits."""
    if problem := contact_problem(patient):
        raise Incomplete([problem])
    with transaction.atomic():
        return Contract.objects.create(
            reference=next_reference(clinic.today().year),
            patient=patient,
            clinic=clinic,
            late_cancel=policies.late_cancel,
            no_show=policies.no_show,
            **billed._asdict(),
            signed_on=signed_on,
            note=note,
            created_by=by,
        )


def change_draft(
    *,
    contract_id: int,
    policies: Policies,
    billed: BillingTerms | None = None,
    signed_on: dt.date | None,
    note: str,
    by: User,
) -> Contract:
    """Raises NotDraft."""
    values: dict[str, Any] = policies._asdict() | (billed._asdict() if billed else {})
    values |= {"signed_on": signed_on, "note": note}
    with transaction.atomic():
        contract = _lock_draft(contract_id)
        for name, value in values.items():
            setattr(contract, name, value)
        contract.save(update_fields=list(values))
        if contract.billing != Contract.Billing.INSTALMENTS:
            instalments.write_plan(contract, [])
    return contract


def put_instalments(*, contract_id: int, parts: Sequence[instalments.Part], by: User | None) -> Contract:
    """The draft is billed in these parts. Raises NotDraft, Incomplete."""
    with transaction.atomic():
        contract = _lock_draft(contract_id)
        if problems := instalments.plan_problems(parts, contract.total_cents):
            raise Incomplete(problems)
        contract.billing = Contract.Billing.INSTALMENTS
        contract.save(update_fields=["billing"])
        instalments.write_plan(contract, parts)
    return contract


def put_line(*, contract_id: int, terms: Terms, by: User | None, line_id: int | None = None) -> ContractLine:
    """Add a line, or write it anew. Raises NotDraft, demand.Unmeetable."""
    if problems := terms.problems():
        raise demand.Unmeetable(problems)
    with transaction.atomic():
        contract = _lock_draft(contract_id)
        last = contract.lines.aggregate(last=Max("position"))["last"] or 0
        line = (
            contract.lines.get(pk=line_id) if line_id else ContractLine(contract=contract, position=last + 1)
        )
        line.service, line.quantity, line.price_cents = terms.service, terms.quantity, terms.price_cents
        line.valid_from, line.valid_until = terms.valid_from, terms.valid_until
        line.save()
        line.patterns.all().delete()
        demand.store_patterns(ContractPattern, terms.patterns, line=line)
    return line


def remove_line(*, contract_id: int, line_id: int, by: User) -> None:
    """Raises NotDraft."""
    with transaction.atomic():
        _lock_draft(contract_id).lines.filter(pk=line_id).delete()


def _lock_draft(contract_id: int) -> Contract:
    contract = lock_contract(contract_id)
    if not contract.is_draft:
        raise NotDraft
    return contract


def contact_problem(patient: Patient) -> str:
    if patient.email or patient.phone:
        return ""
    return _("%(patient)s has neither an e-mail address nor a phone number.") % {"patient": patient.name}


def problems_of(contract: Contract) -> list[str]:
    """Why the draft cannot be confirmed as it is. Looked at again when it is confirmed."""
    found = [contact_problem(contract.patient)]
    if not contract.clinic.is_active:
        found.append(_("The clinic of this contract is closed."))
    lines = list(contract.lines.select_related("service"))
    if not lines:
        found.append(_("The contract has no line yet: add what is sold."))
    for line in lines:
        about = f"{line.service.name}: "
        found += [about + problem.sentence for problem in Terms.of(line).problems()]
    found += instalments.problems_of(contract)
    return [problem for problem in found if problem]


# -- Confirming ----------------------------------------------------------------------------------


def confirm_contract(*, reference: str, by: User | None, plan: bool = True) -> Contract:
    """Make its requests with patterns and sessions and its first bill, then plan them. Confirmed, it stays as it is.

    The planning comes after the commit; should this process die before, or not `plan`, the subscriber of
    `contract.confirmed` does it. Raises Contract.DoesNotExist, Incomplete, AlreadyOver.
    """
    found = Contract.objects.select_related("clinic__legal_entity").get(reference=reference)
    with transaction.atomic(durable=True), bills.numbers_of(found.clinic) as series:
        contract = lock_contract(found.pk)
        if contract.status == Status.CANCELLED:
            raise AlreadyOver
        if is_new := contract.is_draft:
            _confirm(contract, by)
            instalments.begin(contract, series, by=by)
    if is_new and plan:
        plan_contract(contract_id=contract.pk, by=by)
    return contract


def _confirm(contract: Contract, by: User | None) -> None:
    """The caller holds the contract's lock: of two who confirm, the second finds it confirmed."""
    if problems := problems_of(contract):
        raise Incomplete(problems)
    for line in contract.lines.select_related("service"):
        terms = Terms.of(line)
        line.request = demand.request_sessions(
            patient=contract.patient,
            service=terms.service,
            quantity=terms.quantity,
            source=BookingRequest.Source.CONTRACT,
            contract=contract.reference,
            is_prepaid=contract.is_prepaid,
            price_cents=terms.price_cents,
            valid_from=terms.valid_from,
            valid_until=terms.valid_until,
            policies=Policies(contract.late_cancel, contract.no_show),
            patterns=terms.patterns,
            by=by,
            is_checked=True,
        )
        line.save(update_fields=["request"])
    _end_in(contract, Status.CONFIRMED, confirmed_at=Now(), confirmed_by=by)
    requests = [request.pk for request in requests_of(contract)]
    tell_of_contract("contract.confirmed", contract, requests=requests, by=by.pk if by else None)


class Planned(NamedTuple):
    placed: list[Booking]
    unplaced: list[SessionTicket]


def plan_contract(*, contract_id: int, by: User | None, untried: bool = False) -> Planned:
    """Find a time for each session that has none; what finds none says why. Safe to repeat.

    `untried` leaves alone what was tried before. Opens its own transactions.
    """
    result = Planned([], [])
    open_requests = BookingRequest.objects.filter(line__contract=contract_id, closed_at=None).order_by(
        "line__position"
    )
    for request in open_requests:
        planned = request.sessions.filter(status=SessionTicket.Status.PLANNED)
        if untried:
            planned = planned.filter(tried_at=None)
        if planned.exists():
            filled = matching.autofill(request_id=request.pk, by=by)
            result.placed.extend(filled.placed)
            result.unplaced.extend(filled.unplaced)
    return result


# -- Ending --------------------------------------------------------------------------------------


def requests_of(contract: Contract) -> QuerySet[BookingRequest]:
    return BookingRequest.objects.filter(line__contract=contract).order_by("line__position")


def future_bookings(contract: Contract) -> QuerySet[Booking]:
    """What is still to come: on cancelling, each of them is decided."""
    booked = Booking.objects.filter(
        session__request__line__contract=contract, status=Booking.Status.BOOKED, starts_at__gt=Now()
    )
    return booked.select_related("clinic", "practitioner", "station", "service", "session").order_by(
        "starts_at"
    )


def cancel_contract(
    *, reference: str, by: User | None, reason: str = "", decisions: Mapping[int, bool] | None = None
) -> Contract:
    """End it. `decisions` says of each booking to come (by id) whether it is kept; a kept one stays prepaid.

    One transaction: all of it or nothing. Then what it costs is settled; should this process die before, the subscriber
    of `contract.cancelled` does it. Cancelled already, it stays as it is.
    Raises Contract.DoesNotExist, Undecided, AlreadyOver, and what `booking.cancel_bookings` raises.
    """
    contract, is_new = _cancel(reference, by, reason, decisions or {})
    if is_new:
        settlements.settle(contract_id=contract.pk, by=by)
    return contract


def _cancel(
    reference: str, by: User | None, reason: str, decisions: Mapping[int, bool]
) -> tuple[Contract, bool]:
    kept = {pk for pk, is_kept in decisions.items() if is_kept}
    dropped = sorted(set(decisions) - kept)
    with transaction.atomic(durable=True):
        contract = Contract.objects.get(reference=reference)
        if contract.status == Status.CANCELLED:
            return contract, False
        if _ids(future_bookings(contract)) != set(decisions):
            raise Undecided
        if dropped:
            booking.cancel_bookings(booking_ids=dropped, by=by, reason="contract")
        for request in requests_of(contract):
            demand.close_request(request_id=request.pk, by=by)
        contract = lock_contract(contract.pk)
        # Nothing can be booked for it any more. What was booked while this waited has not been decided.
        if _ids(future_bookings(contract)) != kept:
            raise Undecided
        if contract.status not in (Status.DRAFT, Status.CONFIRMED):
            raise AlreadyOver
        contract.instalments.filter(bill=None).delete()
        _end_in(contract, Status.CANCELLED, cancelled_at=Now(), cancelled_by=by, cancel_reason=reason)
        more = {"cancelled": dropped, "kept": sorted(kept), "by": by.pk if by else None}
        tell_of_contract("contract.cancelled", contract, **more)
    return contract, True


def _ids(bookings: QuerySet[Booking]) -> set[int]:
    return set(bookings.order_by().values_list("pk", flat=True))


def prepaid_of(*, booking_id: int) -> Contract | None:
    """The contract that paid for the booking's session."""
    prepaid = Contract.objects.exclude(billing=Contract.Billing.PER_VISIT)
    return prepaid.filter(lines__request__sessions__bookings=booking_id).first()


def complete_if_done(*, booking_id: int) -> None:
    """After a visit ended: the contract is completed when no session is planned or booked. Safe to repeat."""
    confirmed = Contract.objects.filter(
        lines__request__sessions__bookings=booking_id, status=Status.CONFIRMED
    )
    contract = confirmed.first()
    if contract is None:
        return
    with transaction.atomic(durable=True):
        contract = lock_contract(contract.pk)
        if contract.status == Status.CONFIRMED and not _open_sessions(contract).exists():
            _end_in(contract, Status.COMPLETED, completed_at=Now())
            tell_of_contract("contract.completed", contract)


def reopen_if_not_done(*, booking_id: int) -> None:
    """After the last visit was wrongly said to be over: the contract goes on. Safe to repeat."""
    completed = Contract.objects.filter(
        lines__request__sessions__bookings=booking_id, status=Status.COMPLETED
    )
    contract = completed.first()
    if contract is None:
        return
    with transaction.atomic(durable=True):
        contract = lock_contract(contract.pk)
        if contract.status == Status.COMPLETED and _open_sessions(contract).exists():
            _end_in(contract, Status.CONFIRMED, completed_at=None)
            tell_of_contract("contract.reopened", contract)


def _open_sessions(contract: Contract) -> QuerySet[SessionTicket]:
    open_ones = [SessionTicket.Status.PLANNED, SessionTicket.Status.SCHEDULED]
    return SessionTicket.objects.filter(request__line__contract=contract, status__in=open_ones)


def _end_in(contract: Contract, status: str, **values: object) -> None:
    """The caller holds the contract's lock."""
    values |= {"status": status}
    for name, value in values.items():
        setattr(contract, name, value)
    contract.save(update_fields=list(values))
    contract.refresh_from_db()
