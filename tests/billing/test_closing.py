"""The daily close: sums of the ledger by cashier and way, counted once, kept as they were."""

import datetime as dt

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse

from billing import bills, closing, counter
from billing.closing import ClosedMeanwhile, NoteNeeded, NotOver, Sums, TakenMeanwhile
from billing.models import CashClose, CreditNote
from clinic_booking.models import Event
from scheduling.models import Membership
from tests import factories

COUNTED = {"cash": 6500, "terminal": 0, "paynow": 0}


@pytest.fixture
def manager(clinic):
    return factories.MembershipFactory(clinic=clinic, role=Membership.Role.MANAGER).user


@pytest.fixture
def bookings(slots, service):
    return [factories.book([slot], service=service) for slot in slots[:3]]


def take(booking, by, cents=6500, method="cash"):
    bill = bills.keep_bill(booking.pk)
    return counter.take_payment(bill_id=bill.pk, amount_cents=cents, method=method, reference="", by=by)


@pytest.fixture
def taken(bookings, receptionist):
    return take(bookings[0], receptionist)


def close(clinic, cashier, **changes):
    asked = {
        "day": clinic.today(),
        "number": 1,
        "counted": COUNTED,
        "seen": COUNTED,
        "note": "",
        "by": cashier,
    }
    return closing.close_day(clinic=clinic, cashier=cashier, **(asked | changes))


def sheet(clinic, cashier):
    return closing.sheets(clinic, clinic.today(), cashier=cashier)[0]


# -- Sums ----------------------------------------------------------------------------------------


def test_sums_are_by_cashier_and_way(clinic, bookings, receptionist, manager):
    take(bookings[0], receptionist)
    take(bookings[1], receptionist, 1500, "terminal")
    take(bookings[2], manager, 700)
    bill = bills.keep_bill(bookings[0].pk)
    bills.credit(bill, cents=2000, reason=CreditNote.Reason.GOODWILL)
    counter.return_payment(bill_id=bookings[0].bill.pk, by=manager)
    by_cashier = {each.cashier: each.sums for each in closing.sheets(clinic, clinic.today())}
    assert by_cashier[receptionist] == {"cash": Sums(6500, 0), "terminal": Sums(1500, 0)}
    assert by_cashier[manager] == {"cash": Sums(700, 2000)}
    assert closing.sheets(clinic, clinic.today() - dt.timedelta(1)) == []
    assert closing.sheets(factories.ClinicFactory(), clinic.today()) == []


# -- Closing -------------------------------------------------------------------------------------


def test_close_keeps_what_was_expected_and_counted(clinic, taken, receptionist):
    made = close(clinic, receptionist)
    assert made.difference_cents == 0
    assert {count.method: count.expected_cents for count in made.counts.all()} == COUNTED
    told = Event.objects.get(topic="cash.closed")
    assert (told.data["by"], told.data["difference_cents"]) == (receptionist.pk, 0)


def test_a_difference_needs_a_note(clinic, taken, receptionist):
    short = COUNTED | {"cash": 6400}
    with pytest.raises(NoteNeeded):
        close(clinic, receptionist, counted=short)
    assert close(clinic, receptionist, counted=short, note="One dollar short").difference_cents == -100


def test_what_was_taken_meanwhile_is_to_be_seen_first(clinic, taken, bookings, receptionist):
    take(bookings[1], receptionist, 100)
    with pytest.raises(TakenMeanwhile):
        close(clinic, receptionist)
    assert not CashClose.objects.exists()


def test_a_second_click_closes_once(clinic, taken, receptionist):
    first = close(clinic, receptionist)
    assert close(clinic, receptionist) == first
    with pytest.raises(ClosedMeanwhile):
        close(clinic, receptionist, counted=COUNTED | {"cash": 1}, note="Other")
    assert CashClose.objects.count() == 1


def test_a_rival_at_the_same_moment_is_found_by_the_database(clinic, taken, receptionist, monkeypatch):
    monkeypatch.setattr(closing, "_tell", lambda made: None)
    first = close(clinic, receptionist)
    real = closing.sheets

    def before_the_other_was_there(*args, **options):
        found = real(*args, **options)
        found[0].closes.clear()
        return found

    monkeypatch.setattr(closing, "sheets", before_the_other_was_there)
    assert close(clinic, receptionist) == first


