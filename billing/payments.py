"""Every lock and every verb on payments. Payment is locked last: Slot → Hold → Booking → Payment (docs/locking.md).

Each step is a short transaction, a call to the provider, a short transaction. `finalize` is the one decision: it asks
the provider how the intent stands and brings our side there. Whoever notices something calls it: the pay view, the
return page, the webhook's job, the sweeper, the reconciler. Calling it again changes nothing.
"""

import datetime as dt
import logging
import uuid

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing import groups, locks, refunds
from billing.gateway import (
    CardDeclined,
    GatewayError,
    Intent,
    InvalidRequest,
    PaymentProviderDown,
    UnexpectedState,
)
from billing.locks import Overtaken, change, flag, is_ours, key, lock, outside, tell
from billing.models import Bill, Payment
from billing.winning import is_over, record_charge, win
from clinic_booking import rows
from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Patient
from patients.proxies import acts
from scheduling import booking as bookings
from scheduling.errors import BookingError, ChangedMeanwhile, HoldExpired, WrongState
from scheduling.models import Booking, Hold

logger = logging.getLogger(__name__)
Status = Payment.Status

MIN_SECONDS_LEFT = 5
# A process that submits is given this long before others take its payment over.
SUBMIT_SECONDS = 20
MAX_STEPS = 6
CANCELLABLE = (Booking.Status.BOOKED, Booking.Status.ARRIVED)
# Enough for every card in a purse, too few to try out stolen ones.
MAX_ATTEMPTS = 8
# How long a step that the patient's bank asks for may take, where no hold sets an end to it.
LINK_MINUTES = 15


# -- Paying --------------------------------------------------------------------------------------


class TooManyAttempts(BookingError):
    status = 429
    sentence = _("The payment was refused too often. Please call the clinic to book.")


@rows.all_rows()
def pay(
    *, hold: Hold, patient: Patient, confirmation_token: str, return_url: str, by: User | None = None
) -> Intent | None:
    """One attempt to pay for a live hold. Returns the intent as last seen, for the browser's next step.

    `by` is the login. A second caller changes nothing while the first is submitting.

    Raises HoldExpired, TooManyAttempts.
    """
    payment = _begin_attempt(hold, patient, by)
    if payment is None:
        return None
    return submit(payment, confirmation_token=confirmation_token, return_url=return_url)


def submit(payment: Payment, *, confirmation_token: str, return_url: str) -> Intent | None:
    """The attempt that was begun, at the provider. Returns the intent as last seen."""
    intent = None
    try:
        created = _intent_of_attempt(payment)
        intent = outside().confirm_intent(
            created.ref,
            confirmation_token=confirmation_token,
            return_url=return_url,
            key=key("confirm", payment, payment.attempt),
        )
    except (PaymentProviderDown, Overtaken):
        # What is unknown is not refused: the sweeper finds out.
        return None
    except CardDeclined as refusal:
        intent = refusal.intent
    except GatewayError as refusal:
        logger.warning("the provider refused an attempt: %s", refusal.code)
    return finalize(payment.pk, intent=intent, attempt=payment.attempt)


def note_payer(payment: Payment, *, clinic_id: int, by: User | None) -> None:
    """Who pays for whom, where it is somebody who acts for the patient. Joins the transaction of the attempt."""
    subject = f"payment:{payment.pk}"
    if acts.note(by=by, patient=payment.patient, subject=subject, what="payment", clinic_id=clinic_id):
        data = {"payment": str(payment.pk), "bill": payment.bill_id, "patient": payment.patient_id}
        publish("payment.acted_for", subject, data | {"by": by and by.pk}, clinic_id=clinic_id)


def _begin_attempt(hold: Hold, patient: Patient, by: User | None) -> Payment | None:
    """None when the payment is under way already, or decided."""
    with transaction.atomic(durable=True):
        new = uuid.uuid4()
        # Two tabs may come at once: the first makes the payment of the hold, both lock it.
        payments = [
            Payment(
                id=new,
                idempotency_key=f"pi:{new}",
                hold=hold,
                patient=patient,
                amount_cents=groups.total_cents(hold),
                currency=settings.CURRENCY,
            )
        ]
        Payment.objects.bulk_create(payments, ignore_conflicts=True)
        payment = lock(Payment.objects.values_list("pk", flat=True).get(hold=hold))
        if payment.status not in (Status.CREATED, Status.FAILED, Status.REQUIRES_ACTION):
            return None
        # Read after the lock. Should the hold end from now on, winning the slot notices it.
        hold.refresh_from_db(fields=["ended_at", "end_reason", "expires_at"])
        if not hold.is_live(bookings.database_now() + dt.timedelta(seconds=MIN_SECONDS_LEFT)):
            raise HoldExpired
        if payment.attempt >= MAX_ATTEMPTS:
            raise TooManyAttempts
        attempt = payment.attempt + 1
        change(payment, status=Status.SUBMITTING, attempt=attempt, patient=patient, failure_code="")
        note_payer(payment, clinic_id=hold.clinic_id, by=by)
        return payment


