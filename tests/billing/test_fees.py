"""What a visit costs that does not take place: on its one bill, given back above it, waived."""

import datetime as dt
from functools import partial

import pytest
from django.db import transaction
from django.urls import reverse

from billing import bills, consistency, counter, jobs, waivers
from billing.cancelling import Outlook, outlook
from billing.models import Bill, CounterPayment, CreditNote, Payment
from clinic_booking.events import NotYet
from clinic_booking.models import Event
from scheduling import arrivals, work_lists
from scheduling import consistency as checks
from scheduling.booking import bookings_of, cancel_booking, confirm_hold, database_now
from scheduling.models import Booking, Clinic, Hold
from tests import factories
from tests.billing.steps import pay, run_jobs
from tests.race import together

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def money_agrees(db):
    yield
    assert not [each for each in checks.broken() if each.name in consistency.CHECKS]


@pytest.fixture(autouse=True)
def terms(clinic):
    """A deposit of 30 %; late costs 50 %, not coming 80 %. Always late, whatever the time of day."""
    Clinic.objects.update(
        payment_policy="deposit",
        deposit_percent=30,
        free_cancel_hours=24 * 7,
        late_cancel_percent=50,
        no_show_percent=80,
    )
    clinic.refresh_from_db()


@pytest.fixture
def deposit(client, hold, engine, double):
    """Booked: S$ 19.50 of S$ 65.00 are paid online."""
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    run_jobs()
    return Booking.objects.select_related("clinic").get()


def take(booking, by, cents):
    bill = bills.keep_bill(booking.pk)
    counter.take_payment(
        bill_id=bill.pk, amount_cents=cents, method=CounterPayment.Method.CASH, reference="", by=by
    )


def cancel_late(booking):
    with transaction.atomic():
        cancel_booking(booking_id=booking.pk, by=None, reason="patient", patient_asks=True)
    run_jobs()


def bill_of(booking):
    return Bill.objects.get(booking=booking)


def money(booking):
    bill = bill_of(booking)
    return bill.status, bill.net_cents, bill.paid_cents


def notes(booking):
    found = CreditNote.objects.filter(bill__booking=booking).order_by("number")
    return list(found.values_list("reason", "amount_cents"))


# -- Deposit -------------------------------------------------------------------------------------


def test_deposit_is_charged_and_the_rest_stays_due(deposit):
    assert Payment.objects.get().captured_cents == 1950
    assert money(deposit) == ("part_paid", 6500, 1950)


def test_checkout_says_what_is_paid_when(client, hold):
    page = client.get(f"/checkout/{hold.pk}/").content.decode().replace("\xa0", "")
    assert "S$19.50 now, S$45.50 at the clinic" in page
    assert 'data-amount="1950"' in page
    assert "If you cancel, S$32.50 is charged; S$52.00 if you do not come." in page
    assert page.index("If you cancel") < page.index('id="pay-button"')


def test_pay_at_the_clinic_shows_the_rule_too(client, hold):
    Hold.objects.update(due_cents=0)
    page = client.get(f"/checkout/{hold.pk}/").content.decode().replace("\xa0", "")
    assert "To pay at the clinic" in page
    assert "S$52.00 if you do not come." in page


# -- Cancelled late ------------------------------------------------------------------------------


def test_fee_above_the_deposit_stays_due(deposit, clinic):
    cancel_late(deposit)
    assert money(deposit) == ("part_paid", 3250, 1950)
    assert notes(deposit) == [("cancelled", 3250)]
    assert [row.booking for row in work_lists.LISTS["fees"].find(clinic)] == [deposit]


def test_money_in_parts_goes_back_online_first(deposit, receptionist, clinic):
    take(deposit, receptionist, 4550)
    assert outlook(deposit, 3250) == Outlook(3250, 1950, 1300, 0)
    cancel_late(deposit)
    assert Payment.objects.get().refunded_cents == 1950
    assert money(deposit) == ("refund_due", 3250, 4550)
    assert [row.owed_cents for row in work_lists.LISTS["money_back"].find(clinic)] == [1300]


def test_money_is_given_back_on_the_row_of_the_work_list(deposit, receptionist, client, clinic):
    take(deposit, receptionist, 4550)
    cancel_late(deposit)
    client.force_login(receptionist)
    url = reverse("work_money_back", args=[clinic.slug, bill_of(deposit).pk])
    assert url in client.get(reverse("desk_work", args=[clinic.slug])).content.decode()
    answer = client.post(url, headers={"HX-Request": "true"}).content.decode()
    assert "Recorded: the money was given back." in answer
    assert money(deposit) == ("paid", 3250, 3250)
    assert client.post(url).status_code == 303
    assert money(deposit) == ("paid", 3250, 3250)


