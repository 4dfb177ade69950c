"""Random schedules of patients, bank, provider, workers and accidents. Afterwards, on both sides:

charged ⇔ booked, or refunded; no authorisation left open; one intent for each payment. Some hold two times together and
pay for them as one: charged is then the price of those that are still booked. What the desk booked is paid by link and
at the counter at once, in parts, and refunded: then the bill says what is kept. The ledger agrees with all of it.

Everything runs through the real Stripe library and the in-process double. Rivals act in the middle of each other's
calls, answers are lost, processes die, events come twice, late and shuffled. Each mutation of the code must be caught.
"""

import contextlib
import dataclasses
import datetime as dt
import random
import time
import uuid

import pytest
import stripe
from django.db import connection, transaction
from django.db.models import Q

from billing import (
    bills,
    book_checks,
    consistency,
    counter,
    desk_refunds,
    gateway,
    groups,
    paylinks,
    payments,
    reconcile,
    webhooks,
)
from billing.allocations import allocation
from billing.gateway import Gateway, GatewayError
from billing.models import Bill, DeskRefund, Payment
from billing.stripe_double.client import Crash, DoubleClient
from billing.stripe_double.engine import Engine
from clinic_booking.errors import NamedError
from scheduling import booking as bookings
from scheduling.models import Booking, Hold, Slot
from tests import clock, factories
from tests.billing.steps import rival_books, run_jobs

CHUNKS = 6
SEEDS = 30  # for each chunk
SEEDS_FOR_MUTATION = 60
STEPS = 14
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)

TOKENS = (
    [("card", "success")] * 4
    + [("card", "three_d_secure")] * 4
    + [("paynow", "success")] * 5
    + [("card", "declined"), ("card", "three_d_secure_insufficient_funds")]
)
LEDGER_CHECKS = consistency.CHECKS | book_checks.CHECKS
FAULTS = ["lose_request", "lose_answer", "lose_answer", "crash_before", "crash_after", "status"]


class Actor:
    """A patient with a browser."""

    def __init__(self):
        self.owner = uuid.uuid4().hex
        self.patient = factories.PatientFactory()
        self.hold = None


