"""Settling what nobody waits for any more: every few seconds what hangs, every night all that the provider knows.

Lists, not search: the provider's search lags behind.
"""

import collections
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator

from django.db import DatabaseError
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing import bills, groups, payments, refunds, webhooks
from billing.allocations import allocation
from billing.gateway import GatewayError, Intent, PaymentProviderDown
from billing.locks import outside
from billing.models import Account, Bill, LedgerPosting, Payment, ProviderEvent, Refund
from clinic_booking.errors import NamedError
from scheduling.booking import database_now
from scheduling.models import Booking

logger = logging.getLogger(__name__)
Status = Payment.Status

STUCK_SECONDS = 20
# What is younger may still be in the hands of a web process, which is no finding.
OPEN_SECONDS = 60
AUTHORISED_MINUTES = 10
REFUND_DAYS = 10
CANCELABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")


# -- Every few seconds ---------------------------------------------------------------------------


def sweep(*, limit: int = 100) -> int:
    """Give up payments whose hold is over and go on with those that hang. Returns how many it took up."""
    now = database_now()
    due = [*_over(now)[:limit], *_stuck(now)[:limit]]
    for number, payment in enumerate(due):
        try:
            payments.resume(payment.pk)
        except PaymentProviderDown:
            logger.warning("the payment provider does not answer")
            return number
        except (NamedError, DatabaseError, GatewayError):
            logger.exception("payment cannot be settled", extra={"payment": str(payment.pk)})
    return len(due)


def _over(now: dt.datetime) -> QuerySet[Payment]:
    over = Q(hold__ended_at__isnull=False) | Q(hold__expires_at__lte=now)
    over |= Q(hold=None, updated_at__lte=now - dt.timedelta(minutes=payments.LINK_MINUTES))
    return Payment.objects.filter(over, status__in=Payment.UNDECIDED).order_by("updated_at")


def _stuck(now: dt.datetime) -> QuerySet[Payment]:
    """Pending refunds take days: those are asked for less often."""
    before = now - dt.timedelta(seconds=STUCK_SECONDS)
    stuck = Payment.objects.filter(status__in=Payment.UNDER_WAY, updated_at__lte=before)
    asked = stuck.alias(asked=Coalesce(F("checked_at"), F("updated_at"))).filter(asked__lte=before)
    return asked.exclude(refunds__status=Refund.Status.PENDING).order_by("updated_at")


# -- Now and then, and by hand -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Finding:
    kind: str
    about: str
    is_fixed: bool = False


def reconcile(*, since: dt.timedelta, fix: bool) -> list[Finding]:
    """Compare our side with the provider's and, with `fix`, settle the differences. Raises PaymentProviderDown."""
    first = database_now() - since
    found: list[Finding] = []
    for look in (_open_payments, _refunds, _intents, _missed_events, _contradictions):
        found += look(first, fix)
    for finding in found:
        if not finding.is_fixed:
            logger.error("payments do not agree", extra={"kind": finding.kind, "about": finding.about})
    return found


def settle_open(*, fix: bool = True) -> list[Finding]:
    """The part that is quick enough for every few minutes."""
    return list(_open_payments(database_now(), fix))


def _open_payments(_first: dt.datetime, fix: bool) -> Iterator[Finding]:
    now = database_now()
    before = now - dt.timedelta(seconds=OPEN_SECONDS)
    for payment in Payment.objects.exclude(status__in=Payment.SETTLED).order_by("updated_at"):
        since = payment.updated_at
        if fix:
            _try(payments.resume, payment)
            payment.refresh_from_db()
        if payment.is_settled:
            yield Finding("open", str(payment.pk), is_fixed=True)
        elif since <= before and not _may_wait(payment, now):
            yield Finding(f"open_{payment.status}", str(payment.pk))


def _may_wait(payment: Payment, now: dt.datetime) -> bool:
    if payment.status in Payment.UNDECIDED:
        return payments.may_wait(payment, now)
    pending = payment.refunds.filter(status=Refund.Status.PENDING).first()
    return bool(pending and now - pending.created_at < dt.timedelta(days=REFUND_DAYS))


