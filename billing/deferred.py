"""Revenue of prepaid sessions: what a contract bills is owed as sessions, and earned as each is delivered or used up.

What a session is worth is decided by its place in the contract, not by the order of delivery: the net of the first n
sessions' prices less that of the first n − 1. So they add up to the net of the contract to the cent.
"""

from django.db.models import Count, QuerySet, Sum

from billing import gst, ledger
from billing.ledger import Entry, Movement
from billing.models import Account, Bill, Contract, LedgerEntry, LedgerPosting
from scheduling.models import SessionTicket

Kind = LedgerPosting.Kind
Status = SessionTicket.Status
USED = (Status.COMPLETED, Status.FORFEITED)


def recognise(contract: Contract) -> None:
    """Post what differs between what is earned by now and what was posted. Safe to repeat.

    The caller holds the contract's lock, and none is billed or credited for it without.
    """
    first = contract.bills.order_by("number").first()
    if first is None:
        return
    sessions = sessions_of(contract)
    worth = worth_of(sessions, first.gst_basis_points)
    earned = {session.pk: worth[session.pk] for session in sessions if session.status in USED}
    posted = {
        row["session"]: row
        for row in _posted(contract)
        .exclude(session=None)
        .values("session")
        .annotate(cents=-Sum("amount_cents"), count=Count("pk"))
    }
    for session in sessions:
        was = posted.get(session.pk, {"cents": 0, "count": 0})
        key = f"delivery:{session.pk}:{was['count'] + 1}"
        _earn(contract, first, key, Kind.DELIVERY, earned.get(session.pk, 0) - was["cents"], session)
    _recognise_rest(contract, first, sum(worth[s.pk] for s in sessions if _is_owed_or_used(contract, s)))


def sessions_of(contract: Contract) -> list[SessionTicket]:
    found = SessionTicket.objects.filter(request__line__contract=contract)
    return list(found.select_related("request__line").order_by("request__line__position", "number"))


def worth_of(sessions: list[SessionTicket], basis_points: int) -> dict[int, int]:
    """Cents net of GST, by session."""
    worth, gross, net = {}, 0, 0
    for session in sessions:
        gross += session.request.line.price_cents
        before, net = net, gross - gst.within(gross, basis_points)
        worth[session.pk] = net - before
    return worth


def _is_owed_or_used(contract: Contract, session: SessionTicket) -> bool:
    return session.status != Status.CANCELLED or contract.status != Contract.Status.CANCELLED


def _recognise_rest(contract: Contract, first: Bill, worth: int) -> None:
    """What is billed but for no session: the fee of a contract that ended, and cents by which parts are rounded."""
    if contract.instalments.filter(bill=None).exists():
        return
    row = _posted(contract).filter(session=None).aggregate(cents=Sum("amount_cents"), count=Count("pk"))
    key = f"contract_end:{contract.pk}:{row['count'] + 1}"
    cents = net_billed(contract) - worth + (row["cents"] or 0)
    _earn(contract, first, key, Kind.CONTRACT_END, cents)


def net_billed(contract: Contract) -> int:
    """Cents of all its bills less what was credited, without GST."""
    billed = contract.bills.aggregate(cents=Sum("total_cents") - Sum("gst_cents"))["cents"] or 0
    notes = contract.bills.aggregate(cents=Sum("credit_notes__amount_cents") - Sum("credit_notes__gst_cents"))
    return billed - (notes["cents"] or 0)


def _posted(contract: Contract) -> QuerySet[LedgerEntry]:
    kinds = [Kind.DELIVERY, Kind.CONTRACT_END]
    return LedgerEntry.objects.filter(
        bill__contract=contract, account=Account.REVENUE, posting__kind__in=kinds
    )


def _earn(
    contract: Contract,
    bill: Bill,
    key: str,
    kind: LedgerPosting.Kind,
    cents: int,
    session: SessionTicket | None = None,
) -> None:
    """Below zero where what was earned is owed again. Entries name the first bill, whichever part pays."""
    entries = [
        Entry(Account.DEFERRED, cents, bill=bill, session=session),
        Entry(Account.REVENUE, -cents, bill=bill, session=session),
    ]
    ledger.post(Movement(key, kind, contract.clinic, entries))