@pytest.mark.parametrize("fee", [0, 1951, 6500])
def test_outlook_is_what_happens(deposit, receptionist, fee):
    take(deposit, receptionist, 1000)
    Booking.objects.update(late_cancel_fee_cents=fee)
    said = outlook(deposit, fee)
    cancel_late(deposit)
    bill = bill_of(deposit)
    assert bill.net_cents == said.fee_cents == fee
    assert Payment.objects.get().refunded_cents == said.online_cents
    assert (bill.owed_cents, bill.due_cents) == (said.counter_cents, said.due_cents)


# -- What the patient sees -----------------------------------------------------------------------


def test_patient_sees_the_amounts_and_cancels_late(client, deposit):
    url = reverse("cancellation", args=[deposit.reference])
    page = client.get(url).content.decode().replace("\xa0", "")
    assert "S$32.50 is charged." in page
    assert "S$13.00 is still to be paid at the clinic." in page
    assert 'name="seen-one" value="3250-0"' in page
    assert client.post(url, {"seen-one": "3250-0"}).status_code == 302
    deposit.refresh_from_db()
    assert (deposit.status, deposit.fee_cents) == ("cancelled", 3250)


def test_deadline_passes_while_the_page_is_open(client, deposit):
    """What was shown is not what it costs: nothing is cancelled, the new amount is shown."""
    Booking.objects.update(free_cancel_hours=0)
    url = reverse("cancellation", args=[deposit.reference])
    assert "Nothing is charged." in client.get(url).content.decode()
    Booking.objects.update(free_cancel_hours=24 * 7)
    refused = client.post(url, {"seen-one": "0-0"})
    page = refused.content.decode().replace("\xa0", "")
    assert refused.status_code == 409
    assert "Nothing is cancelled yet." in page
    assert "S$32.50 is charged." in page
    deposit.refresh_from_db()
    assert deposit.status == "booked"


def test_too_late_to_move_says_so(client, deposit):
    page = client.get(reverse("booking", args=[deposit.reference])).content.decode()
    assert "Cancel the visit" in page
    assert "Choose another time" not in page
    assert "To change it now, please call the clinic" in page


def test_whole_visit_has_a_sum_and_each_part(client, slots, service, patient):
    parts = [{"part": f"{slots[n].pk}:{service.pk}"} for n in (0, 2)]
    client.force_login(patient.user)
    client.post(reverse("plan_holds"), {"part": [each["part"] for each in parts]})
    lead = Hold.objects.get(lead=None)
    with transaction.atomic():
        first = confirm_hold(hold_id=lead.pk, patient=patient)
    assert len(bookings_of(lead)) == 2
    page = client.get(reverse("cancellation", args=[first.reference])).content.decode().replace("\xa0", "")
    assert 'name="seen-visit" value="6500-0"' in page
    assert 'name="seen-one" value="3250-0"' in page
    assert page.count(f"{service.name}: S$32.50") == 2
    answer = client.post(
        reverse("cancellation", args=[first.reference]), {"scope": "visit", "seen-visit": "6500-0"}
    )
    assert answer.status_code == 302
    assert list(Booking.objects.values_list("fee_cents", flat=True)) == [3250, 3250]


def test_desk_sees_both_amounts(client, deposit, receptionist):
    client.force_login(receptionist)
    url = reverse("desk_cancel", args=[deposit.clinic.slug, deposit.reference])
    page = client.get(url).content.decode().replace("\xa0", "")
    assert "S$32.50 is charged." in page
    assert "Nothing is charged." in page
    fields = {"version": deposit.version, "reason": "patient"}
    assert client.post(url, fields | {"seen-patient": "0-0"}).status_code == 409
    stale = client.post(url, fields, headers={"Accept": "application/json"})
    assert (stale.status_code, stale.json()["again"]) == (409, url)
    assert client.post(url, fields | {"seen-patient": "3250-0"}).status_code == 302


# -- Not attended --------------------------------------------------------------------------------


@pytest.fixture
def missed(deposit, receptionist):
    """Began a moment ago."""
    take(deposit, receptionist, 4550)
    now = database_now()
    Booking.objects.update(starts_at=now, ends_at=now + dt.timedelta(minutes=20))
    with transaction.atomic():
        return arrivals.no_show(booking_id=deposit.pk, by=receptionist)


def day_later(booking):
    Booking.objects.filter(pk=booking.pk).update(
        starts_at=booking.starts_at - dt.timedelta(days=1), ends_at=booking.ends_at - dt.timedelta(days=1)
    )


def settle(booking):
    jobs.settle_noshow(Event.objects.get(topic="appointment.noshow"))


def test_nothing_goes_back_before_the_day_is_over(missed):
    with pytest.raises(NotYet) as wait:
        settle(missed)
    assert 0 < wait.value.seconds <= 25 * 3600
    bills.keep_bill(missed.pk)
    assert money(missed) == ("paid", 6500, 6500)