def _intent_of_attempt(payment: Payment) -> Intent:
    """The payment's intent; its reference is committed before anything is confirmed. Raises Overtaken."""
    ref = payment.provider_ref
    intent = outside().retrieve_intent(ref) if ref else _create(payment)
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if (now.status, now.attempt) != (Status.SUBMITTING, payment.attempt):
            raise Overtaken
        if now.provider_ref is None:
            change(now, provider_ref=intent.ref)
    return intent


def _create(payment: Payment) -> Intent:
    """The one intent of this payment: made now, or by an earlier call whose answer was lost."""
    if bookings.database_now() - payment.created_at > dt.timedelta(hours=locks.KEY_HOURS):
        since = payment.created_at - dt.timedelta(minutes=5)
        if found := outside().find_intent(payment.pk, created_gte=since):
            return found
    return outside().create_intent(
        payment_id=payment.pk,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        key=payment.idempotency_key,
    )


# -- The one decision ----------------------------------------------------------------------------


@rows.all_rows()
def finalize(payment_id: uuid.UUID, *, intent: Intent | None = None, attempt: int = 0) -> Intent | None:
    """Bring our side to where the provider is; returns the intent as last seen. Safe to repeat.

    `intent` is an answer just received, otherwise the provider is asked. `attempt` is the one the caller has ended.
    Raises PaymentProviderDown: the payment stays where it is, and is taken up again.
    """
    seen = None
    for _number in range(MAX_STEPS):
        payment = Payment.objects.select_related("hold", "patient").get(pk=payment_id)
        if payment.is_settled or payment.status == Status.REFUND_FAILED:
            break
        try:
            if payment.status == Status.REFUNDING:
                refunds.submit(payment)
                break
            seen = intent or _ask(payment, attempt)
            if seen is None or not is_ours(payment, seen):
                break
            intent = _step(payment, seen, attempt)
        except (UnexpectedState, Overtaken):
            intent = None
            continue
        except (InvalidRequest, CardDeclined) as refusal:
            flag(payment, refusal.code)
            break
        if intent is None:
            break
    Payment.objects.filter(pk=payment_id).update(checked_at=Now())
    return seen


def _ask(payment: Payment, attempt: int) -> Intent | None:
    """How the intent stands; None where there is none, or where another process is about to make it."""
    if payment.provider_ref:
        return outside().retrieve_intent(payment.provider_ref)
    if payment.status not in Payment.UNDER_WAY or _is_in_hand(payment, attempt):
        return None
    try:
        intent = _create(payment)
    except InvalidRequest as refusal:
        _nothing_was_made(payment, refusal.code)
        return None
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if now.provider_ref is None:
            change(now, provider_ref=intent.ref)
    return intent


def _is_in_hand(payment: Payment, attempt: int) -> bool:
    """Another process is between creating the intent and hearing of its confirmation."""
    age = bookings.database_now() - payment.updated_at
    return (
        payment.status == Status.SUBMITTING
        and payment.attempt != attempt
        and age < dt.timedelta(seconds=SUBMIT_SECONDS)
    )


def _step(payment: Payment, intent: Intent, attempt: int) -> Intent | None:
    """One step towards the provider's state. Returns the intent to go on with, None when nothing is left to do now."""
    if intent.status == "succeeded":
        if payment.status != Status.CAPTURING:
            return win(payment, intent)
        _record_capture(payment, intent)
        return intent
    if intent.status == "canceled":
        return _record_end(payment, intent)
    if intent.status == "processing":
        return None
    if payment.status == Status.CANCELING:
        return _release(payment, intent)
    if intent.status == "requires_capture":
        return _capture(payment, intent) if payment.status == Status.CAPTURING else win(payment, intent)
    if not _is_in_hand(payment, attempt):
        _record_wait(payment, intent)
    return None


def _record_wait(payment: Payment, intent: Intent) -> None:
    """The intent waits for the patient: for their bank, or for another card."""
    waits_for_bank = intent.status == "requires_action"
    status = Status.REQUIRES_ACTION if waits_for_bank else Status.FAILED
    code = "" if waits_for_bank else intent.decline_code or "not_finished"
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if now.attempt != payment.attempt or now.status not in (Status.SUBMITTING, Status.REQUIRES_ACTION):
            return
        if now.status != status:
            change(now, status=status, failure_code=code[:60])
            if intent.decline_code:
                tell("payment.failed", now, reason="declined")


# -- Charging -----------------------------------------------------------------------------------