class World:
    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.engine = Engine(clock=lambda: time.time() - 3600)
        self.client = DoubleClient(self.engine, before=self.meanwhile, after=self.meanwhile)
        self.slot = factories.SlotFactory()
        self.service = factories.ServiceFactory(practitioners=[self.slot.practitioner])
        self.second = factories.SlotFactory(starts_at=self.slot.ends_at + HOUR)
        self.dearer = factories.ServiceFactory(price_cents=8500, practitioners=[self.second.practitioner])
        self.actors = [Actor(), Actor()]
        self.desk = None  # the booking made there
        self.keys = [uuid.UUID(int=self.random.getrandbits(128)).hex for _ in range(4)]
        self.clerk = factories.UserFactory()
        for clinic in {self.slot.clinic, self.second.clinic}:
            factories.MembershipFactory(user=self.clerk, clinic=clinic, role="manager")
        self.depth = 0
        self.accidents = True

    # -- The schedule ----------------------------------------------------------------------------

    def run(self):
        with gateway.using(self.client):
            self.act(self.take, self.actors[0])
            self.act(self.pay, self.actors[0])
            for _ in range(self.random.randrange(4, STEPS)):
                self.any_step()
            self.settle()

    def any_step(self):
        actor = self.random.choice(self.actors)
        step = self.random.choice(
            [self.take, self.pay, self.pay, self.bank, self.bank, self.bank, self.look, self.look, self.event]
            + [self.event, self.worker, self.time_passes, self.expire, self.lose_time, self.lose_time]
            + [self.release, self.clinic_cancels, self.desk_books, self.link, self.link, self.link]
            + [self.counter, self.counter, self.refund, self.cancel_at_desk]
        )
        self.act(step, actor)

    def act(self, step, actor):
        """One process: what it refuses or dies of concerns nobody else."""
        with contextlib.suppress(NamedError, GatewayError, Crash):
            step(actor)

    def meanwhile(self, call):
        """Before and after each call something else may happen, and the next call may fail."""
        if not self.accidents:
            return
        if self.random.random() < 0.15:
            times = self.random.choice([1, 3, 3])
            self.client.fail_next("any", self.random.choice(FAULTS), times=times)
        if self.depth < 2 and self.random.random() < 0.2:
            self.depth += 1
            self.any_step()
            self.depth -= 1

    # -- Steps -----------------------------------------------------------------------------------

    def take(self, actor):
        parts = [bookings.Part(self.slot.pk, self.service.pk), bookings.Part(self.second.pk, self.dearer.pk)]
        wanted = self.random.choice([parts[:1], parts[:1], parts, parts[::-1]])
        actor.hold = bookings.hold_together(parts=wanted, owner=actor.owner, patient=actor.patient)[0]

    def pay(self, actor):
        if not actor.hold:
            return
        token = self.engine.confirmation_token(*self.random.choice(TOKENS))
        payments.pay(
            hold=Hold.objects.get(pk=actor.hold.pk),
            patient=actor.patient,
            confirmation_token=token,
            return_url="http://testserver/",
        )

    def bank(self, actor):
        for ref, intent in self.engine.store.intents.items():
            kind = (intent["next_action"] or {}).get("type", "")
            if kind == "use_stripe_sdk":
                self.engine.authenticate(ref, passed=self.random.random() < 0.8)
            elif kind or intent["status"] == "processing":
                self.engine.scan(ref, self.random.choice(["succeeded", "succeeded", "failed", "processing"]))

    def look(self, actor):
        if payment := actor.hold and Payment.objects.filter(hold=actor.hold).first():
            payments.resume(payment.pk)

    def event(self, actor):
        """One of all events so far, perhaps again, in any order."""
        if events := list(self.engine.store.events.values()):
            event = gateway.read_event(stripe.Event.construct_from(self.random.choice(events), None))
            webhooks.keep(event)
            run_jobs()

    def worker(self, actor):
        reconcile.sweep()
        run_jobs()

    def time_passes(self, actor, minutes=1):
        later = f"interval '{minutes} minutes'"
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE billing_payment SET updated_at = updated_at - {later}, checked_at = checked_at - {later}"
            )

    def expire(self, actor):
        for hold in self.held_by(actor):
            clock.run_out(hold)

    def held_by(self, actor):
        return Hold.objects.filter(Q(pk=actor.hold.pk) | Q(lead=actor.hold.pk)) if actor.hold else []

    def lose_time(self, actor):
        """The hold runs out, and the desk gives the time to somebody else."""
        self.expire(actor)
        if not self.desk:
            slot, service = self.random.choice([(self.slot, self.service), (self.second, self.dearer)])
            self.desk = rival_books(slot, service)

    def release(self, actor):
        if self.random.random() < 0.3 and actor.hold:
            bookings.release_hold(hold_id=actor.hold.pk, owner=actor.owner)

    def clinic_cancels(self, actor):
        """One of what was booked together, or all."""
        booked = list(bookings.bookings_of(actor.hold)) if actor.hold else []
        if booked and self.random.random() < 0.3:
            chosen = self.random.choice([booked, [self.random.choice(booked)]])
            with transaction.atomic():
                bookings.cancel_bookings(booking_ids=[b.pk for b in chosen], by=None, reason="clinic")

    # -- Steps with a bill of the desk -----------------------------------------------------------

    def desk_books(self, actor):
        if not self.desk and self.random.random() < 0.5:
            self.lose_time(actor)

    def desk_bill(self):
        return self.desk and bills.keep_bill(self.desk.pk)

    def link(self, actor):
        if bill := self.desk_bill():
            paylinks.pay(
                bill_id=bill.pk,
                confirmation_token=self.engine.confirmation_token(*self.random.choice(TOKENS)),
                return_url="http://testserver/",
            )

    def counter(self, actor):
        """A part or all of what is due, sometimes with a key that was used before."""
        if (bill := self.desk_bill()) and bill.due_cents:
            counter.take_payment(
                bill_id=bill.pk,
                amount_cents=self.random.choice([1000, bill.due_cents, bill.due_cents]),
                method="cash",
                reference="",
                by=self.clerk,
                idempotency_key=self.random.choice(self.keys),
            )

    def refund(self, actor):
        for bill in Bill.objects.filter(received_cents__gt=0):
            if self.random.random() < 0.3:
                desk_refunds.refund_bill(
                    bill_id=bill.pk,
                    amount_cents=self.random.choice([500, bill.paid_cents]),
                    reason=self.random.choice(DeskRefund.Reason.values),
                    note="",
                    by=self.clerk,
                    idempotency_key=self.random.choice(self.keys),
                )

    def cancel_at_desk(self, actor):
        if self.desk and self.random.random() < 0.2:
            with transaction.atomic():
                bookings.cancel_bookings(booking_ids=[self.desk.pk], by=None, reason="clinic")

    # -- The end ---------------------------------------------------------------------------------

    def settle(self):
        """All holds run out, every bank answers, the workers work again, and the night's reconciliation runs."""
        self.accidents = False
        self.client.faults.clear()
        for actor in self.actors:
            self.act(self.expire, actor)
        for ref, intent in self.engine.store.intents.items():
            if intent["status"] == "processing":
                self.engine.scan(ref)
        self.reconcile()

    def reconcile(self):
        self.time_passes(None)
        self.time_passes(None)
        run_jobs()
        self.time_passes(None, minutes=payments.LINK_MINUTES)
        reconcile.reconcile(since=2 * DAY, fix=True)
        # Whoever has a link may be at it for as long again.
        self.time_passes(None, minutes=payments.LINK_MINUTES)
        reconcile.sweep()
        run_jobs()

    # -- What must be true -----------------------------------------------------------------------

    def violations(self):
        return [
            *self._of_payments(),
            *self._of_bills(),
            *self._of_intents(),
            *self._of_slot(),
            *self._of_ledger(),
        ]

    def _of_payments(self):
        for payment in Payment.objects.all():
            made = list(groups.bookings_of(payment))
            booked = self.kept_of(payment, made)
            own = [
                i for i in self.engine.store.intents.values() if i["metadata"]["payment"] == str(payment.pk)
            ]
            if len(own) > 1:
                yield "more than one intent for a payment"
            charged = sum(intent["amount_received"] for intent in own) - self.refunded(own)
            if charged != booked:
                yield f"charged {charged}, booked {booked}, {payment.status}"
            if not payment.is_settled:
                yield f"left at {payment.status}"
            if payment.captured_cents - payment.refunded_cents != charged:
                yield "the books are wrong"
            billed = set(Bill.objects.filter(booking__in=made).values_list("booking", flat=True))
            if billed != {booking.pk for booking in made}:
                yield "not the one bill for each"
            if payment.hold and made and len(made) != payment.hold.followers.count() + 1:
                yield "booked only a part"
            card = any(self.engine.store.attempts.get(i["id"], {}).get("type") == "card" for i in own)
            if card and self.refunded(own) and not made:
                yield "a card was charged before the slot was won"

    def kept_of(self, payment, made):
        """By link what is on the bill; else the price of what is still booked, less what the desk gave back."""
        if payment.bill:
            return allocation(payment, payment.bill)
        prices = sum(booking.price_cents for booking in made if booking.status == "booked")
        given = DeskRefund.objects.filter(bill__booking__in=made, bill__booking__status="booked")
        return prices - sum(refund.online_cents for refund in given if self.is_of(refund, payment))

    def is_of(self, refund, payment):
        return not Payment.objects.filter(bill=refund.bill).exclude(pk=payment.pk).exists()

    def _of_bills(self):
        for bill in Bill.objects.select_related("booking"):
            if bill.booking.status == "cancelled" and bill.net_cents:
                yield "a cancelled visit is billed"
            at_counter = sum(taken.left_cents for taken in bill.counter_payments.all())
            if bill.owed_cents > at_counter:
                yield "what was paid online did not go back"
            if bill.paid_cents > bill.total_cents:
                yield "paid more than the bill"

    def _of_ledger(self):
        """The checks of the books, each as one query."""
        with connection.cursor() as cursor:
            for name, sql in LEDGER_CHECKS.items():
                cursor.execute(sql)
                if row := cursor.fetchone():
                    yield f"{name}: {row[0]}"

    def refunded(self, intents):
        ids = [intent["id"] for intent in intents]
        return sum(r["amount"] for r in self.engine.store.refunds.values() if r["payment_intent"] in ids)

    def _of_intents(self):
        known = set(Payment.objects.values_list("provider_ref", flat=True))
        for intent in self.engine.store.intents.values():
            if intent["status"] == "requires_capture":
                yield "an authorisation is left open"
            if intent["id"] not in known and intent["status"] != "canceled":
                yield "an intent nobody knows"

    def _of_slot(self):
        live = set(Booking.objects.filter(status="booked").values_list("pk"))
        if live != set(Slot.objects.filter(booking__isnull=False).values_list("booking")):
            yield "the slot is not that of its one booking"


