"""The books of a period, what is taken away of them, and the lists of money and visits that do not meet."""

import csv
import datetime as dt
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from billing import allocations, bills, books, counter
from billing.books_views import safe
from billing.models import Bill, CreditNote, LedgerPosting
from scheduling.models import Membership
from tests import factories
from tests.billing.steps import pay, payment_of, run_jobs


@pytest.fixture
def manager(clinic):
    return factories.MembershipFactory(clinic=clinic, role=Membership.Role.MANAGER).user


@pytest.fixture
def booking(slots, service):
    return factories.book(slots[1:2], service=service)


def period(clinic, days=0):
    day = clinic.today() + dt.timedelta(days)
    return books.Period(day, day, [clinic.pk])


def take(booking, by, cents):
    bill = bills.keep_bill(booking.pk)
    return counter.take_payment(bill_id=bill.pk, amount_cents=cents, method="cash", reference="=1+1", by=by)


def rows(text):
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def cents(row):
    return round(100 * (float(row["debit"] or 0) - float(row["credit"] or 0)))


def by_row(found, name):
    return {row["account"]: cents(row) for row in found if row["row"] == name}


def url(clinic, name, **query):
    return reverse(name, args=[clinic.slug])


# -- Balances ------------------------------------------------------------------------------------


def test_balances_open_where_those_of_the_day_before_close(clinic, booking, receptionist):
    take(booking, receptionist, 2500)
    today, tomorrow = (books.balances(period(clinic, days)) for days in (0, 1))
    moved = {each.account: (each.debit_cents, each.credit_cents, each.closing_cents) for each in today}
    assert moved == {"cash": (2500, 0, 2500), "receivable": (6500, 2500, 4000), "revenue": (0, 6500, -6500)}
    assert {each.account: each.opening_cents for each in tomorrow} == {
        "cash": 2500,
        "receivable": 4000,
        "revenue": -6500,
    }
    assert books.balances(period(clinic, -1)) == []


# -- Export --------------------------------------------------------------------------------------


def exported(client, clinic, **query):
    day = clinic.today().isoformat()
    answer = client.get(url(clinic, "desk_ledger_csv"), {"from": day, "to": day} | query)
    return rows(b"".join(answer.streaming_content).decode())


def test_export_has_entries_totals_and_balances(client, clinic, booking, receptionist, manager):
    take(booking, receptionist, 2500)
    client.force_login(manager)
    found = exported(client, clinic)
    entries = [row for row in found if row["row"] == "entry"]
    assert [(row["kind"], row["account"], cents(row)) for row in entries] == [
        ("bill", "receivable", 6500),
        ("bill", "revenue", -6500),
        ("counter", "cash", 2500),
        ("counter", "receivable", -2500),
    ]
    assert {row["bill"] for row in entries} == {Bill.objects.get().serial}
    assert entries[2]["by"] == str(receptionist.pk)
    assert [(row["debit"], row["credit"]) for row in found if row["row"] == "total"] == [("90.00", "90.00")]
    assert by_row(found, "closing") == {"cash": 2500, "receivable": 4000, "revenue": -6500}
    later = exported(client, clinic, **{"from": "2027-01-01", "to": "2027-01-02"})
    assert by_row(later, "opening") == by_row(later, "closing") == by_row(found, "closing")


def test_export_of_a_legal_entity_has_the_managers_clinics_only(
    client, clinic, booking, receptionist, manager
):
    take(booking, receptionist, 100)
    uen = clinic.legal_entity.uen
    sister = factories.ClinicFactory(legal_entity=clinic.legal_entity)
    factories.MembershipFactory(clinic=sister, user=manager, role=Membership.Role.MANAGER)
    client.force_login(manager)
    assert by_row(exported(client, sister), "closing") == {}
    assert by_row(exported(client, sister, entity=uen), "closing")["cash"] == 100
    answer = client.get(url(clinic, "desk_ledger_csv"), {"entity": factories.LegalEntityFactory().uen})
    assert answer.status_code == 404


