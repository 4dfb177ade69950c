"""Finance, who sees bills and no visit: what they can do on the page of a bill, and that it leads back there."""

import pytest
from django.core import mail
from django.db import transaction
from django.urls import reverse

from billing import bills
from billing.models import Bill, CounterPayment, CreditNote, DeskRefund
from clinic_booking.models import Event
from scheduling.booking import cancel_booking
from scheduling.models import Booking
from tests import factories
from tests.billing.steps import run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def finance(client, clinic):
    user = factories.MembershipFactory(clinic=clinic, role="finance").user
    client.force_login(user)
    return user


@pytest.fixture
def bill(slots, service, patient):
    return bills.keep_bill(factories.book(slots[:1], service=service, patient=patient, note="Back pain").pk)


def page(client, bill):
    return client.get(reverse("bill", args=[bill.pk])).content.decode()


def act(client, clinic, name, pk, **sent):
    answer = client.post(reverse(name, args=[clinic.slug, pk]), sent)
    assert answer.status_code == 303, answer.content.decode()[:500]
    return answer["Location"]


def test_takes_sends_and_gives_back(client, clinic, bill, finance):
    shown, home = page(client, bill), reverse("bill", args=[bill.pk])
    assert "Take payment" in shown
    assert "Back pain" not in shown
    assert act(client, clinic, "desk_pay_link", bill.pk) == home
    run_jobs()
    assert mail.outbox[-1].to == [bill.patient.email]
    assert act(client, clinic, "desk_counter", bill.pk, amount="65.00", method="cash", reference="") == home
    assert CounterPayment.objects.get().taken_by == finance
    assert "Refund" in page(client, bill)
    sent = {"amount": "65.00", "reason": DeskRefund.Reason.values[0], "note": ""}
    assert client.get(reverse("desk_refund", args=[clinic.slug, bill.pk])).status_code == 200
    assert act(client, clinic, "desk_refund", bill.pk, **sent) == home
    assert DeskRefund.objects.get().given_by == finance
    by = Event.objects.filter(topic__in=["counter.paid", "bill.refunded", "paylink.sent"])
    assert {event.data["by"] for event in by} == {finance.pk}


def test_waives_a_fee(client, clinic, bill, finance):
    Booking.objects.update(free_cancel_hours=24 * 7, late_cancel_fee_cents=2000)
    with transaction.atomic():
        cancel_booking(booking_id=bill.booking_id, by=None, reason="patient", patient_asks=True)
    run_jobs()
    assert "Waive the fee" in page(client, bill)
    home = act(client, clinic, "desk_waiver", bill.booking.reference, reason="Was in hospital")
    assert home == reverse("bill", args=[bill.pk])
    assert CreditNote.objects.get(reason="waived").issued_by == finance
    assert "waived by" in page(client, bill)


def test_sees_no_bill_of_another_clinic(client, bill, finance):
    elsewhere = factories.MembershipFactory(role="finance").user
    client.force_login(elsewhere)
    assert client.get(reverse("bill", args=[bill.pk])).status_code == 404
    answer = client.post(
        reverse("desk_counter", args=["tanjong-pagar", bill.pk]), {"amount": "1", "method": "cash"}
    )
    assert answer.status_code == 404
    assert Bill.objects.get().paid_cents == 0
