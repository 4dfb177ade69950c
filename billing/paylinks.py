"""Pay by link: any bill with something due, paid online by whoever has the link from the e-mail or of their booking.

Each attempt is for what is due when it begins (`Payment.bill`); the rest is `payments.py`. Visit and bill stay as they
are whatever becomes of the payment; what the bill does not need when the money comes goes back.
"""

import datetime as dt
import uuid
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing import bills, payments
from billing.gateway import GatewayError, Intent
from billing.locks import change
from billing.models import Bill, Payment
from billing.payments import MAX_ATTEMPTS, TooManyAttempts
from billing.winning import REASONS, BeingPaid, check_is_due
from clinic_booking import rows
from clinic_booking.events import publish
from clinic_booking.models import Event, User
from patients.proxies import letters
from scheduling.booking import database_now
from scheduling.errors import BookingError

SALT = "pay-bill"
SALT_OF_VISITS = "pay-link"  # links that were sent before bills could be paid in parts
VALID = dt.timedelta(days=14)
Status = Payment.Status


class NoEmail(BookingError):
    status = 422
    sentence = _("The patient has no e-mail address, so no link could be sent.")


class Opened(NamedTuple):
    bill: Bill
    expires_at: dt.datetime


def link(bill: Bill, expires_at: dt.datetime) -> str:
    return f"{settings.SITE_URL}{path(bill, expires_at)}"


def path(bill: Bill, expires_at: dt.datetime) -> str:
    said = [bill.pk, int(expires_at.timestamp()), letters.ends(bill.patient_id)]
    return reverse("pay_link", args=[signing.dumps(said, salt=SALT)])


@rows.all_rows()
def opened(token: str) -> Opened | None:
    """What the link is for, also when it has run out; None for what is no link, or was sent to who acted then."""
    try:
        bill_id, expires_at, *ends = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return _opened_of_visit(token)
    return _found(dt.datetime.fromtimestamp(expires_at, dt.UTC), *ends, pk=bill_id)


def _opened_of_visit(token: str) -> Opened | None:
    try:
        booking_id = signing.loads(token, salt=SALT_OF_VISITS, max_age=VALID)
    except signing.BadSignature:
        return None
    return _found(database_now() + VALID, booking=booking_id)


def _found(expires_at: dt.datetime, ends: int = 0, **which: int) -> Opened | None:
    related = "patient", "clinic__legal_entity", "booking__service", "contract"
    bill = Bill.objects.select_related(*related).filter(**which).first()
    is_good = bill and ends == letters.ends(bill.patient_id) and not letters.reach_former(bill.patient)
    return Opened(bill, expires_at) if bill and is_good else None


def send_link(*, bill_id: int, by: User) -> dt.datetime:
    """Publish `paylink.sent`; the e-mail follows. Returns when it runs out. Raises NoEmail, VisitOver, PaidAlready."""
    with transaction.atomic(durable=True):
        bill, _payments = bills.kept(bill_id)
        check_is_due(bill)
        if not bill.patient.email:
            raise NoEmail
        expires_at = (database_now() + VALID).replace(microsecond=0)
        data = {"bill": bill.pk, "booking": bill.booking_id, "expires_at": int(expires_at.timestamp())}
        publish("paylink.sent", f"bill:{bill.pk}", data | {"by": by.pk}, clinic_id=bill.clinic_id)
    return expires_at


class Sent(NamedTuple):
    at: dt.datetime
    expires_at: dt.datetime


def last_sent(bill: Bill) -> Sent | None:
    event = Event.objects.filter(topic="paylink.sent", subject=f"bill:{bill.pk}").order_by("pk").last()
    if event is None:
        return None
    return Sent(event.created_at, dt.datetime.fromtimestamp(event.data["expires_at"], dt.UTC))


@rows.all_rows()
def pay(*, bill_id: int, confirmation_token: str, return_url: str, by: User | None = None) -> Intent | None:
    """One attempt to pay what is due; `by` is the login, if any.

    Raises VisitOver, PaidAlready, BeingPaid, TooManyAttempts.
    """
    if booking_id := Bill.objects.values_list("booking", flat=True).get(pk=bill_id):
        # Kept also where it is then refused: the page that comes next shows what is due.
        bills.keep_bill(booking_id)
    payment = _begin_attempt(bill_id, by)
    if payment is None:
        return None
    return payments.submit(payment, confirmation_token=confirmation_token, return_url=return_url)


def _begin_attempt(bill_id: int, by: User | None) -> Payment | None:
    """None when a payment by link is under way already."""
    with transaction.atomic(durable=True):
        bill, locked = bills.kept(bill_id)
        check_is_due(bill)
        if any(each.hold_id and each.status == Status.CAPTURING for each in locked):
            raise BeingPaid
        # Read after the bill's lock: who began meanwhile is not among the locked ones, and is at it.
        open_id = (
            Payment.objects.filter(bill=bill, status__in=Payment.OPEN).values_list("pk", flat=True).first()
        )
        payment = next((each for each in locked if each.pk == open_id), None)
        if open_id and (payment is None or payment.status in (Status.SUBMITTING, Status.CAPTURING)):
            return None
        tries = sum(each.attempt for each in locked if each.bill_id)
        if tries >= MAX_ATTEMPTS:
            raise TooManyAttempts
        if payment and payment.amount_cents != bill.due_cents:
            # The sweeper gives its intent up; a late success meets the bill as it is then.
            change(payment, status=Status.CANCELING, failure_code="amount_changed")
            payment = None
        payment = payment or _new(bill)
        change(payment, status=Status.SUBMITTING, attempt=payment.attempt + 1, failure_code="")
        payments.note_payer(payment, clinic_id=bill.clinic_id, by=by)
        return payment


def _new(bill: Bill) -> Payment:
    new = uuid.uuid4()
    return Payment.objects.create(
        id=new,
        idempotency_key=f"pi:{new}",
        bill=bill,
        patient_id=bill.patient_id,
        amount_cents=bill.due_cents,
        currency=bill.currency,
    )


def sentence_of(payment: Payment) -> str:
    """Why one was given up."""
    refusal = next((kind for kind, code in REASONS.items() if code == payment.failure_code), GatewayError)
    return str(refusal.sentence)


def latest(bill: Bill) -> Payment | None:
    return bill.link_payments.order_by("created_at", "pk").last()
