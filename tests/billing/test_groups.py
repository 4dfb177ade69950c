"""Several appointments that are held together are paid as one: booked all or none, given back in part or in full."""

import datetime as dt

import pytest
from django.db import transaction
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from billing import payments, reconcile
from billing.bills import keep_bill
from billing.gateway import PaymentProviderDown
from billing.models import Bill, Payment
from scheduling import booking as bookings
from scheduling import consistency
from scheduling.models import Booking, Hold
from tests import clock, factories
from tests.billing import steps
from tests.billing.steps import cancel, payment_of, post, rival_books, run_jobs

pytestmark = pytest.mark.django_db
TWO_DAYS = dt.timedelta(days=2)


@pytest.fixture
def xray(db):
    return factories.ServiceFactory(
        slug="x-ray",
        name="X-ray",
        station_kind="x-ray",
        price_cents=8500,
        practitioners=[factories.PractitionerFactory(name="Koh Zhi Wei")],
    )


@pytest.fixture
def xray_slots(xray, clinic):
    room = factories.StationFactory(clinic=clinic, name="X-ray", kind="x-ray")
    return factories.make_slots(xray.practitioners.get(), room, factories.tomorrow_at(9))


@pytest.fixture
def parts(slots, service, xray_slots, xray):
    return [f"{slots[0].pk}:{service.pk}", f"{xray_slots[2].pk}:{xray.pk}"]


@pytest.fixture
def lead(client, parts):
    """This browser holds a consultation for S$ 65 and an x-ray for S$ 85."""
    client.post(reverse("plan_holds"), {"part": parts})
    return Hold.objects.get(lead=None)


def pay(client, lead, engine):
    return steps.pay(client, lead, engine.confirmation_token())


@pytest.fixture
def paid(client, lead, engine, double):
    """Paid for, booked and billed."""
    assert pay(client, lead, engine)["status"] == "paid"
    run_jobs()
    return list(bookings.bookings_of(lead))


def refunds(engine):
    return [(refund["amount"], refund["status"]) for refund in engine.store.refunds.values()]


def bills():
    return list(Bill.objects.order_by("booking__starts_at").values_list("total_cents", "status"))


def all_agrees():
    return [broken.name for broken in consistency.broken()] == []


def test_checkout_shows_all_parts_and_the_sum(client, lead):
    page = client.get(f"/checkout/{lead.pk}/").content.decode()
    assert "General consultation" in page
    assert "X-ray" in page
    assert "S$\u00a0150.00" in page
    assert 'data-amount="15000"' in page


def test_checkout_is_the_leads_only(client, lead):
    follower = Hold.objects.get(lead=lead)
    assert client.get(f"/checkout/{follower.pk}/").status_code == 404


def test_alone_a_checkout_asks_no_more_than_before(client, slots, service, django_assert_num_queries):
    hold = steps.take(client, slots[0], service)
    client.get(f"/checkout/{hold.pk}/")
    with django_assert_num_queries(3):
        client.get(f"/checkout/{hold.pk}/")


def test_one_payment_books_all(client, lead, engine, double):
    answer = pay(client, lead, engine)
    made = Booking.objects.order_by("starts_at")
    payment = Payment.objects.get()
    assert [b.status for b in made] == ["booked", "booked"]
    assert (payment.hold, payment.booking, payment.captured_cents) == (lead, made[0], 15000)
    assert answer["redirect"] == reverse("booking", args=[made[0].reference])
    assert all(client.get(reverse("booking", args=[b.reference])).status_code == 200 for b in made)


def test_each_booking_has_its_paid_bill(paid):
    assert bills() == [(6500, "paid"), (8500, "paid")]
    assert all_agrees()


def test_lost_part_books_nothing_and_charges_nothing(client, lead, engine, double, xray_slots, xray):
    clock.run_out(lead)
    clock.run_out(Hold.objects.get(lead=lead))
    rival_books(xray_slots[2], xray)
    answer = pay(client, lead, engine)
    assert answer["status"] in ("expired", "taken")
    assert Booking.objects.count() == 1
    assert all(not intent["amount_received"] for intent in engine.store.intents.values())


def test_part_lost_while_the_bank_asks_charges_nothing(client, lead, engine, double, xray_slots, xray):
    steps.pay(client, lead, engine.confirmation_token("card", "three_d_secure"))
    clock.run_out(lead)
    clock.run_out(Hold.objects.get(lead=lead))
    rival_books(xray_slots[2], xray)
    engine.authenticate(payment_of(lead).provider_ref)
    answer = steps.status(client, lead)
    assert answer["status"] == "taken"
    assert Booking.objects.count() == 1
    assert payment_of(lead).status == "canceled"


