"""Contracts billed, paid and ended by several at once, on real transactions."""

import functools
import uuid

import pytest

from billing import contracts, counter, instalments, jobs, paylinks, settlements
from billing.instalments import equal_parts
from billing.models import Bill, BillSeries, Contract, ContractInstalment, CreditNote, LedgerPosting
from clinic_booking.models import Event
from scheduling.models import SessionTicket
from tests.billing.courses import make_draft, make_mornings
from tests.billing.test_contract_ends import broken, sums
from tests.race import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def money_agrees(transactional_db):
    yield
    assert broken() == []


@pytest.fixture
def draft(practitioner, station, service, clinic, patient):
    make_mornings(practitioner, station)
    return make_draft(clinic, patient, service)


@pytest.fixture
def in_parts(draft, clinic):
    plan = equal_parts(120000, count=3, first_on=clinic.today())
    contracts.put_instalments(contract_id=draft.pk, parts=plan, by=None)
    return contracts.confirm_contract(reference=draft.reference, by=None, plan=False)


def taking(bill, by, cents):
    return functools.partial(
        counter.take_payment,
        bill_id=bill.pk,
        amount_cents=cents,
        method="cash",
        reference="",
        by=by,
        idempotency_key=uuid.uuid4(),
    )


def test_confirmed_by_three_it_is_billed_once(draft):
    confirm = functools.partial(contracts.confirm_contract, reference=draft.reference, by=None, plan=False)
    together(*[confirm] * 3)
    assert [bill.number for bill in draft.bills.all()] == [1]
    assert ContractInstalment.objects.get().bill == draft.bills.get()


def test_due_part_is_billed_once_by_three_runs(in_parts, clinic):
    ContractInstalment.objects.filter(bill=None).update(due_on=clinic.today())
    runs = together(*[instalments.bill_all_due] * 3)
    assert sum(len(run.bills) for run in runs) == 2
    assert [run.failed for run in runs] == [[], [], []]
    numbers = Bill.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == [1, 2, 3] == [*range(1, BillSeries.objects.get().last_number + 1)]


def test_ended_while_its_next_part_is_billed(in_parts, clinic):
    """Either it is billed before, and credited, or not at all."""
    ContractInstalment.objects.filter(number=2).update(due_on=clinic.today())
    end = functools.partial(contracts.cancel_contract, reference=in_parts.reference, by=None)
    together(end, functools.partial(instalments.bill_due, contract_id=in_parts.pk))
    assert sums(in_parts) == (10000, 10000, 0)
    assert Contract.objects.get().status == "cancelled"


def test_paid_at_the_counter_while_it_ends(in_parts, receptionist):
    end = functools.partial(contracts.cancel_contract, reference=in_parts.reference, by=None)
    _ended, taken = together(end, taking(in_parts.bills.get(), receptionist, 40000))
    settlements.settle(contract_id=in_parts.pk)
    if isinstance(taken, counter.WrongAmount):
        assert sums(in_parts) == (10000, 10000, 0)
    else:
        assert sums(in_parts) == (10000, 0, 30000)
    assert CreditNote.objects.count() == 1


def test_delivered_once_however_many_say_so(in_parts):
    SessionTicket.objects.filter(number=1).update(status="completed")
    settle = functools.partial(settlements.settle, contract_id=in_parts.pk)
    together(*[settle] * 3)
    assert LedgerPosting.objects.filter(kind="delivery").count() == 1


def test_what_was_paid_online_goes_back_online(in_parts, engine, double, receptionist):
    """A part online, a part at the counter: the first goes back by itself, the second at the desk."""
    bill = in_parts.bills.get()
    taking(bill, receptionist, 15000)()
    paylinks.pay(
        bill_id=bill.pk, confirmation_token=engine.confirmation_token(), return_url="https://clinic.example/"
    )
    bill.refresh_from_db()
    assert (bill.status, bill.paid_cents) == ("paid", 40000)

    contracts.cancel_contract(reference=in_parts.reference, by=receptionist)
    jobs.settle_contract(Event.objects.get(topic="contract.cancelled"))
    jobs.settle_contract(Event.objects.get(topic="contract.cancelled"))

    (refund,) = engine.store.refunds.values()
    bill.refresh_from_db()
    assert (refund["amount"], bill.owed_cents, bill.net_cents) == (25000, 5000, 10000)
    counter.return_payment(bill_id=bill.pk, by=receptionist)
    assert sums(in_parts) == (10000, 0, 0)