def test_no_text_of_a_person_and_no_formula_is_exported(client, clinic, booking, receptionist, manager):
    take(booking, receptionist, 100)
    client.force_login(manager)
    cells = [cell for row in exported(client, clinic) for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert booking.patient.name not in cells
    assert safe("=1+1") == "'=1+1"


def test_only_managers_see_the_books(client, clinic, receptionist, other_patient):
    names = ("desk_ledger", "desk_ledger_csv", "desk_money_lists")
    elsewhere = factories.MembershipFactory(role=Membership.Role.MANAGER).user
    for user in (receptionist, other_patient.user, elsewhere):
        client.force_login(user)
        assert [client.get(url(clinic, name)).status_code for name in names] == [404] * 3


def test_page_of_the_ledger_shows_the_balances(client, clinic, booking, receptionist, manager):
    take(booking, receptionist, 2500)
    client.force_login(manager)
    page = client.get(url(clinic, "desk_ledger")).content.decode()
    assert "Owed by patients" in page
    assert "\u2212S$\u00a065.00" in page
    assert client.get(url(clinic, "desk_ledger"), {"from": "x"}).status_code == 422


def test_command_prints_the_same(capsys, clinic, booking, receptionist):
    take(booking, receptionist, 2500)
    day = clinic.today().isoformat()
    asked = ["export_ledger", "--from", day, "--to", day, "--entity", clinic.legal_entity.uen]
    call_command(*asked)
    as_csv = rows(capsys.readouterr().out)
    call_command(*asked, "--json")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == as_csv
    with pytest.raises(CommandError, match="no such"):
        call_command(*asked[:-1], "000000000X")
    with pytest.raises(CommandError, match="before"):
        call_command("export_ledger", "--from", day, "--to", "2020-01-01")


# -- Lists ---------------------------------------------------------------------------------------


@pytest.fixture
def paid(client, double, engine, hold):
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    return payment_of(hold)


def lists(client, clinic, manager):
    client.force_login(manager)
    return client.get(url(clinic, "desk_money_lists")).content.decode()


def settle(client, clinic, payment):
    return client.post(reverse("desk_settle", args=[clinic.slug, payment.pk]))


def test_money_without_a_bill_gets_its_bill(client, clinic, paid, manager):
    assert f'data-payment="{paid.pk}"' in lists(client, clinic, manager)
    assert settle(client, clinic, paid).status_code == 303
    paid.refresh_from_db()
    assert (paid.status, paid.free_cents, paid.allocated_cents) == ("paid", 0, 6500)
    assert f'data-payment="{paid.pk}"' not in lists(client, clinic, manager)


def test_money_that_no_bill_needs_goes_back(client, clinic, paid, engine, manager):
    run_jobs()
    with transaction.atomic():
        allocations.release(paid, Bill.objects.get(), 1000)
    for _ in range(2):
        client.force_login(manager)
        settle(client, clinic, paid)
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents, paid.free_cents) == ("paid", 1000, 0)
    assert [refund.amount_cents for refund in paid.refunds.all()] == [1000]


def test_a_disputed_charge_is_not_given_back(client, clinic, paid, manager):
    run_jobs()
    with transaction.atomic():
        allocations.release(paid, Bill.objects.get(), 1000)
    type(paid).objects.update(is_disputed=True)
    page = lists(client, clinic, manager)
    assert "Disputed" in page
    assert "Bill it or give it back" not in page
    settle(client, clinic, paid)
    assert not paid.refunds.exists()


def test_others_settle_nothing(client, clinic, paid, receptionist):
    client.force_login(receptionist)
    assert settle(client, clinic, paid).status_code == 404
    elsewhere = factories.MembershipFactory(role=Membership.Role.MANAGER)
    client.force_login(elsewhere.user)
    assert settle(client, elsewhere.clinic, paid).status_code == 404


def test_what_is_to_be_given_back_and_what_is_not_paid_is_listed(
    client, clinic, slots, service, receptionist, manager
):
    owed, unpaid, later = (factories.book([slot], service=service) for slot in slots[1:4])
    take(owed, receptionist, 6500)
    bills.credit(Bill.objects.get(booking=owed), cents=6500, reason=CreditNote.Reason.GOODWILL)
    for each in (unpaid, later):
        bills.keep_bill(each.pk)
    assert "Everybody who came has paid." in lists(client, clinic, manager)  # all are tomorrow
    begun = timezone.now() - dt.timedelta(hours=2)
    type(unpaid).objects.filter(pk=unpaid.pk).update(
        starts_at=begun, ends_at=begun + dt.timedelta(minutes=20)
    )
    page = lists(client, clinic, manager)
    listed = {each.booking: f'data-bill="{each.pk}"' in page for each in Bill.objects.all()}
    assert listed == {owed: True, unpaid: True, later: False}


def test_postings_name_their_cashier(booking, receptionist):
    take(booking, receptionist, 100)
    assert LedgerPosting.objects.get(kind="counter").by == receptionist
