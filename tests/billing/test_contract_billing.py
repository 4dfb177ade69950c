"""Contracts are billed on signing, in instalments or visit by visit; each part once."""

import datetime as dt
import functools
import io
import json

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from billing import bills, contracts, instalments, jobs, settlements
from billing.contracts import BillingTerms, Incomplete
from billing.instalments import BilledAlready, NotThatDay, Part, equal_parts
from billing.models import Account, Bill, Contract, ContractInstalment, LedgerEntry
from clinic_booking.models import Event
from scheduling.models import Booking, LegalEntity, SessionTicket
from tests import factories
from tests.billing.courses import WEEKLY, make_draft, make_mornings

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 11, 30)


@pytest.fixture
def mornings(practitioner, station, service):
    return make_mornings(practitioner, station)


@pytest.fixture
def draft(mornings, clinic, patient, service):
    return make_draft(clinic, patient, service)


@pytest.fixture
def confirm(draft, receptionist):
    """With a draft that is billed so."""

    def confirm(billing="on_signing", parts=(), **values):
        Contract.objects.filter(pk=draft.pk).update(billing=billing, **values)
        if parts:
            contracts.put_instalments(contract_id=draft.pk, parts=parts, by=receptionist)
        return contracts.confirm_contract(reference=draft.reference, by=receptionist, plan=False)

    return confirm


def in_parts(clinic, *cents, days=30):
    return [Part(clinic.today() + dt.timedelta(days * n), each) for n, each in enumerate(cents)]


def days_pass(contract, days):
    """As if the parts had been due so many days earlier."""
    for part in contract.instalments.filter(bill=None).order_by("number"):
        ContractInstalment.objects.filter(pk=part.pk).update(due_on=part.due_on - dt.timedelta(days))


def balance(account, contract):
    entries = LedgerEntry.objects.filter(account=account, bill__contract=contract)
    return sum(entries.values_list("amount_cents", flat=True))


def change_at_once(rows, **values):
    """The database looks at deferred constraints at the end of the transaction."""
    with transaction.atomic():
        rows.update(**values) if values else rows.delete()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.fixture(autouse=True)
def constraints_again(db):
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


# -- The plan ------------------------------------------------------------------------------------


def test_equal_parts_are_monthly_and_the_first_has_the_remainder():
    parts = equal_parts(100_00, count=3, first_on=dt.date(2027, 1, 31))
    assert parts == [
        Part(dt.date(2027, 1, 31), 33_34),
        Part(dt.date(2027, 2, 28), 33_33),
        Part(dt.date(2027, 3, 31), 33_33),
    ]


def test_dates_of_a_short_month():
    first = dt.date(2027, 12, 31)
    days = [part.due_on for part in equal_parts(300, count=3, first_on=first)]
    assert days == [first, dt.date(2028, 1, 31), dt.date(2028, 2, 29)]


@pytest.mark.parametrize(
    ("cents", "days", "said"),
    [
        ((), 30, "Say when the instalments are due"),
        ((1000, 2000), 30, "add up to .*30.00, but the contract costs .*1,200.00"),
        ((120000, 0), 30, "at least one cent"),
        ((60000, 60000), 0, "due after the one before"),
        ((120000 - 36, *[1] * 36), 30, "At most 36"),
    ],
)
def test_parts_that_are_not_the_price_are_refused(draft, clinic, receptionist, cents, days, said):
    with pytest.raises(Incomplete, match=said):
        contracts.put_instalments(
            contract_id=draft.pk, parts=in_parts(clinic, *cents, days=days), by=receptionist
        )
    assert not draft.instalments.exists()


def test_contract_in_instalments_is_not_confirmed_without_them(draft, confirm):
    with pytest.raises(Incomplete, match="Say when the instalments are due"):
        confirm("instalments")
    assert not Bill.objects.exists()


def test_line_that_was_added_after_the_plan_is_noticed(draft, clinic, confirm, receptionist, service):
    contracts.put_instalments(contract_id=draft.pk, parts=in_parts(clinic, 120000), by=receptionist)
    factories.ContractLineFactory(contract=draft, service=service, quantity=1, price_cents=5)
    with pytest.raises(Incomplete, match="add up to .*1,200.00, but the contract costs .*1,200.05"):
        confirm("instalments")


def test_database_keeps_the_parts_equal_to_the_price(confirm, clinic):
    contract = confirm(parts=in_parts(clinic, 60000, 60000))
    first, second = (contract.instalments.filter(number=number) for number in (1, 2))
    for rows, values in ((second, {}), (second, {"amount_cents": 1}), (first, {"due_on": TODAY})):
        with pytest.raises(IntegrityError):
            change_at_once(rows, **values)


