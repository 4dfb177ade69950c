"""What the desk and the patient see of a contract's money, and do with it."""

import datetime as dt

import pytest
from django.urls import reverse

from billing import contracts
from billing.instalments import equal_parts
from billing.models import Bill, Contract
from billing.work import contract_bills
from scheduling.models import Booking
from tests.billing.courses import make_draft, make_mornings
from tests.billing.test_contract_ends import use

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(practitioner, station, service, clinic, patient):
    make_mornings(practitioner, station)
    return make_draft(clinic, patient, service)


@pytest.fixture
def in_parts(draft, clinic):
    """Confirmed, in three parts of which the first is billed."""
    plan = equal_parts(120000, count=3, first_on=clinic.today())
    contracts.put_instalments(contract_id=draft.pk, parts=plan, by=None)
    return contracts.confirm_contract(reference=draft.reference, by=None)


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def url(clinic, draft):
    def url(name, *arguments):
        return reverse(name, args=[clinic.slug, draft.reference, *arguments])

    return url


def text(response, status=200):
    assert response.status_code == status, response.content.decode()[:2000]
    return response.content.decode().replace("\u00a0", " ")


def done(desk, url, data=None):
    """The page that a post leads to."""
    answer = desk.post(url, data or {})
    assert answer.status_code in (302, 303), answer.content.decode()[:1000]
    return text(desk.get(answer.headers["location"]))


def rows(*given):
    data = {"part-TOTAL_FORMS": len(given) + 1, "part-INITIAL_FORMS": 0}
    for number, (due_on, amount) in enumerate([*given, ("", "")]):
        data |= {f"part-{number}-due_on": due_on, f"part-{number}-amount": amount}
    return data


def test_draft_says_what_is_billed_when(desk, url, draft):
    assert "S$ 1,200.00 when the contract is confirmed." in text(desk.get(url("contract")))
    Contract.objects.update(billing="per_visit")
    assert "Each visit is billed at the price" in text(desk.get(url("contract")))
    Contract.objects.update(billing="instalments")
    page = text(desk.get(url("contract")))
    assert "not planned yet" in page
    assert url("contract_plan") in page


def test_equal_parts_are_worked_out_and_saved(desk, url, draft):
    page = text(desk.get(url("contract_plan"), {"count": 7, "first_on": "2099-01-31"}))
    for shown in ('value="171.48"', 'value="171.42"', 'value="2099-02-28"', 'value="2099-07-31"'):
        assert shown in page
    assert "Ensure this value is" in text(desk.get(url("contract_plan"), {"count": 99, "first_on": ""}), 422)
    far = {"count": 3, "first_on": "9999-12-31"}
    assert "This is not a date" in text(desk.get(url("contract_plan"), far), 422)

    data = rows(("2099-01-31", "700.00"), ("2099-03-01", "500"))
    assert desk.post(url("contract_plan"), data).status_code == 302
    parts = [(part.due_on, part.amount_cents) for part in draft.instalments.all()]
    assert parts == [(dt.date(2099, 1, 31), 70000), (dt.date(2099, 3, 1), 50000)]
    draft.refresh_from_db()
    assert draft.billing == "instalments"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([("2099-01-31", "700.00")], "add up to S$ 700.00, but the contract costs S$ 1,200.00"),
        ([("2099-01-31", "700"), ("", "500")], "needs both, a day and an amount"),
        ([("2099-01-31", "-700"), ("2099-02-01", "1900")], "greater than or equal to 0"),
        ([("31/1/2099", "1200")], "This is not a date"),
        ([("2099-02-01", "700"), ("2099-01-01", "500")], "due after the one before"),
        ([], "Say when the instalments are due"),
    ],
)
def test_typed_parts_that_do_not_fit_are_said(desk, url, draft, given, said):
    assert said in text(desk.post(url("contract_plan"), rows(*given)), 422)
    assert not draft.instalments.exists()


def test_confirmed_contract_shows_bills_and_takes_parts_of_them(desk, url, in_parts):
    bill = in_parts.bills.get()
    page = text(desk.get(url("contract")))
    assert page.count("data-part=") == 3
    assert page.count("Not billed yet") == 2
    assert bill.serial in page

    paying = {"method": "cash", "amount": "150.00", "reference": ""}
    page = done(desk, url("contract_counter", bill.pk), paying)
    assert "S$ 150.00 taken: Cash" in page
    assert "S$ 250.00 to be paid" in page
    assert "The amount is not" in done(desk, url("contract_counter", bill.pk), paying | {"amount": "999"})
    bill.refresh_from_db()
    assert (bill.status, bill.due_cents) == ("part_paid", 25000)


def test_link_to_pay_is_sent(desk, url, in_parts):
    said = done(desk, url("contract_pay_link", in_parts.bills.get().pk))
    assert "The link to pay is sent to aisyah@example.com." in said