def _intents(first: dt.datetime, fix: bool) -> Iterator[Finding]:
    before = database_now() - dt.timedelta(seconds=OPEN_SECONDS)
    returned = _returned(first)
    for intent in outside().list_intents(created_gte=first):
        if intent.created_at > before:
            continue
        given = intent.metadata.get("payment", "")
        payment = Payment.objects.filter(provider_ref=intent.ref).first()
        if payment:
            yield from _compared(payment, intent, fix)
            yield from _compared_with_ledger(payment, intent.captured_cents - returned[intent.ref], fix)
        elif intent.status == "canceled":
            continue
        elif intent.status in CANCELABLE and given:
            # Made by an attempt that never committed its reference: nobody will go on with it.
            yield Finding("orphan_intent", intent.ref, fix and _cancel_orphan(intent))
        else:
            yield Finding("orphan_charge", intent.ref)


def _cancel_orphan(intent: Intent) -> bool:
    waiting = Payment.objects.filter(pk=intent.metadata["payment"], provider_ref=None).first()
    if waiting and not waiting.is_settled:
        payments.resume(waiting.pk)
        waiting.refresh_from_db()
        return waiting.provider_ref == intent.ref
    try:
        canceled = outside().cancel(intent.ref, key=f"cancel:{intent.ref}:{intent.status}")
    except PaymentProviderDown:
        raise
    except GatewayError:
        return False
    return canceled.status == "canceled"


WANTED = {Status.PAID: "succeeded", Status.REFUNDED: "succeeded", Status.CANCELED: "canceled"}


def _compared(payment: Payment, intent: Intent, fix: bool) -> Iterator[Finding]:
    if (intent.amount_cents, intent.currency) != (payment.amount_cents, payment.currency):
        yield Finding("amount_differs", intent.ref)
    wanted = WANTED.get(Status(payment.status))
    if wanted and intent.status != wanted:
        fixed = False
        if fix and payment.status == Status.CANCELED:
            payments.reopen(payment.pk)
            _try(payments.resume, payment)
            payment.refresh_from_db()
            fixed = payment.is_settled
        yield Finding(f"{payment.status}_but_{intent.status}", str(payment.pk), fixed)


def _returned(first: dt.datetime) -> collections.Counter[str]:
    """What went back of each intent, in cents. No refund is older than its intent."""
    returned: collections.Counter[str] = collections.Counter()
    for result in outside().list_refunds(created_gte=first):
        if refunds.STATUSES.get(result.status) != Refund.Status.FAILED:
            returned[result.intent_ref] += result.amount_cents
    return returned


def _compared_with_ledger(payment: Payment, held_cents: int, fix: bool) -> Iterator[Finding]:
    """What the provider holds of a payment is what the account says, but for what a dispute took."""
    payment.refresh_from_db()
    if not payment.is_settled or _on_account(payment) == held_cents:
        return
    if fix:
        _try(refunds.adopt, payment)
    yield Finding("ledger_differs", str(payment.pk), fix and _on_account(payment) == held_cents)


def _on_account(payment: Payment) -> int:
    entries = payment.entries.filter(account=Account.STRIPE).exclude(posting__kind=LedgerPosting.Kind.DISPUTE)
    return int(entries.aggregate(cents=Sum("amount_cents"))["cents"] or 0)


def _refunds(first: dt.datetime, fix: bool) -> Iterator[Finding]:
    for result in outside().list_refunds(created_gte=first):
        status = refunds.STATUSES.get(result.status, Refund.Status.PENDING)
        if Refund.objects.filter(provider_ref=result.ref, status=status).exists():
            continue
        payment = Payment.objects.filter(provider_ref=result.intent_ref).first()
        if fix and payment:
            refunds.adopt(payment.pk)
        known = Refund.objects.filter(provider_ref=result.ref, status=status).exists()
        yield Finding("refund_unknown", result.ref, known)