def test_confirmed_needs_parts_in_the_database(draft):
    with pytest.raises(IntegrityError):
        change_at_once(
            Contract.objects.filter(pk=draft.pk), status="confirmed", confirmed_at="2026-01-01T00:00Z"
        )


# -- Billing -------------------------------------------------------------------------------------


def test_on_signing_there_is_one_bill_of_all_lines(draft, confirm, clinic, service, receptionist):
    factories.ContractLineFactory(contract=draft, service=service, quantity=2, price_cents=0)
    contract = confirm()
    bill = contract.bills.get()
    assert (bill.total_cents, bill.due_on, bill.booking, bill.status) == (
        120000,
        clinic.today(),
        None,
        "issued",
    )
    assert [(line.description, line.amount_cents) for line in bill.lines.all()] == [
        ("6 × General consultation", 120000),
        ("2 × General consultation", 0),
    ]
    assert balance(Account.DEFERRED, contract) == -120000
    told = Event.objects.get(topic="contract.billed").data
    assert (told["bill"], told["instalment"], told["by"]) == (bill.pk, 1, receptionist.pk)


def test_first_part_is_billed_on_signing_the_next_on_its_day(confirm, clinic):
    contract = confirm(parts=in_parts(clinic, 40000, 40000, 40000))
    assert [bill.total_cents for bill in contract.bills.all()] == [40000]
    assert instalments.bill_all_due() == ([], [])

    days_pass(contract, 29)
    assert instalments.bill_all_due().bills == []
    days_pass(contract, 1)
    made = instalments.bill_all_due().bills
    again = instalments.bill_all_due().bills

    assert ([bill.due_on for bill in made], again) == ([clinic.today()], [])
    assert contract.instalments.get(number=2).bill == made[0]
    text = made[0].lines.get().description
    assert text == f"{contract.reference}, part 2 of 3: 6 × General consultation"


def test_day_of_a_part_begins_at_the_clinics_midnight(confirm, clinic, monkeypatch):
    contract = confirm(parts=in_parts(clinic, 60000, 60000))
    day = contract.instalments.get(number=2).due_on
    midnight = dt.datetime.combine(day, dt.time(), clinic.zone)

    for seconds, count in ((-1, 0), (0, 1)):
        at = midnight + dt.timedelta(seconds=seconds)
        monkeypatch.setattr("scheduling.models.places.timezone.now", lambda at=at: at)
        assert len(instalments.bill_all_due().bills) == count


def test_contract_of_nothing_has_no_bill(draft, confirm):
    draft.lines.update(price_cents=0)
    contract = confirm()
    assert (contract.status, contract.bills.count(), contract.instalments.count()) == ("confirmed", 0, 0)


def test_draft_that_is_thrown_away_has_no_bill(draft, clinic, receptionist):
    contracts.put_instalments(contract_id=draft.pk, parts=in_parts(clinic, 120000), by=receptionist)
    contracts.cancel_contract(reference=draft.reference, by=receptionist)
    jobs.settle_contract(Event.objects.get(topic="contract.cancelled"))
    assert not Bill.objects.exists()
    assert not ContractInstalment.objects.exists()


def test_other_way_of_billing_forgets_the_parts(draft, clinic, confirm, receptionist):
    contracts.put_instalments(contract_id=draft.pk, parts=in_parts(clinic, 60000, 60000), by=receptionist)
    contracts.change_draft(
        contract_id=draft.pk,
        policies=contracts.Policies(),
        billed=BillingTerms("per_visit", 0, 0),
        signed_on=None,
        note="",
        by=receptionist,
    )
    contract = confirm("per_visit")
    assert not contract.instalments.exists()
    assert not contract.bills.exists()


def test_day_of_what_is_not_billed_can_be_moved(confirm, clinic, receptionist):
    contract = confirm(parts=in_parts(clinic, 40000, 40000, 40000))
    first, second, third = contract.instalments.order_by("number")
    later = second.due_on + dt.timedelta(10)

    moved = instalments.move_part(instalment_id=second.pk, due_on=later, by=receptionist)

    assert moved.due_on == later
    assert Event.objects.get(topic="instalment.moved").data["by"] == receptionist.pk
    for day in (third.due_on, clinic.today() - dt.timedelta(1)):
        with pytest.raises(NotThatDay):
            instalments.move_part(instalment_id=second.pk, due_on=day, by=receptionist)
    with pytest.raises(BilledAlready):
        instalments.move_part(instalment_id=first.pk, due_on=later, by=receptionist)


