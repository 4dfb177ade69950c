"""When a contract is billed: on signing, in parts on their days, or not at all because each visit is.

On signing is one part, due that day. Each part is billed once: its row has the bill, written under the contract's lock.
"""

import calendar
import datetime as dt
import logging
from collections.abc import Sequence
from typing import NamedTuple

from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bills, deferred
from billing.locks import lock_contract, tell_of_contract
from billing.models import Bill, BillSeries, Contract, ContractInstalment
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.templatetags.page import money
from scheduling.models import Clinic

MAX_PARTS = 36
logger = logging.getLogger(__name__)
Billing = Contract.Billing


class BilledAlready(NamedError):
    sentence = gettext_lazy("This part is billed already: its date cannot be changed any more.")


class NotThatDay(NamedError):
    status = 422
    sentence = gettext_lazy("Please choose today or a later day, in the order of the parts.")


class Part(NamedTuple):
    due_on: dt.date
    cents: int


# -- The plan ------------------------------------------------------------------------------------


def equal_parts(total_cents: int, *, count: int, first_on: dt.date) -> list[Part]:
    """One each month, on the day of the first or the last day of a shorter month. The first has the remainder."""
    each, rest = divmod(total_cents, count)
    return [Part(_months_after(first_on, n), each + (0 if n else rest)) for n in range(count)]


def _months_after(day: dt.date, months: int) -> dt.date:
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return dt.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def plan_problems(parts: Sequence[Part], total_cents: int) -> list[str]:
    """Why these parts are no way to bill so many cents."""
    if not parts:
        return [_("Say when the instalments are due.")] if total_cents else []
    found = []
    if len(parts) > MAX_PARTS:
        found.append(_("At most %(n)d instalments are possible.") % {"n": MAX_PARTS})
    if any(part.cents <= 0 for part in parts):
        found.append(_("Each instalment must be of at least one cent."))
    if any(later.due_on <= part.due_on for part, later in zip(parts, parts[1:], strict=False)):
        found.append(_("Each instalment must be due after the one before."))
    if (given := sum(part.cents for part in parts)) != total_cents:
        text = _("The instalments add up to %(given)s, but the contract costs %(total)s.")
        found.append(text % {"given": money(given), "total": money(total_cents)})
    return found


def problems_of(contract: Contract) -> list[str]:
    if contract.billing != Billing.INSTALMENTS:
        return []
    parts = [Part(row.due_on, row.amount_cents) for row in contract.instalments.all()]
    return plan_problems(parts, contract.total_cents)


def write_plan(contract: Contract, parts: Sequence[Part]) -> None:
    """The caller holds the lock of the contract, of which nothing is billed yet."""
    contract.instalments.all().delete()
    ContractInstalment.objects.bulk_create(
        ContractInstalment(contract=contract, number=number, due_on=part.due_on, amount_cents=part.cents)
        for number, part in enumerate(parts, 1)
    )


def move_part(*, instalment_id: int, due_on: dt.date, by: User) -> ContractInstalment:
    """Another day for what is not billed yet. Raises BilledAlready, NotThatDay."""
    found = ContractInstalment.objects.get(pk=instalment_id)
    with transaction.atomic():
        contract = lock_contract(found.contract_id)
        part = contract.instalments.filter(pk=instalment_id, bill=None).first()
        if part is None or contract.status not in (Contract.Status.CONFIRMED, Contract.Status.COMPLETED):
            raise BilledAlready
        others = contract.instalments.exclude(pk=part.pk)
        is_in_order = not (
            others.filter(number__lt=part.number, due_on__gte=due_on).exists()
            or others.filter(number__gt=part.number, due_on__lte=due_on).exists()
        )
        if due_on < contract.clinic.today() or not is_in_order:
            raise NotThatDay
        part.due_on = due_on
        part.save(update_fields=["due_on"])
        tell_of_contract("instalment.moved", contract, instalment=part.number, by=by.pk)
    return part


# -- Billing -------------------------------------------------------------------------------------


