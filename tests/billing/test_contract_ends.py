"""A contract that ends early costs what was used and a fee; the rest is credited and goes back, to the cent."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import contracts, instalments, ledger, settlements
from billing.consistency import CHECKS
from billing.instalments import equal_parts
from billing.models import Account, Bill, Contract, ContractInstalment, CounterPayment, LedgerEntry
from billing.settlements import Settlement, admin_fee, shares_of
from clinic_booking.models import Event
from scheduling.models import LegalEntity, SessionTicket
from tests import factories
from tests.billing.courses import make_draft, make_mornings

pytestmark = pytest.mark.django_db


@pytest.fixture
def sold(practitioner, station, service, clinic, patient):
    """Confirmed: six sessions for 200.00 each, nothing planned."""
    make_mornings(practitioner, station)

    def sold(parts=1, **values):
        draft = make_draft(clinic, patient, service)
        Contract.objects.filter(pk=draft.pk).update(**values)
        if parts > 1:
            plan = equal_parts(120000, count=parts, first_on=clinic.today())
            contracts.put_instalments(contract_id=draft.pk, parts=plan, by=None)
        return contracts.confirm_contract(reference=draft.reference, by=None, plan=False)

    return sold


def sessions(contract):
    return SessionTicket.objects.filter(request__line__contract=contract)


def use(contract, *numbers):
    sessions(contract).filter(number__in=numbers).update(status="completed")
    settlements.settle(contract_id=contract.pk)


def pay(bill, cents, by):
    taken = CounterPayment.objects.create(bill=bill, amount_cents=cents, method="cash", taken_by=by)
    ledger.post(ledger.taken(taken))
    bill.refresh_from_db()


def cancel(contract, by=None):
    return contracts.cancel_contract(reference=contract.reference, by=by)


def sums(contract):
    """Net, due and to be given back of all its bills."""
    bills = list(contract.bills.order_by("number"))
    return tuple(sum(getattr(b, name) for b in bills) for name in ("net_cents", "due_cents", "owed_cents"))


def balance(account, contract):
    entries = LedgerEntry.objects.filter(account=account, bill__contract=contract)
    return sum(entries.values_list("amount_cents", flat=True))


@pytest.mark.parametrize(
    ("unused", "percent", "cap", "fee"),
    [(100000, 10, 10000, 10000), (50000, 10, 10000, 5000), (5, 10, 100, 1), (4, 10, 100, 0), (1, 100, 0, 0)],
)
def test_fee_is_a_percentage_up_to_its_cap(unused, percent, cap, fee):
    assert admin_fee(unused, percent=percent, cap_cents=cap) == fee


def test_what_nobody_paid_is_credited_first_the_latest_before():
    paid = Bill(total_cents=100, received_cents=100)
    part = Bill(total_cents=100, received_cents=40)
    unpaid = Bill(total_cents=100)
    assert shares_of([paid, part, unpaid], 130) == [(part, 30), (unpaid, 100)]
    assert shares_of([unpaid, paid], 150) == [(unpaid, 100), (paid, 50)]
    assert shares_of([paid], -5) == []


def test_unused_sessions_go_back_less_the_fee(sold, receptionist):
    contract = sold()
    pay(contract.bills.get(), 120000, receptionist)
    use(contract, 1, 2)
    assert settlements.work_out(contract) == Settlement(2, 40000, 4, 80000, 8000, 120000)

    cancel(contract, receptionist)
    cancel(contract)
    settlements.settle(contract_id=contract.pk)

    assert sums(contract) == (48000, 0, 72000)
    note = contract.bills.get().credit_notes.get()
    assert (note.amount_cents, note.reason, note.issued_by) == (72000, "contract_ended", receptionist)
    assert balance(Account.DEFERRED, contract) == 0
    assert balance(Account.REVENUE, contract) == -48000
    told = Event.objects.get(topic="contract.settled").data
    assert (told["refund_cents"], told["fee_cents"], told["by"]) == (72000, 8000, receptionist.pk)


def test_parts_not_yet_billed_are_dropped_and_the_unpaid_rest_stays_due(sold, receptionist):
    contract = sold(parts=3)
    pay(contract.bills.get(), 10000, receptionist)
    use(contract, 1)
    cancel(contract)
    assert contract.instalments.get().number == 1
    assert sums(contract) == (30000, 20000, 0)
    assert instalments.bill_all_due() == ([], [])


def test_used_before_it_was_due_is_billed_at_the_end(sold):
    contract = sold(parts=3)
    use(contract, 1, 2, 3, 4)
    cancel(contract)
    assert sums(contract) == (84000, 84000, 0)
    rest = contract.bills.order_by("number").last()
    assert (rest.total_cents, rest.lines.get().description) == (
        44000,
        f"{contract.reference} ended: sessions used and fee, less what was billed before",
    )
    assert balance(Account.DEFERRED, contract) == 0


def test_kept_visit_is_used_until_it_is_called_off(sold, receptionist):
    contract = sold()
    pay(contract.bills.get(), 120000, receptionist)
    contracts.plan_contract(contract_id=contract.pk, by=None)
    first, *others = contracts.future_bookings(contract)
    decisions = {first.pk: True} | {other.pk: False for other in others}
    assert settlements.work_out(contract, [other.pk for other in others]).refund_cents == 90000
    contracts.cancel_contract(reference=contract.reference, by=receptionist, decisions=decisions)
    assert sums(contract) == (30000, 0, 90000)
    assert balance(Account.DEFERRED, contract) == -20000

    sessions(contract).filter(pk=first.session_id).update(status="cancelled")
    settlements.settle(contract_id=contract.pk)
    assert sums(contract) == (10000, 0, 110000)
    assert balance(Account.DEFERRED, contract) == 0
    assert balance(Account.REVENUE, contract) == -10000


def test_process_that_died_leaves_it_to_the_subscriber(sold, receptionist, monkeypatch):
    from billing import jobs

    contract = sold()
    pay(contract.bills.get(), 120000, receptionist)
    monkeypatch.setattr(settlements, "settle", lambda **_: [])
    cancel(contract)
    monkeypatch.undo()
    assert sums(contract) == (120000, 0, 0)

    event = Event.objects.get(topic="contract.cancelled")
    jobs.settle_contract(event)
    jobs.settle_contract(event)
    assert sums(contract) == (10000, 0, 110000)


def test_contract_billed_for_each_visit_has_nothing_to_settle(sold):
    contract = sold(billing="per_visit")
    cancel(contract)
    assert not Bill.objects.exists()
    assert not Event.objects.filter(topic="contract.settled").exists()


# -- Any contract, any end -----------------------------------------------------------------------

LINES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9999)), min_size=1, max_size=3)
USES = st.lists(st.sampled_from(["planned", "completed", "forfeited"]), min_size=12, max_size=12)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=LINES,
    uses=USES,
    is_taxed=st.booleans(),
    count=st.integers(1, 4),
    billed=st.integers(1, 4),
    paid=st.lists(st.integers(0, 100), min_size=5, max_size=5),
    percent=st.integers(0, 100),
    cap=st.integers(0, 5000),
)
def test_cents_add_up_whatever_happens(
    sold, clinic, patient, service, receptionist, lines, uses, is_taxed, count, billed, paid, percent, cap
):
    number = "M9-2099000-X" if is_taxed else ""
    LegalEntity.objects.filter(pk=clinic.legal_entity_id).update(gst_number=number)
    contract = _sold(clinic, patient, service, lines, count, percent, cap)
    due = ContractInstalment.objects.filter(contract=contract, number__lte=billed, bill=None)
    due.update(due_on=clinic.today())
    instalments.bill_all_due()
    for bill, share in zip(contract.bills.order_by("number"), paid, strict=False):
        if cents := bill.total_cents * share // 100:
            pay(bill, cents, receptionist)
    for session, status in zip(sessions(contract).order_by("request", "number"), uses, strict=False):
        SessionTicket.objects.filter(pk=session.pk).update(status=status)
        settlements.settle(contract_id=contract.pk)
        assert broken() == []
    expected = settlements.work_out(contract)

    cancel(contract)
    settlements.settle(contract_id=contract.pk)

    net, left, back = sums(contract)
    assert (net, left, back) == (expected.owed_cents, expected.due_cents, expected.refund_cents)
    assert 0 <= back <= expected.paid_cents
    assert balance(Account.DEFERRED, contract) == 0
    taxes = sum(bill.gst_cents - notes_gst(bill) for bill in contract.bills.all())
    assert -balance(Account.REVENUE, contract) == net - taxes
    assert balance(Account.RECEIVABLE, contract) == net - expected.paid_cents
    assert broken() == []


def _sold(clinic, patient, service, lines, count, percent, cap):
    draft = factories.ContractFactory(
        clinic=clinic, patient=patient, admin_fee_percent=percent, admin_fee_cap_cents=cap
    )
    for quantity, price in lines:
        factories.ContractLineFactory(
            contract=draft, service=service, quantity=quantity, price_cents=price, valid_from=clinic.today()
        )
    if count > 1 and draft.total_cents >= count:
        plan = equal_parts(draft.total_cents, count=count, first_on=clinic.today())
        contracts.put_instalments(contract_id=draft.pk, parts=plan, by=None)
    return contracts.confirm_contract(reference=draft.reference, by=None, plan=False)


def notes_gst(bill):
    return sum(bill.credit_notes.values_list("gst_cents", flat=True))


def broken() -> list[tuple[str, str]]:
    """What `check_consistency` would say of bills and the ledger."""
    names = [n for n in CHECKS if "contract" in n or "bill" in n or "credit" in n or "posting" in n]
    with connection.cursor() as cursor:
        found = []
        for name in names:
            cursor.execute(CHECKS[name].replace("interval '10 minutes'", "interval '-1 minute'"))
            found += [(name, row[0]) for row in cursor.fetchall()]
    return found