def test_one_that_fails_does_not_keep_the_others_waiting(confirm, clinic, monkeypatch, patient, service):
    mine = confirm(parts=in_parts(clinic, 60000, 60000))
    other = make_draft(clinic, patient, service, patterns=[WEEKLY], quantity=2)
    contracts.put_instalments(contract_id=other.pk, parts=in_parts(clinic, 20000, 20000), by=None)
    contracts.confirm_contract(reference=other.reference, by=None, plan=False)
    for contract in (mine, other):
        days_pass(contract, 30)
    real = instalments.bill_due

    def bill(*, contract_id):
        if contract_id == mine.pk:
            raise IntegrityError
        return real(contract_id=contract_id)

    monkeypatch.setattr(instalments, "bill_due", bill)
    run = instalments.bill_all_due()
    assert ([bill.contract_id for bill in run.bills], run.failed) == ([other.pk], [mine.pk])
    with pytest.raises(SystemExit):
        run_command()


def run_command(*arguments):
    out = io.StringIO()
    call_command("bill_instalments", *arguments, stdout=out)
    return out.getvalue()


def test_command_says_what_it_would_bill_and_bills_it(confirm, clinic):
    contract = confirm(parts=in_parts(clinic, 60000, 60000))
    days_pass(contract, 30)
    would = json.loads(run_command("--dry-run", "--json"))
    assert [(part["contract"], part["number"], part["bill"]) for part in would["parts"]] == [
        (contract.reference, 2, None)
    ]
    assert contract.bills.count() == 1
    assert "1 billed, 0 failed" in run_command()
    assert json.loads(run_command("--json")) == {"parts": [], "failed": []}


# -- For each visit ------------------------------------------------------------------------------


def test_visits_of_a_contract_billed_for_each_cost_its_price(confirm, service):
    contract = confirm("per_visit")
    contracts.plan_contract(contract_id=contract.pk, by=None)
    visits = Booking.objects.filter(session__request__contract=contract.reference).order_by("starts_at")
    assert {visit.price_cents for visit in visits} == {20000} != {service.price_cents}
    bill = bills.keep_bill(visits[2].pk)
    assert (bill.total_cents, bill.lines.get().description) == (
        20000,
        "General consultation: session 3 of 6",
    )


# -- Revenue -------------------------------------------------------------------------------------


@pytest.fixture
def taxed(clinic):
    LegalEntity.objects.filter(pk=clinic.legal_entity_id).update(gst_number="M9-2099000-X")


def use(contract, *numbers, status="completed"):
    SessionTicket.objects.filter(request__line__contract=contract, number__in=numbers).update(status=status)


def keep(contract):
    settlements.settle(contract_id=contract.pk)


@pytest.mark.parametrize("parts", [(), (50000, 40000, 30000), (99999, 20001)])
def test_revenue_comes_with_delivery_and_deferred_ends_at_nothing(taxed, confirm, clinic, parts):
    contract = confirm(parts=in_parts(clinic, *parts))
    days_pass(contract, 100)
    instalments.bill_all_due()
    before = balance(Account.REVENUE, contract)

    use(contract, 2, 5)
    keep(contract)
    keep(contract)
    assert before - balance(Account.REVENUE, contract) == pytest.approx(2 * 20000 / 1.09, abs=1)
    use(contract, 5, status="scheduled")
    keep(contract)
    assert before - balance(Account.REVENUE, contract) == pytest.approx(20000 / 1.09, abs=1)
    use(contract, 1, 2, 3, 4, status="forfeited")
    use(contract, 5, 6)
    keep(contract)

    assert balance(Account.DEFERRED, contract) == 0
    gst = sum(contract.bills.values_list("gst_cents", flat=True))
    assert balance(Account.REVENUE, contract) == gst - 120000


def test_what_the_desk_says_is_done_is_revenue(confirm, receptionist, monkeypatch):
    contract = confirm()
    contracts.plan_contract(contract_id=contract.pk, by=None)
    visit = Booking.objects.filter(session__request__contract=contract.reference).earliest("starts_at")
    event = functools.partial(Event, topic="appointment.fulfilled", data={"booking": visit.pk})
    use(contract, visit.session.number)
    jobs.settle_session(event())
    entry = LedgerEntry.objects.get(account=Account.REVENUE, session=visit.session)
    assert (entry.amount_cents, entry.posting.key) == (-20000, f"delivery:{visit.session_id}:1")
    use(contract, visit.session.number, status="scheduled")
    jobs.settle_session(event())
    assert balance(Account.REVENUE, contract) == 0
    assert balance(Account.DEFERRED, contract) == -120000