def begin(contract: Contract, series: BillSeries, *, by: User | None) -> list[Bill]:
    """What is billed on signing: all of it, or the first part. The caller holds the locks as for `bill_parts`."""
    today = contract.clinic.today()
    if contract.billing == Billing.ON_SIGNING and contract.total_cents:
        write_plan(contract, [Part(today, contract.total_cents)])
    elif contract.billing != Billing.INSTALMENTS:
        write_plan(contract, [])
    return bill_parts(
        contract, series, contract.instalments.filter(Q(number=1) | Q(due_on__lte=today)), by=by
    )


def bill_parts(
    contract: Contract, series: BillSeries, parts: QuerySet[ContractInstalment], *, by: User | None = None
) -> list[Bill]:
    """Those that have no bill yet. The caller holds the locks of the series and of the contract, which runs."""
    today = contract.clinic.today()
    return [
        _bill(contract, series, part, lines=_lines(contract, part), due_on=max(part.due_on, today), by=by)
        for part in parts.filter(bill=None).order_by("number")
    ]


def bill_rest(contract: Contract, series: BillSeries, part: ContractInstalment, *, by: User | None) -> Bill:
    """Of a contract that ended before all was billed. The caller holds the locks as for `bill_parts`."""
    text = _("%(reference)s ended: sessions used and fee, less what was billed before")
    lines = [(text % {"reference": contract.reference}, part.amount_cents)]
    return _bill(contract, series, part, lines=lines, due_on=part.due_on, by=by)


def _bill(
    contract: Contract,
    series: BillSeries,
    part: ContractInstalment,
    *,
    lines: Sequence[tuple[str, int]],
    due_on: dt.date,
    by: User | None,
) -> Bill:
    of = {"contract": contract, "patient_id": contract.patient_id, "due_on": due_on}
    bill = part.bill = bills.issue(series, clinic=contract.clinic, lines=lines, **of)
    part.save(update_fields=["bill"])
    more = {"bill": bill.pk, "instalment": part.number, "amount_cents": part.amount_cents}
    tell_of_contract("contract.billed", contract, **more, by=by.pk if by else None)
    deferred.recognise(contract)
    return bill


def _lines(contract: Contract, part: ContractInstalment) -> list[tuple[str, int]]:
    sold = [(str(line), line.total_cents) for line in contract.lines.select_related("service")]
    if contract.billing == Billing.ON_SIGNING:
        return sold
    of = {"reference": contract.reference, "number": part.number, "count": contract.instalments.count()}
    text = _("%(reference)s, part %(number)d of %(count)d") % of
    return [(f"{text}: {', '.join(name for name, _cents in sold)}"[:120], part.amount_cents)]


def due(clinic: Clinic) -> QuerySet[ContractInstalment]:
    """What is to be billed by today, at the clinic."""
    running = Q(contract__status__in=[Contract.Status.CONFIRMED, Contract.Status.COMPLETED])
    found = ContractInstalment.objects.filter(running, contract__clinic=clinic, bill=None)
    return found.filter(due_on__lte=clinic.today()).order_by("due_on", "contract", "number")


def bill_due(*, contract_id: int) -> list[Bill]:
    """The parts of a contract that are due. Safe to repeat and to run beside others: the locks decide who bills."""
    clinic = Clinic.objects.select_related("legal_entity").get(contracts=contract_id)
    with transaction.atomic(durable=True), bills.numbers_of(clinic) as series:
        contract = lock_contract(contract_id)
        return bill_parts(contract, series, due(clinic).filter(contract=contract))


def all_due() -> list[ContractInstalment]:
    """Of all clinics, each by its own day."""
    return [
        part for clinic in Clinic.objects.order_by("pk") for part in due(clinic).select_related("contract")
    ]


class Run(NamedTuple):
    """What a run billed, and the contracts (ids) of which it could not."""

    bills: list[Bill]
    failed: list[int]


def bill_all_due() -> Run:
    """One transaction for each contract: one that fails is logged and does not keep the others waiting."""
    run = Run([], [])
    for contract_id in dict.fromkeys(part.contract_id for part in all_due()):
        try:
            run.bills.extend(bill_due(contract_id=contract_id))
        except (DatabaseError, NamedError):
            logger.exception("instalment not billed", extra={"contract": contract_id})
            run.failed.append(contract_id)
    return run
