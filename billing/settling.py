"""A person has seen money that is for nothing: it goes to the bills that it was paid for, and the rest back."""

import uuid

from django.db import transaction

from billing import bills, groups, payments
from billing.allocations import may_refund, open_refund
from billing.locks import lock
from billing.models import Payment


def settle(payment_id: uuid.UUID) -> Payment:
    """Safe to repeat; what is disputed stays as it is. Raises PaymentProviderDown."""
    payment = Payment.objects.get(pk=payment_id)
    for booking_id in groups.bookings_of(payment).values_list("pk", flat=True):
        bills.keep_bill(booking_id)
    with transaction.atomic(durable=True):
        payment = lock(payment_id)
        if may_refund(payment) and payment.free_cents > 0:
            open_refund(payment, reason="unused", cents=payment.free_cents)
    payments.finalize(payment_id)
    payment.refresh_from_db()
    return payment