def _capture(payment: Payment, intent: Intent) -> Intent:
    if _is_needless(payment):
        return _undo(payment, intent, "booking_cancelled")
    try:
        return outside().capture(intent.ref, key=key("capture", payment))
    except (InvalidRequest, CardDeclined) as refusal:
        logger.warning("capture refused: %s", refusal.code)
        intent = outside().retrieve_intent(intent.ref)
        # Refused for good. Anything else that it may have become is the next step's matter.
        return _undo(payment, intent, "capture_refused") if intent.status == "requires_capture" else intent


def _is_needless(payment: Payment) -> bool:
    """What it was won for is over, so there is nothing to charge."""
    if payment.bill_id:
        return Bill.objects.get(pk=payment.bill_id).due_cents < payment.amount_cents
    return is_over(Booking.objects.get(payment=payment)) and groups.is_over(payment)


def _undo(payment: Payment, intent: Intent, reason: str) -> Intent:
    """No money will come: take all that was booked for it back and give the payment up. A bill stays as it is."""
    with transaction.atomic(durable=True):
        open_ones = groups.bookings_of(payment).filter(status__in=CANCELLABLE)
        if ids := [] if payment.bill_id else list(open_ones.values_list("pk", flat=True)):
            try:
                bookings.cancel_bookings(booking_ids=ids, by=None, reason="payment_failed")
            except (WrongState, ChangedMeanwhile) as changed:
                raise Overtaken from changed
        elif not payment.bill_id:
            # Cancelled meanwhile, or the visit has taken place: then the bill stays open.
            logger.warning("booking of a failed payment is over", extra={"payment": str(payment.pk)})
        now = lock(payment.pk)
        if now.status != Status.CAPTURING:
            raise Overtaken
        change(now, status=Status.CANCELING, failure_code=reason)
    return intent


def _record_capture(payment: Payment, intent: Intent) -> None:
    """A visit that was cancelled meanwhile is paid back as its bill says (`bills.keep_bill`)."""
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if now.status != Status.CAPTURING:
            raise Overtaken
        record_charge(now, intent)


# -- Giving up -----------------------------------------------------------------------------------


@rows.all_rows()
def give_up(payment_id: uuid.UUID) -> bool:
    """Give up an undecided payment whose hold is over. The caller goes on with `finalize`. True when it is given up."""
    with transaction.atomic(durable=True):
        payment = lock(payment_id)
        if (
            payment.status not in Payment.UNDECIDED
            or may_wait(payment, bookings.database_now())
            or _is_in_hand(payment, 0)
        ):
            return False
        change(payment, status=Status.CANCELING, failure_code=payment.failure_code or "hold_expired")
        if not payment.attempt:
            change(payment, status=Status.CANCELED)
        return True


def may_wait(payment: Payment, now: dt.datetime) -> bool:
    """An undecided one: its hold is live, or whoever follows the link is at it."""
    if payment.bill_id:
        return now < payment.updated_at + dt.timedelta(minutes=LINK_MINUTES)
    assert payment.hold_id
    return Hold.objects.get(pk=payment.hold_id).is_live(now)


@rows.all_rows()
def resume(payment_id: uuid.UUID) -> Intent | None:
    """Go on with a payment nobody may be waiting for any more. Raises PaymentProviderDown."""
    seen = finalize(payment_id)
    if give_up(payment_id):
        seen = finalize(payment_id)
    return seen


def reopen(payment_id: uuid.UUID) -> None:
    """The provider does not agree that it is over: try again to give it up. The caller goes on with `finalize`."""
    with transaction.atomic(durable=True):
        payment = lock(payment_id)
        if payment.status == Status.CANCELED:
            change(payment, status=Status.CANCELING)


def _release(payment: Payment, intent: Intent) -> Intent:
    # With the state in the key: a refusal in one state is replayed, and must not outlive that state.
    return outside().cancel(intent.ref, key=key("cancel", payment, intent.status))


def _record_end(payment: Payment, intent: Intent) -> Intent | None:
    """The intent is canceled: nothing was charged, nothing will be."""
    if payment.status == Status.CAPTURING:
        return _undo(payment, intent, "capture_refused")
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if now.status in (*Payment.UNDECIDED, Status.CANCELING):
            change(now, status=Status.CANCELED, failure_code=now.failure_code or "canceled")
            tell("payment.failed", now, reason=now.failure_code)
    return None


def _nothing_was_made(payment: Payment, code: str) -> None:
    with transaction.atomic(durable=True):
        now = lock(payment.pk)
        if now.provider_ref is None and now.status == Status.CANCELING:
            change(now, status=Status.CANCELED)
        elif now.provider_ref is None and now.status == Status.SUBMITTING:
            change(now, status=Status.FAILED, failure_code=code[:60])