def test_tomorrow_cannot_be_closed(clinic, taken, receptionist):
    with pytest.raises(NotOver):
        close(clinic, receptionist, day=clinic.today() + dt.timedelta(1))


def test_later_movements_show_as_after_the_close(clinic, taken, bookings, receptionist):
    close(clinic, receptionist)
    take(bookings[1], receptionist, 1000)
    found = sheet(clinic, receptionist)
    assert (found.after_cents, found.rows[0].count.expected_cents) == (1000, 6500)


def test_a_correction_is_a_row_of_its_own(clinic, taken, receptionist, manager):
    close(clinic, receptionist, counted=COUNTED | {"cash": 6000}, note="Looking for it")
    close(clinic, receptionist, number=2, note="Found", by=manager)
    found = sheet(clinic, receptionist)
    assert [(each.number, each.difference_cents) for each in found.closes] == [(1, -500), (2, 0)]
    assert found.close.closed_by == manager


@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["billing_cashclose", "billing_cashcount"])
def test_a_close_cannot_be_changed(clinic, taken, receptionist, table, change):
    close(clinic, receptionist)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table))


# -- The page ------------------------------------------------------------------------------------


def url(clinic, name="desk_money"):
    return reverse(name, args=[clinic.slug])


def fields(clinic, cashier, **changes):
    asked = {"date": clinic.today().isoformat(), "cashier": cashier.pk, "number": 1, "note": ""}
    asked |= {f"seen_{method}": cents for method, cents in COUNTED.items()}
    return asked | {"counted_cash": "65.00", "counted_terminal": "0", "counted_paynow": "0"} | changes


def post(client, clinic, cashier, **changes):
    return client.post(url(clinic, "desk_close"), fields(clinic, cashier, **changes))


def test_receptionists_see_and_close_their_own(client, clinic, taken, bookings, receptionist, manager):
    take(bookings[1], manager)
    client.force_login(receptionist)
    page = client.get(url(clinic)).content.decode()
    assert f'data-cashier="{receptionist.pk}"' in page
    assert f'data-cashier="{manager.pk}"' not in page
    assert post(client, clinic, manager).status_code == 404
    assert post(client, clinic, receptionist).status_code == 303
    assert CashClose.objects.get().cashier == receptionist


def test_managers_see_and_close_all(client, clinic, taken, receptionist, manager):
    client.force_login(manager)
    page = client.get(url(clinic)).content.decode()
    assert f'data-cashier="{receptionist.pk}"' in page
    assert "Online, net" in page
    assert post(client, clinic, receptionist).status_code == 303
    made = CashClose.objects.get()
    assert (made.cashier, made.closed_by) == (receptionist, manager)


def test_others_find_no_page(client, clinic, taken, receptionist, other_patient):
    elsewhere = factories.MembershipFactory(role=Membership.Role.MANAGER).user
    for user in (elsewhere, other_patient.user):
        client.force_login(user)
        assert client.get(url(clinic)).status_code == 404
        assert post(client, clinic, receptionist).status_code == 404
    assert not CashClose.objects.exists()


def test_doctors_close_nothing(client, clinic, taken, receptionist):
    client.force_login(factories.MembershipFactory(clinic=clinic, role=Membership.Role.DOCTOR).user)
    assert post(client, clinic, receptionist).status_code == 403


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"counted_cash": "six"}, 422, "Enter a number"),
        ({"counted_cash": "1.234"}, 422, "2 decimal places"),
        ({"counted_cash": "60.00"}, 422, "write a note"),
        ({"note": "card 4242 4242 4242 4242"}, 422, "card numbers"),
        ({"seen_cash": 1}, 409, "taken or given back meanwhile"),
    ],
)
def test_a_refusal_keeps_what_was_typed(client, clinic, taken, receptionist, changes, status, says):
    client.force_login(receptionist)
    answer = post(client, clinic, receptionist, **changes)
    page = answer.content.decode()
    assert answer.status_code == status
    assert says in page
    assert changes.get("counted_cash", "65.00") in page
    assert not CashClose.objects.exists()


def test_a_date_that_is_none_is_refused(client, clinic, receptionist):
    client.force_login(receptionist)
    assert client.get(url(clinic), {"date": "soon"}).status_code == 422
    assert post(client, clinic, receptionist, date="soon").status_code == 422