@pytest.fixture
def worlds(transactional_db, monkeypatch):
    """One after the other, each in a transaction of its own that is rolled back."""
    for sender in ("scheduling.notifications.tell", "billing.jobs.tell"):
        monkeypatch.setattr(sender, lambda **_: None)
    monkeypatch.setattr("scheduling.ics._calendar", lambda *_: b"")
    with connection.cursor() as cursor:
        # Left by tests whose transactions were real: their events are gone.
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")

    def make(seeds):
        for seed in seeds:
            outermost = transaction.atomic()
            outermost._from_testcase = True  # which verbs that want to be outermost allow
            with outermost:
                yield World(seed)
                transaction.set_rollback(True)

    with contextlib.ExitStack() as unfinished:
        yield lambda seeds: unfinished.enter_context(contextlib.closing(make(seeds)))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_charged_means_booked_or_refunded(worlds, chunk):
    ends = set()
    for world in worlds(range(chunk * SEEDS, (chunk + 1) * SEEDS)):
        world.run()
        assert world.violations() == [], f"seed {world.seed}"
        ends |= set(Payment.objects.values_list("status", flat=True))
    assert {"paid", "canceled"} <= ends <= {"paid", "canceled", "refunded"}


# -- The model has teeth -------------------------------------------------------------------------


