"""Online payments of the demo, through the Stripe double: one given back by the desk, one disputed."""

from collections.abc import Sequence

from billing import desk_refunds, disputes, gateway, paylinks, payments
from billing.models import Bill, DeskRefund, Payment
from billing.stripe_double.client import DoubleClient
from billing.stripe_double.engine import Engine
from clinic_booking.models import User
from scheduling.demo.staff import username
from scheduling.models import Booking, Clinic


def make_online(clinics: Sequence[Clinic], engine: Engine) -> int:
    """Once: a demo that was paid online keeps it. Returns how many payments there are."""
    if Payment.objects.filter(bill__clinic__in=clinics).exists():
        return 0
    coming = Bill.objects.filter(
        clinic=clinics[0], status=Bill.Status.ISSUED, booking__status=Booking.Status.BOOKED, total_cents__gt=0
    )
    with gateway.using(DoubleClient(engine)):
        paid = [_pay(bill, engine) for bill in coming.order_by("-booking__starts_at", "pk")[:3]]
        for payment in paid[:1]:
            _give_back(payment)
        for payment in paid[1:2]:
            disputes.look(payment.pk, engine.dispute(payment.provider_ref or "")["id"])
    return len(paid)


def _pay(bill: Bill, engine: Engine) -> Payment:
    paylinks.pay(
        bill_id=bill.pk, confirmation_token=engine.confirmation_token(), return_url="http://localhost/"
    )
    return Payment.objects.get(bill=bill)


def _give_back(payment: Payment) -> None:
    assert payment.bill_id
    desk_refunds.refund_bill(
        bill_id=payment.bill_id,
        amount_cents=2000,
        reason=DeskRefund.Reason.GOODWILL,
        note="Had to come a second time",
        by=User.objects.get(username=username("receptionist")),
        idempotency_key="",
    )
    payments.finalize(payment.pk)
