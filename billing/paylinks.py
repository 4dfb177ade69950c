"""Pay by link: the bill of a visit that is booked already, paid online by whoever has the link from the e-mail.

The payment is that of the visit's hold, with `is_by_link`; the rest is `payments.py`. The visit stays as it is whatever
becomes of the payment; a charge for a visit that was cancelled, or paid at the counter meanwhile, goes back.
"""

import datetime as dt
import uuid

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing import bills, groups, payments
from billing.gateway import Intent
from billing.locks import change, lock
from billing.models import Bill, Payment
from billing.payments import MAX_ATTEMPTS, TooManyAttempts, check_is_due
from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling import stops
from scheduling.booking import database_now
from scheduling.errors import BookingError
from scheduling.models import Booking

SALT = "pay-link"
VALID = dt.timedelta(days=14)
Status = Payment.Status


class NoEmail(BookingError):
    status = 422
    sentence = _("The patient has no e-mail address, so no link could be sent.")


class NotByLink(BookingError):
    status = 422
    sentence = _("This visit cannot be paid by a link. Please take the payment at the counter.")


def link(booking: Booking) -> str:
    token = signing.dumps(booking.pk, salt=SALT)
    return f"{settings.SITE_URL}{reverse('pay_link', args=[token])}"


def opened(token: str) -> Booking | None:
    """The booking that the link is for; None for what is no link, or one that has run out."""
    try:
        pk = signing.loads(token, salt=SALT, max_age=VALID)
    except signing.BadSignature:
        return None
    related = ("patient", "clinic__legal_entity", "service", "practitioner", "station", "hold", "bill")
    return Booking.objects.select_related(*related).filter(pk=pk).first()


def is_possible(booking: Booking) -> bool:
    """Alone on its hold: what was held together with others is paid together."""
    return bool(booking.hold and len(stops.held_together(booking.hold)) == 1 and not booking.hold.lead_id)


def send_link(*, booking_id: int, by: User) -> None:
    """Publish `paylink.sent`; the e-mail follows. Raises NoEmail, NotByLink, VisitOver, PaidAlready."""
    bills.keep_bill(booking_id)
    with transaction.atomic(durable=True):
        booking = Booking.objects.select_related("patient", "hold", "clinic").get(pk=booking_id)
        if not booking.patient.email:
            raise NoEmail
        if not is_possible(booking) or not booking.price_cents:
            raise NotByLink
        check_is_due(booking)
        data = {"booking": booking.pk, "by": by.pk}
        publish("paylink.sent", f"booking:{booking.pk}", data, clinic_id=booking.clinic_id)


def pay(*, booking: Booking, confirmation_token: str, return_url: str) -> Intent | None:
    """One attempt. Raises VisitOver, PaidAlready, NotByLink, TooManyAttempts."""
    if not is_possible(booking):
        raise NotByLink
    bills.keep_bill(booking.pk)
    payment = _begin_attempt(booking)
    if payment is None:
        return None
    return payments.submit(payment, confirmation_token=confirmation_token, return_url=return_url)


def _begin_attempt(booking: Booking) -> Payment | None:
    """None when the payment is under way already."""
    with transaction.atomic(durable=True):
        new = uuid.uuid4()
        made = Payment(
            id=new,
            idempotency_key=f"pi:{new}",
            hold=booking.hold,
            patient=booking.patient,
            amount_cents=booking.price_cents,
            currency=settings.CURRENCY,
            is_by_link=True,
        )
        Payment.objects.bulk_create([made], ignore_conflicts=True)
        payment = lock(Payment.objects.values_list("pk", flat=True).get(hold=booking.hold))
        check_is_due(booking)
        if not payment.is_by_link:
            raise NotByLink
        if payment.status not in (Status.CREATED, Status.FAILED, Status.REQUIRES_ACTION, Status.CANCELED):
            return None
        if payment.attempt >= MAX_ATTEMPTS:
            raise TooManyAttempts
        fresh = {}
        if payment.status == Status.CANCELED:
            # Its intent was given up for good: the next attempt makes another one.
            fresh = {"provider_ref": None, "idempotency_key": f"pi:{new}", "created_at": database_now()}
        change(payment, status=Status.SUBMITTING, attempt=payment.attempt + 1, failure_code="", **fresh)
        return payment


def payment_of(booking: Booking) -> Payment | None:
    found = groups.payment_of(booking.pk)
    return Payment.objects.get(pk=found) if found else None


def is_due(booking: Booking) -> bool:
    """The bill follows its payment a moment later, so both are asked."""
    payment = payment_of(booking)
    if payment and payment.booking_id and payment.captured_cents:
        return False
    bill = Bill.objects.filter(booking=booking).first()
    return bool(bill and bill.status in Bill.UNPAID and not payments.is_over(booking))