def test_day_of_a_part_is_changed(desk, url, in_parts, clinic):
    page = url("contract_part", 2)
    third = in_parts.instalments.get(number=3).due_on
    assert "Instalment 2 of S$ 400.00" in text(desk.get(page))
    assert "in the order of the parts" in text(desk.post(page, {"due_on": third.isoformat()}), 422)
    new = third - dt.timedelta(1)
    assert desk.post(page, {"due_on": new.isoformat()}).status_code == 302
    assert in_parts.instalments.get(number=2).due_on == new


def test_overdue_bill_is_on_the_desks_list(desk, url, in_parts, clinic):
    Bill.objects.update(due_on=clinic.today() - dt.timedelta(1))
    assert [(bill.contract, bill.is_overdue) for bill in contract_bills(clinic)] == [(in_parts, True)]
    page = text(desk.get(reverse("desk_work", args=[clinic.slug]), {"list": "contract_bills"}))
    assert "Overdue" in page
    assert "Overdue" in text(desk.get(url("contract")))


def test_ending_shows_what_it_costs_before_it_does(desk, url, in_parts):
    bill = in_parts.bills.get()
    desk.post(url("contract_counter", bill.pk), {"method": "cash"})
    use(in_parts, 1)
    future = list(contracts.future_bookings(in_parts))
    used = Booking.objects.get(session__number=1)
    page = text(desk.get(url("contract_cancellation")))
    assert "5 unused sessions worth S$ 1,000.00" in page
    assert 'data-refund="10000"' in page

    keep = {f"booking-{b.pk}": "keep" if b == future[1] else "cancel" for b in future}
    kept = text(desk.get(url("contract_settlement"), keep))
    assert "2 sessions used or kept" in kept
    assert "Still to be paid" in kept
    assert "again" not in kept
    assert "What is settled" in text(desk.post(url("contract_cancellation"), keep | {"again": 1}))

    Booking.objects.filter(pk=used.pk).update(status="fulfilled")
    drop = {f"booking-{b.pk}": "cancel" for b in contracts.future_bookings(in_parts)}
    assert "S$ 100.00 is to be given back." in done(desk, url("contract_cancellation"), drop)
    assert "To be given back" in text(desk.get(reverse("desk_work", args=[in_parts.clinic.slug])))
    assert "Recorded: the money was given back." in done(desk, url("contract_return", bill.pk))
    assert list(contract_bills(in_parts.clinic)) == []


def test_doctor_looks_and_changes_nothing(client, url, in_parts, practitioner, clinic):
    from tests import factories

    doctor = factories.MembershipFactory(clinic=clinic, role="doctor").user
    client.force_login(doctor)
    assert client.get(url("contract")).status_code == 200
    bill = in_parts.bills.get().pk
    for name in ("contract_counter", "contract_return", "contract_pay_link"):
        assert client.post(url(name, bill), {"method": "cash"}).status_code == 403


def test_bill_of_another_contract_is_not_found(desk, url, in_parts, clinic, patient, service):
    other = make_draft(clinic, patient, service, patterns=[])
    there = reverse("contract_counter", args=[clinic.slug, other.reference, in_parts.bills.get().pk])
    assert desk.post(there, {"method": "cash"}).status_code == 404


# -- The patient ---------------------------------------------------------------------------------


def test_patient_sees_the_parts_and_pays_a_bill(client, patient, in_parts):
    client.force_login(patient.user)
    page = reverse("my_contract", args=[in_parts.reference])
    assert page in text(client.get(reverse("me")))
    assert "Session 1 of 6, prepaid" in text(client.get(reverse("me")))
    shown = text(client.get(page))
    assert "Pay S$ 400.00" in shown
    assert shown.count("Not billed yet") == 2
    answer = client.post(reverse("my_contract_pay", args=[in_parts.bills.get().pk]))
    assert "Pay S$ 400.00" in text(client.get(answer.headers["location"]))


def test_another_patient_sees_nothing(client, other_patient, in_parts):
    client.force_login(other_patient.user)
    assert client.get(reverse("my_contract", args=[in_parts.reference])).status_code == 404
    assert client.post(reverse("my_contract_pay", args=[in_parts.bills.get().pk])).status_code == 404


@pytest.mark.parametrize(
    ("billing", "said"), [("on_signing", "Session 1 of 6, prepaid"), ("per_visit", "session 1 of 6")]
)
def test_visit_says_which_session_it_is(client, desk, patient, draft, billing, said):
    Contract.objects.update(billing=billing)
    contracts.confirm_contract(reference=draft.reference, by=None)
    visit = Booking.objects.earliest("starts_at")
    assert said in text(desk.get(reverse("desk_booking", args=[visit.clinic.slug, visit.reference])))
    client.force_login(patient.user)
    page = text(client.get(reverse("booking", args=[visit.reference])))
    assert said in page
    assert ("S$ 200.00" in page) == (billing == "per_visit")