def test_what_is_paid_above_the_fee_goes_back_the_day_after(missed):
    day_later(missed)
    settle(missed)
    settle(missed)
    run_jobs()
    assert notes(missed) == [("noshow", 1300)]
    assert money(missed) == ("paid", 5200, 5200)
    assert Payment.objects.get().refunded_cents == 1300


def test_undone_the_same_day_the_price_is_owed_again(missed):
    with transaction.atomic():
        Booking.objects.filter(pk=missed.pk).update(status="booked", fee_cents=None)
    settle(missed)
    assert money(missed) == ("paid", 6500, 6500)
    assert notes(missed) == []


# -- Waived --------------------------------------------------------------------------------------


def waive(booking, by, reason="was in hospital"):
    made = waivers.waive_fee(booking_id=booking.pk, reason=reason, by=by)
    run_jobs()
    return made


def test_waived_fee_is_credited_and_goes_back(deposit, receptionist):
    cancel_late(deposit)
    made = waive(deposit, receptionist)
    assert (made.amount_cents, made.note, made.issued_by) == (3250, "was in hospital", receptionist)
    assert notes(deposit) == [("cancelled", 3250), ("waived", 3250)]
    assert money(deposit) == ("refunded", 0, 0)
    assert Payment.objects.get().refunded_cents == 1950
    assert Event.objects.get(topic="fee.waived").data["by"] == receptionist.pk
    deposit.refresh_from_db()
    assert deposit.fee_cents == 0


def test_waived_twice_is_waived_once(deposit, receptionist):
    cancel_late(deposit)
    assert waive(deposit, receptionist) == waive(deposit, receptionist, "again")
    assert Event.objects.filter(topic="fee.waived").count() == 1


def test_waived_before_the_bill_was_credited(deposit, receptionist):
    with transaction.atomic():
        cancel_booking(booking_id=deposit.pk, by=None, reason="patient", patient_asks=True)
    waive(deposit, receptionist)
    assert notes(deposit) == [("cancelled", 3250), ("waived", 3250)]


def test_waived_on_the_day_of_a_visit_not_attended(missed, receptionist):
    waive(missed, receptionist)
    assert notes(missed) == [("noshow", 1300), ("waived", 5200)]
    assert Payment.objects.get().refunded_cents == 1950
    assert money(missed) == ("refund_due", 0, 4550)


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [("", waivers.NoReason), ("  ", waivers.NoReason), ("4242 4242 4242 4242", counter.CardNumber)],
)
def test_waiving_needs_a_reason(deposit, receptionist, reason, refusal):
    cancel_late(deposit)
    with pytest.raises(refusal):
        waive(deposit, receptionist, reason)


def test_without_a_fee_nothing_is_waived(deposit, receptionist):
    with pytest.raises(waivers.NoFee):
        waive(deposit, receptionist)
    with transaction.atomic():
        cancel_booking(booking_id=deposit.pk, by=None, reason="clinic")
    with pytest.raises(waivers.NoFee):
        waive(deposit, receptionist)


def test_desk_waives_with_a_reason(client, deposit, receptionist, clinic):
    cancel_late(deposit)
    client.force_login(receptionist)
    shown = reverse("desk_booking", args=[clinic.slug, deposit.reference])
    assert "Waive the fee of S$32.50" in client.get(shown).content.decode().replace("\xa0", "")
    url = reverse("desk_waiver", args=[clinic.slug, deposit.reference])
    client.post(url, {"reason": ""})
    assert "say why" in client.get(shown).content.decode()
    client.post(url, {"reason": "snow"})
    page = client.get(shown).content.decode().replace("\xa0", "")
    assert "The fee of S$32.50 is waived." in page
    assert "Fee of S$32.50 waived by" in page
    assert "snow" in page


def test_doctor_and_stranger_waive_nothing(client, deposit, clinic, other_patient):
    cancel_late(deposit)
    url = reverse("desk_waiver", args=[clinic.slug, deposit.reference])
    doctor = factories.MembershipFactory(clinic=clinic, role="doctor").user
    for user in (doctor, other_patient.user):
        client.force_login(user)
        assert client.post(url, {"reason": "x"}).status_code == 404
    assert deposit.fee_cents is None
    assert not CreditNote.objects.filter(reason="waived").exists()


@pytest.mark.django_db(transaction=True)
def test_two_waive_at_the_same_moment(client, hold, engine, double, receptionist):
    pay(client, hold, engine.confirmation_token())
    booking = Booking.objects.get()
    cancel_late(booking)
    once = partial(waivers.waive_fee, booking_id=booking.pk, reason="twice", by=receptionist)
    first, second = together(once, once)
    assert first == second
    assert CreditNote.objects.filter(reason="waived").count() == 1