def test_one_cancelled_alone_gets_its_price_back(paid, engine):
    cancel(paid[1])
    run_jobs()
    payment = Payment.objects.get()
    assert (payment.status, payment.refunded_cents) == ("paid", 8500)
    assert refunds(engine) == [(8500, "succeeded")]
    assert bills() == [(6500, "paid"), (8500, "refunded")]
    assert all_agrees()


def test_lead_may_be_the_one_that_is_cancelled(paid, engine):
    cancel(paid[0])
    run_jobs()
    assert refunds(engine) == [(6500, "succeeded")]
    assert bills() == [(6500, "refunded"), (8500, "paid")]
    assert reconcile.reconcile(since=TWO_DAYS, fix=True) == []
    assert all_agrees()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_after_the_other_gives_all_back(paid, engine, order):
    for number in order:
        cancel(paid[number])
        run_jobs()
    assert sum(amount for amount, _ in refunds(engine)) == 15000
    assert Payment.objects.get().status == "refunded"
    assert {status for _, status in bills()} == {"refunded"}


def test_whole_visit_cancelled_gives_all_back_at_once(paid, engine):
    with_all = [each.pk for each in paid]
    with transaction.atomic():
        bookings.cancel_bookings(booking_ids=with_all, by=None, reason="clinic")
    run_jobs()
    assert sorted(refunds(engine)) == [(6500, "succeeded"), (8500, "succeeded")]
    assert (Payment.objects.get().status, {status for _, status in bills()}) == ("refunded", {"refunded"})


def test_second_is_cancelled_while_the_first_is_being_refunded(paid, engine, double):
    """The provider does not answer the first refund; then both are asked for."""
    double.fail_next("refund", "lose_request", times=3)
    cancel(paid[1])
    cancel(paid[0])
    with pytest.raises(PaymentProviderDown):  # the job is tried again
        run_jobs()
    run_jobs()
    assert sum(amount for amount, _ in refunds(engine)) == 15000
    assert Payment.objects.get().status == "refunded"


def test_repeated_job_refunds_once(paid, engine):
    cancel(paid[1])
    run_jobs()
    for _ in range(2):
        keep_bill(paid[1].pk)
        payments.finalize(payment_of(paid[0].hold).pk)
    assert refunds(engine) == [(8500, "succeeded")]


def test_forgotten_refund_is_found_at_night(paid, engine):
    cancel(paid[0])
    ProcrastinateJob.objects.filter(status="todo").update(status="succeeded")
    findings = reconcile.reconcile(since=TWO_DAYS, fix=True)
    assert [(each.kind, each.is_fixed) for each in findings] == [("paid_not_booked", True)]
    assert refunds(engine) == [(6500, "succeeded")]


def test_cancelled_before_the_charge_is_recorded(client, lead, engine, double):
    """The clinic cancels the x-ray between the booking and the capture: its price goes back at once."""

    def meanwhile(call):
        if call.verb == "capture":
            cancel(Booking.objects.get(service__slug="x-ray", status="booked"))

    double.before = meanwhile
    pay(client, lead, engine)
    run_jobs()
    assert refunds(engine) == [(8500, "succeeded")]
    assert Payment.objects.get().status == "paid"


def test_refused_capture_takes_all_back(client, lead, engine, double):
    double.fail_next("capture", "decline")
    pay(client, lead, engine)
    run_jobs()
    statuses = set(Booking.objects.values_list("status", flat=True))
    assert statuses in ({"cancelled"}, {"booked"})
    assert (Payment.objects.get().status == "paid") == (statuses == {"booked"})


def test_paid_at_the_clinic_is_confirmed_at_once(client, lead):
    Hold.objects.update(due_cents=0)
    page = client.get(f"/checkout/{lead.pk}/").content.decode()
    assert "To pay at the clinic" in page
    assert post(client, lead).status_code == 303
    run_jobs()
    assert bills() == [(6500, "issued"), (8500, "issued")]


def test_renewal_and_release_are_of_all(client, lead):
    client.post(reverse("renewal", args=[lead.pk]))
    ends = set(Hold.objects.values_list("expires_at", flat=True))
    assert len(ends) == 1
    response = client.post(reverse("release", args=[lead.pk]))
    assert response["Location"].startswith(reverse("plan"))
    assert "service=consultation&service=x-ray" in response["Location"]
    assert set(Hold.objects.values_list("end_reason", flat=True)) == {"released"}


def test_ended_hold_leads_back_to_the_wizard(client, lead):
    for hold in Hold.objects.all():
        clock.run_out(hold)
    page = client.get(f"/checkout/{lead.pk}/")
    assert page.status_code == 410
    assert "/plan/?service=consultation&amp;service=x-ray" in page.content.decode()