def _missed_events(first: dt.datetime, fix: bool) -> Iterator[Finding]:
    for event in outside().list_undelivered_events(created_gte=first):
        if ProviderEvent.objects.filter(pk=event.id, processed_at__isnull=False).exists():
            continue
        payment = Payment.objects.filter(provider_ref=event.intent_ref).first()
        # What is settled was compared above; only the news of a dispute comes by event alone.
        if not payment or (payment.is_settled and not event.type.startswith("charge.dispute.")):
            continue
        if fix:
            webhooks.note(event)
            webhooks.settle(event.id)
        yield Finding("missed_event", event.id, fix)


def _contradictions(_first: dt.datetime, fix: bool) -> Iterator[Finding]:
    """Without the provider: money and visits that do not belong together."""
    now = database_now()
    unpaid = Payment.objects.filter(
        booking__status__in=[Booking.Status.BOOKED, Booking.Status.ARRIVED, Booking.Status.FULFILLED]
    ).exclude(status__in=[Status.PAID, Status.CAPTURING])
    for payment in unpaid.filter(captured_cents=0):
        yield Finding("booked_not_paid", str(payment.pk))
    for payment, booking in _cancelled_and_paid():
        if not _is_owed(payment, booking):
            continue
        if fix:
            bill = bills.keep_bill(booking.pk)
            for unfinished in bills.unfinished_payments(bill):
                _try(payments.resume, unfinished)
            payment.refresh_from_db()
        fixed = fix and payment.is_settled and not _is_owed(payment, booking)
        yield Finding("paid_not_booked", str(payment.pk), fixed)
    long_ago = now - dt.timedelta(minutes=AUTHORISED_MINUTES)
    yield from _for_nothing(long_ago, fix)
    for payment in Payment.objects.filter(status=Status.CAPTURING, updated_at__lte=long_ago):
        yield Finding("authorised_too_long", str(payment.pk))


def _for_nothing(before: dt.datetime, fix: bool) -> Iterator[Finding]:
    """Charged, and neither for a bill nor given back. What its bills do not take, a person decides on."""
    used = F("allocated_cents") + F("refunded_cents")
    unused = Payment.objects.filter(status=Status.PAID, updated_at__lte=before, captured_cents__gt=used)
    for payment in unused.order_by("pk"):
        if fix:
            for booking in groups.bookings_of(payment):
                bills.keep_bill(booking.pk)
            payment.refresh_from_db()
        yield Finding("charged_for_nothing", str(payment.pk), fix and not payment.free_cents)


def _cancelled_and_paid() -> Iterator[tuple[Payment, Booking]]:
    paid = Payment.objects.filter(status=Status.PAID, is_disputed=False)
    by_link = paid.filter(bill__booking__status=Booking.Status.CANCELLED)
    for linked in by_link.select_related("bill__booking").order_by("pk"):
        if linked.bill and linked.bill.booking:
            yield linked, linked.bill.booking
    held = Q(hold__in=paid.values("hold")) | Q(hold__lead__in=paid.values("hold"))
    for booking in Booking.objects.filter(held, status=Booking.Status.CANCELLED).order_by("pk"):
        paid_by = groups.payment_of(booking.pk)
        if paid_by and (payment := paid.filter(pk=paid_by).first()):
            yield payment, booking


def _is_owed(payment: Payment, booking: Booking) -> bool:
    """More is charged for the visit than its fee."""
    bill = Bill.objects.filter(booking=booking).first()
    if bill is None or bill.net_cents > bills.owed_by_rule(booking):
        return (payment.allocated_cents if payment.bill_id else groups.share(booking)) > 0
    return min(bill.owed_cents, allocation(payment, bill)) > 0


def _try(verb: Callable[..., object], payment: Payment) -> None:
    try:
        verb(payment.pk)
    except PaymentProviderDown:
        raise
    except (NamedError, DatabaseError, GatewayError):
        logger.exception("payment cannot be settled", extra={"payment": str(payment.pk)})
