"""What a prepaid contract costs that ends early, and the bills, credit notes and refunds that make it so.

owed = sessions used at the contract's price + the administrative fee, a percentage of the unused value up to its cap.
What is billed above that is credited, what is paid above goes back; what is not paid of it stays due.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import NamedTuple

from django.db import transaction

from billing import allocations, bills, deferred, instalments
from billing.locks import Overtaken, lock_all, lock_bill_by_id, lock_contract, tell_of_contract
from billing.models import Bill, BillSeries, Contract, ContractInstalment, CreditNote, LedgerEntry, Payment
from clinic_booking.models import User
from scheduling.models import Booking, SessionTicket

ATTEMPTS = 5
Status = SessionTicket.Status


class Settlement(NamedTuple):
    """In cents; `used` and `unused` are sessions."""

    used: int
    used_cents: int
    unused: int
    unused_cents: int
    fee_cents: int
    paid_cents: int

    @property
    def owed_cents(self) -> int:
        return self.used_cents + self.fee_cents

    @property
    def refund_cents(self) -> int:
        return max(0, self.paid_cents - self.owed_cents)

    @property
    def due_cents(self) -> int:
        return max(0, self.owed_cents - self.paid_cents)


def admin_fee(unused_cents: int, *, percent: int, cap_cents: int) -> int:
    """Half a cent upwards."""
    return min((unused_cents * percent + 50) // 100, cap_cents)


def work_out(contract: Contract, dropped: Collection[int] = ()) -> Settlement:
    """As the contract stands; `dropped` are bookings (ids) that would be cancelled with it."""
    lost = set(Booking.objects.filter(pk__in=dropped).values_list("session_id", flat=True))
    used: list[int] = []
    unused: list[int] = []
    for session in deferred.sessions_of(contract):
        is_to_come = session.status == Status.SCHEDULED and session.pk not in lost
        is_used = session.status in deferred.USED or is_to_come
        (used if is_used else unused).append(session.request.line.price_cents)
    fee = admin_fee(sum(unused), percent=contract.admin_fee_percent, cap_cents=contract.admin_fee_cap_cents)
    paid = sum(bill.paid_cents for bill in contract.bills.all())
    return Settlement(len(used), sum(used), len(unused), sum(unused), fee, paid)


# -- Making it so --------------------------------------------------------------------------------


def settle(*, contract_id: int, by: User | None = None) -> list[Bill]:
    """The revenue of a prepaid contract that runs; of one that ended also its bills and credit notes. Safe to repeat.

    A refund that this opens is written down; `payments.finalize` submits it (`bills.unfinished_payments` of what this
    returns).
    """
    if _is_running(contract_id):
        return []
    for _ in range(ATTEMPTS):
        try:
            return _settle(contract_id, by)
        except Overtaken:
            continue
    return _settle(contract_id, by)


def _is_running(contract_id: int) -> bool:
    with transaction.atomic(durable=True):
        contract = lock_contract(contract_id)
        if contract.status == Contract.Status.CANCELLED:
            return False
        deferred.recognise(contract)
        return True


def _settle(contract_id: int, by: User | None) -> list[Bill]:
    with transaction.atomic(durable=True):
        payments = lock_all(Payment.objects.filter(pk__in=_payments_of(contract_id)))
        ids = Bill.objects.filter(contract=contract_id).order_by("pk").values_list("pk", flat=True)
        billed = [lock_bill_by_id(pk) for pk in ids]
        if not billed:
            return []
        if _payments_of(contract_id) != {payment.pk for payment in payments}:
            raise Overtaken
        found = Contract.objects.select_related("clinic__legal_entity").get(pk=contract_id)
        with bills.numbers_of(found.clinic) as series:
            contract = lock_contract(contract_id)
            if contract.bills.count() != len(billed):
                raise Overtaken
            billed = _end(contract, series, billed, payments, by)
            deferred.recognise(contract)
    return billed


def _payments_of(contract_id: int) -> set[uuid.UUID]:
    """Those whose money is or was on its bills."""
    found = LedgerEntry.objects.filter(bill__contract=contract_id).exclude(payment=None)
    return set(found.values_list("payment", flat=True))


def _end(
    contract: Contract,
    series: BillSeries,
    billed: list[Bill],
    payments: Sequence[Payment],
    by: User | None,
) -> list[Bill]:
    standing = work_out(contract)
    surplus = sum(bill.net_cents for bill in billed) - standing.owed_cents
    if surplus < 0:
        billed.append(_bill_rest(contract, series, -surplus, by))
    shares = shares_of(billed, surplus)
    for bill, cents in shares:
        bills.credit(bill, cents=cents, reason=CreditNote.Reason.CONTRACT_ENDED, by=by)
    for bill in billed:
        allocations.give_back(bill, payments, reason="contract_ended")
        bill.refresh_from_db()
    if surplus:
        amounts = {"used_cents": standing.used_cents, "fee_cents": standing.fee_cents}
        more = {"refund_cents": standing.refund_cents, "by": by.pk if by else None}
        tell_of_contract("contract.settled", contract, **amounts, **more)
    return billed


def shares_of(billed: Sequence[Bill], surplus: int) -> list[tuple[Bill, int]]:
    """What is credited of each bill: first what nobody has paid, then what is paid; the latest bill first."""
    shares = dict.fromkeys(range(len(billed)), 0)
    for room in ([bill.due_cents for bill in billed], [bill.net_cents for bill in billed]):
        for number in reversed(shares):
            cents = max(0, min(surplus, room[number] - shares[number]))
            shares[number] += cents
            surplus -= cents
    return [(billed[number], cents) for number, cents in shares.items() if cents]


def _bill_rest(contract: Contract, series: BillSeries, cents: int, by: User | None) -> Bill:
    """Sessions were used before the instalments for them were due."""
    today = contract.clinic.today()
    last = contract.instalments.order_by("number").last()
    part = ContractInstalment.objects.create(
        contract=contract, number=last.number + 1 if last else 1, due_on=today, amount_cents=cents
    )
    return instalments.bill_rest(contract, series, part, by=by)