def book_without_looking(monkeypatch):
    monkeypatch.setattr("scheduling.booking._check_claim", lambda *_: None)


def never_reconcile(monkeypatch):
    monkeypatch.setattr(World, "reconcile", lambda _: None)
    monkeypatch.setattr(World, "worker", lambda *_: None)


def unstable_keys(monkeypatch):
    for verb in ("create_intent", "refund", "capture"):
        real = getattr(Gateway, verb)

        def call(self, *args, key, _real=real, **options):
            return _real(self, *args, key=uuid.uuid4().hex, **options)

        monkeypatch.setattr(Gateway, verb, call)


def forget_to_cancel(monkeypatch):
    monkeypatch.setattr(
        payments, "_release", lambda payment, intent: dataclasses.replace(intent, status="canceled")
    )
    monkeypatch.setattr("billing.payments.reopen", lambda _: None)


def capture_before_winning(monkeypatch):
    real = payments.win

    def win(payment, intent):
        if intent.status == "requires_capture":
            intent = gateway.gateway().capture(intent.ref, key=f"capture:{payment.pk}")
        return real(payment, intent)

    monkeypatch.setattr(payments, "win", win)


MUTATIONS = [book_without_looking, never_reconcile, unstable_keys, forget_to_cancel, capture_before_winning]


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_model_catches(worlds, monkeypatch, mutate):
    mutate(monkeypatch)
    assert any(is_violated(world) for world in worlds(range(SEEDS_FOR_MUTATION)))


def is_violated(world):
    with contextlib.suppress(GatewayError):
        world.run()
    return bool(world.violations())
