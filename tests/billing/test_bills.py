"""One bill for each booking, numbered without gaps, true to what became of the visit."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction

from billing import bills, gst, payments
from billing.models import Bill, BillLine, BillSeries, Payment, Refund
from clinic_booking.models import Event
from scheduling.models import Booking, LegalEntity
from tests import factories
from tests.billing.steps import cancel, pay, post, run_jobs, take


@pytest.fixture
def booking(slots, service):
    return factories.book(slots[:1], service=service)


def register_for_gst(clinic):
    LegalEntity.objects.filter(pk=clinic.legal_entity_id).update(gst_number="M9-2099000-X")


@pytest.mark.parametrize(
    ("total", "tax"),
    [(0, 0), (1, 0), (6, 0), (7, 1), (109, 9), (6500, 537), (10900, 900), (4_294_967, 354630)],
)
def test_gst_within_the_price(total, tax):
    assert gst.within(total, 900) == tax


def test_bill_of_a_registered_entity(clinic, booking):
    register_for_gst(clinic)
    bill = bills.keep_bill(booking.pk)
    assert (bill.total_cents, bill.gst_cents, bill.gst_basis_points) == (6500, 537, 900)
    assert (bill.entity_gst_number, bill.entity_address) == ("M9-2099000-X", clinic.address)
    assert [(line.description, line.amount_cents) for line in bill.lines.all()] == [
        ("General consultation", 6500)
    ]


def test_no_gst_without_registration(booking):
    bill = bills.keep_bill(booking.pk)
    assert (bill.gst_cents, bill.gst_basis_points, bill.entity_gst_number) == (0, 0, "")


def test_bill_keeps_its_issuer(clinic, booking):
    first = bills.keep_bill(booking.pk)
    LegalEntity.objects.update(name="Renamed Pte Ltd")
    again = bills.keep_bill(booking.pk)
    assert again.pk == first.pk
    assert again.entity_name == first.entity_name != "Renamed Pte Ltd"


def test_numbers_follow_each_other(slots):
    made = [bills.keep_bill(factories.book([slot]).pk) for slot in slots]
    assert [bill.number for bill in made] == [1, 2, 3, 4, 5, 6]
    assert made[0].serial.endswith("-000001")


def test_rolled_back_bill_leaves_no_gap(slots, monkeypatch):
    first, second = factories.book(slots[:1]), factories.book(slots[1:2])
    monkeypatch.setattr(BillLine.objects, "bulk_create", fail)
    with pytest.raises(RuntimeError):
        bills.keep_bill(first.pk)
    monkeypatch.undo()
    assert bills.keep_bill(second.pk).number == 1


def fail(*_rows):
    raise RuntimeError


@pytest.mark.django_db(transaction=True)
def test_many_workers_one_bill_each(slots):
    made = [factories.book([slot]) for slot in slots]

    def work(pk):
        try:
            return bills.keep_bill(pk).number
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(work, [booking.pk for booking in made] * 2))
    assert numbers[:6] == numbers[6:]
    assert sorted(numbers[:6]) == [1, 2, 3, 4, 5, 6]
    assert BillSeries.objects.get().last_number == 6


def test_second_bill_for_a_booking_is_impossible(booking):
    bill = bills.keep_bill(booking.pk)
    with pytest.raises(IntegrityError, match="booking"), transaction.atomic():
        Bill.objects.create(
            **{f.name: getattr(bill, f.name) for f in Bill._meta.fields if f.name != "id"} | {"number": 9}
        )


def test_paid_visit_has_a_paid_bill(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token())
    run_jobs()
    assert Bill.objects.get().status == "paid"
    assert Event.objects.filter(topic="bill.issued").count() == 1


def test_order_of_the_events_does_not_matter(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token())
    run_jobs(backwards=True)
    run_jobs()
    assert (Bill.objects.get().status, Bill.objects.get().number) == ("paid", 1)


def test_visit_to_be_paid_at_the_clinic(client, clinic, slots, service):
    clinic.payment_policy = "pay_at_clinic"
    clinic.save()
    post(client, take(client, slots[0], service))
    run_jobs()
    assert Bill.objects.get().status == "issued"
    cancel(Booking.objects.get())
    run_jobs()
    bill = Bill.objects.get()
    note = bill.credit_notes.get()
    assert (bill.status, note.number, note.amount_cents) == ("void", 1, bill.total_cents)


def test_nothing_to_pay_is_paid(client, slots, service):
    service.price_cents = 0
    service.save()
    post(client, take(client, slots[0], service))
    run_jobs()
    assert Bill.objects.get().status == "paid"
    assert not Payment.objects.exists()


def test_refunded_visit_has_a_refunded_bill(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token())
    run_jobs()
    cancel(Booking.objects.get())
    run_jobs()
    assert Bill.objects.get().status == "refunded"
    call_command("check_consistency")


# -- What the database guarantees ----------------------------------------------------------------


@pytest.fixture
def payment(client, double, engine, hold):
    pay(client, hold, engine.confirmation_token())
    return Payment.objects.get()


def refund(payment, seq, amount, **values):
    return Refund.objects.create(payment=payment, seq=seq, amount_cents=amount, reason="test", **values)


def test_refunds_never_exceed_what_was_paid(payment):
    refund(payment, 1, 6000)
    with pytest.raises(IntegrityError, match="refunded_at_most_charged"), transaction.atomic():
        refund(payment, 2, 501)
    refund(payment, 2, 500)
    payment.refresh_from_db()
    assert payment.refunded_cents == 6500


def test_failed_refund_makes_room(payment):
    first = refund(payment, 1, 6500)
    first.status = "failed"
    first.save()
    refund(payment, 2, 6500)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"provider_ref": "cus_123"}, "payment_reference_of_an_intent"),
        ({"provider_ref": "pi_1; drop"}, "payment_reference_of_an_intent"),
        ({"captured_cents": 6501}, "payment_charged_at_most_amount"),
        ({"captured_cents": 6499}, "payment_paid_in_full"),
        ({"booking": None}, "payment_charged_for_something"),
        ({"status": "refunded"}, "payment_refunded_in_full"),
        ({"status": "canceled"}, "payment_unpaid_is_not_charged"),
        ({"amount_cents": 0, "captured_cents": 0}, "payment_is_for_something"),
    ],
)
def test_payment_that_cannot_be(payment, values, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(**values)


def test_second_payment_for_a_hold(payment):
    with pytest.raises(IntegrityError, match="hold_id"), transaction.atomic():
        Payment.objects.create(
            hold=payment.hold,
            patient=payment.patient,
            amount_cents=1,
            currency="sgd",
            idempotency_key="pi:other",
        )


def test_nothing_of_a_card_is_kept():
    columns = {field.name for model in (Payment, Refund) for field in model._meta.fields}
    assert columns == {
        *("id", "idempotency_key", "hold", "bill", "booking", "patient", "status", "attempt"),
        *(
            "amount_cents",
            "captured_cents",
            "refunded_cents",
            "allocated_cents",
            "currency",
            "provider_ref",
            "failure_code",
        ),
        *(
            "problem",
            "is_disputed",
            "created_at",
            "updated_at",
            "checked_at",
            "payment",
            "seq",
            "reason",
        ),
    }


def test_consistency_checks_see_what_is_wrong(payment, capsys):
    run_jobs()
    call_command("check_consistency")
    BillLine.objects.update(amount_cents=1)
    Payment.objects.update(created_at="2026-01-01T00:00:00Z")
    with pytest.raises(SystemExit):
        call_command("check_consistency")
    assert "a bill is the sum of its lines" in capsys.readouterr().out


def test_finalize_after_the_end_asks_nobody(payment, double):
    before = len(double.calls)
    payments.finalize(payment.pk)
    assert len(double.calls) == before
