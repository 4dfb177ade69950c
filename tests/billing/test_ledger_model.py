"""Random sequences of what patients, the desk and the clinic do with money. After every step the books agree.

Two accounts are kept beside: what the provider has (its double says), and what was put into the drawers and taken out.
"""

import contextlib
import random
import uuid

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from billing import (
    bills,
    book_checks,
    consistency,
    contracts,
    counter,
    gateway,
    groups,
    instalments,
    paylinks,
    payments,
)
from billing.models import Account, Bill, Contract, CounterPayment, CreditNote, LedgerEntry
from billing.stripe_double.client import DoubleClient
from billing.stripe_double.engine import Engine
from clinic_booking.errors import NamedError
from scheduling import booking as bookings
from scheduling.arrivals import no_show
from scheduling.errors import SlotTaken
from scheduling.models import Booking, Clinic, Slot
from tests import clock, factories
from tests.race import together

SEEDS = 12
STEPS = 10
WRITERS = 16
# What is under way is given no time, but for this: the sweeper goes on with it, as the model of payments shows.
UNDER_WAY = "a payment that charged has ended or is being ended"
CHECKS = " UNION ALL ".join(
    f"SELECT $${name}$$, x.what FROM ({query}) x(what)"
    for name, query in (consistency.CHECKS | book_checks.CHECKS).items()
    if name != UNDER_WAY
).replace("interval '10 minutes'", "interval '-1 minute'")


def broken():
    with connection.cursor() as cursor:
        cursor.execute(CHECKS)
        return cursor.fetchall()


def run_due_jobs():
    """Those of billing, without those that wait for the end of the day of a no-show."""
    due = Q(scheduled_at=None) | Q(scheduled_at__lte=timezone.now())
    while jobs := list(ProcrastinateJob.objects.filter(due, status="todo").order_by("pk")):
        for job in jobs:
            if job.args.get("subscriber", "").startswith("billing.jobs."):
                app.tasks[job.task_name].func(**job.args)
            ProcrastinateJob.objects.filter(pk=job.pk).update(status="succeeded")


class World:
    """One clinic with its terms, one receptionist, six times, odd prices, a contract."""

    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.engine = Engine()
        self.drawer, self.seen = 0, set()
        terms = {
            "payment_policy": self.random.choice(Clinic.PaymentPolicy.values),
            "free_cancel_hours": self.random.choice([0, 500]),
            "late_cancel_percent": self.random.choice([0, 50, 100]),
            "no_show_percent": self.random.choice([0, 33, 100]),
        }
        entity = factories.LegalEntityFactory(gst_registered=self.random.random() < 0.7)
        self.clinic = factories.ClinicFactory(legal_entity=entity, **terms)
        self.by = factories.MembershipFactory(clinic=self.clinic).user
        practitioner = factories.PractitionerFactory()
        station = factories.StationFactory(clinic=self.clinic)
        self.slots = factories.make_slots(practitioner, station, factories.tomorrow_at(9))
        price = self.random.choice([6500, 3333, 100_001])
        self.service = factories.ServiceFactory(price_cents=price, practitioners=[practitioner])

    def run(self, steps):
        with gateway.using(DoubleClient(self.engine)):
            for number in range(steps):
                begun = self.beginning()
                step = begun[number] if number < len(begun) else self.random.choice(self.steps())
                with contextlib.suppress(NamedError):
                    step()
                run_due_jobs()
                self.check(step.__name__)
                self.seen |= set(Bill.objects.values_list("status", flat=True))
                self.seen |= set(LedgerEntry.objects.values_list("posting__kind", flat=True))

    def beginning(self):
        """So that what is rare happens in some worlds."""
        at_desk = [self.book_at_desk, self.pay_a_part, self.cancel, self.give_back]
        contract = [self.sign_a_contract, self.end_a_contract]
        return [[self.book_and_pay], at_desk, contract][self.seed % 3]

    def steps(self):
        often = [
            self.book_and_pay,
            self.book_at_desk,
            self.pay_a_part,
            self.pay_a_part,
            self.cancel,
            self.cancel,
        ]
        rarely = [self.pay_by_link, self.credit, self.move, self.stay_away, self.sign_a_contract]
        owed = Bill.objects.filter(status=Bill.Status.REFUND_DUE).exists()
        running = Contract.objects.filter(status="confirmed").exists()
        return often + rarely + [self.give_back] * 4 * owed + [self.end_a_contract] * 3 * running

    def check(self, step):
        assert broken() == [], f"seed {self.seed}, {step}"
        charged = sum(intent["amount_received"] for intent in self.engine.store.intents.values())
        refunded = sum(refund["amount"] for refund in self.engine.store.refunds.values())
        assert self.balance(Account.STRIPE) == charged - refunded, f"seed {self.seed}, {step}"
        assert self.balance(*CounterPayment.Method) == self.drawer, f"seed {self.seed}, {step}"

    def balance(self, *accounts):
        amounts = LedgerEntry.objects.filter(account__in=[str(each) for each in accounts])
        return sum(amounts.values_list("amount_cents", flat=True))

    # -- Booking ---------------------------------------------------------------------------------

    def hold(self):
        free = list(
            Slot.objects.filter(pk__in=[s.pk for s in self.slots], booking=None, hold=None).order_by("pk")
        )
        if not free:
            raise SlotTaken
        patient = factories.PatientFactory()
        wanted = self.random.sample(free, min(len(free), self.random.choice([1, 1, 2])))
        parts = [bookings.Part(slot.pk, self.service.pk) for slot in wanted]
        owner = uuid.uuid4().hex
        return bookings.hold_together(parts=parts, owner=owner, patient=patient)[0], patient

    def token(self):
        return self.engine.confirmation_token("card", self.random.choice(["success", "success", "declined"]))

    def book_and_pay(self):
        """All, or the deposit, or nothing yet, as the clinic wants it."""
        held, patient = self.hold()
        if not groups.total_cents(held):
            return self.confirm(held, patient)
        options = {"confirmation_token": self.token(), "return_url": "http://testserver/"}
        payments.pay(hold=held, patient=patient, **options)

    def book_at_desk(self):
        self.confirm(*self.hold())

    def confirm(self, held, patient):
        with transaction.atomic():
            bookings.confirm_hold(hold_id=held.pk, patient=patient, by=self.by)

    def visit(self):
        return self.random.choice(list(Booking.objects.filter(status="booked").order_by("pk")) or [None])

    def cancel(self):
        if visit := self.visit():
            reason = self.random.choice(["clinic", "patient"])
            with transaction.atomic():
                bookings.cancel_booking(booking_id=visit.pk, by=self.by, reason=reason)

    def move(self):
        if visit := self.visit():
            slot = self.random.choice(self.slots)
            with transaction.atomic():
                bookings.move_booking(booking_id=visit.pk, slot_id=slot.pk, by=self.by)

    def stay_away(self):
        if visit := self.visit():
            with transaction.atomic():
                no_show(booking_id=visit.pk, by=self.by)

    # -- Money -----------------------------------------------------------------------------------

    def bill(self, **which):
        return self.random.choice(list(Bill.objects.filter(**which).order_by("pk")) or [None])

    def pay_a_part(self):
        if bill := self.bill(status__in=Bill.UNPAID):
            cents = self.random.choice([bill.due_cents, self.random.randint(1, bill.due_cents)])
            method = self.random.choice(CounterPayment.Method.values)
            asked = {"amount_cents": cents, "method": method, "reference": "", "by": self.by}
            counter.take_payment(bill_id=bill.pk, **asked)
            self.drawer += cents

    def give_back(self):
        if bill := self.bill(status=Bill.Status.REFUND_DUE):
            given = counter.return_payment(bill_id=bill.pk, by=self.by)
            self.drawer -= sum(refund.amount_cents for refund in given)

    def pay_by_link(self):
        if bill := self.bill(status__in=Bill.UNPAID):
            options = {"confirmation_token": self.token(), "return_url": "http://testserver/"}
            paylinks.pay(bill_id=bill.pk, **options)

    def credit(self):
        if (bill := self.bill(contract=None)) and bill.net_cents:
            cents = self.random.randint(1, bill.net_cents)
            with transaction.atomic():
                bills.credit(bill, cents=cents, reason=CreditNote.Reason.GOODWILL, by=self.by)
            if bill.booking_id:
                bills.keep_bill(bill.booking_id)

    # -- Contracts -------------------------------------------------------------------------------

    def sign_a_contract(self):
        draft = factories.ContractFactory(clinic=self.clinic, patient=factories.PatientFactory())
        line = factories.ContractLineFactory(
            contract=draft, service=self.service, quantity=3, price_cents=9999
        )
        if self.random.random() < 0.5:
            parts = instalments.equal_parts(line.total_cents, count=2, first_on=self.clinic.today())
            contracts.put_instalments(contract_id=draft.pk, parts=parts, by=self.by)
        plan = self.random.random() < 0.5
        contracts.confirm_contract(reference=draft.reference, by=self.by, plan=plan)

    def end_a_contract(self):
        if found := Contract.objects.filter(status="confirmed").order_by("pk").first():
            contracts.cancel_contract(reference=found.reference, by=self.by)


@pytest.fixture
def worlds(transactional_db, monkeypatch):
    """One after the other, each in a transaction of its own that is rolled back."""
    for sender in ("scheduling.notifications.tell", "billing.jobs.tell"):
        monkeypatch.setattr(sender, lambda **_: None)
    monkeypatch.setattr("scheduling.ics._calendar", lambda *_: b"")
    clock.on_the_day(monkeypatch, factories.tomorrow_at(13))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")

    def make():
        for seed in range(SEEDS):
            outermost = transaction.atomic()
            outermost._from_testcase = True  # which verbs that want to be outermost allow
            with outermost:
                yield World(seed)
                transaction.set_rollback(True)

    with contextlib.closing(make()) as made:
        yield made


def test_the_books_agree_after_every_step(worlds):
    seen = set()
    for world in worlds:
        world.run(STEPS)
        seen |= world.seen
    assert seen >= {"bill", "credit_note", "capture", "allocation", "release", "refund", "counter"}
    assert seen >= {"counter_refund", "contract_end", "part_paid", "paid", "refund_due", "void", "refunded"}


# -- Sixteen writers -----------------------------------------------------------------------------


class ChangedMyMind(Exception):
    pass


def issue_and_take_back(booking):
    """A bill and a credit note whose transaction fails at the end: their numbers are given again."""
    with contextlib.suppress(ChangedMyMind), transaction.atomic():
        with bills.numbers_of(booking.clinic) as series:
            lines = [("Visit", booking.price_cents)]
            made = bills.issue(
                series, clinic=booking.clinic, lines=lines, booking=booking, patient_id=booking.patient_id
            )
        bills.credit(made, cents=1, reason=CreditNote.Reason.CORRECTION)
        raise ChangedMyMind


def issue_and_credit(booking):
    made = bills.keep_bill(booking.pk)
    with transaction.atomic():
        bills.credit(made, cents=100, reason=CreditNote.Reason.CORRECTION)


@pytest.mark.django_db(transaction=True)
def test_sixteen_writers_leave_no_gap_and_no_duplicate():
    entity = factories.LegalEntityFactory(gst_registered=True)
    clinics = [factories.ClinicFactory(legal_entity=entity) for _ in range(2)]
    visits = [factories.BookingFactory(clinic=clinics[n % 2]) for n in range(WRITERS * 3)]

    def write(mine):
        def run():
            issue_and_credit(mine[0])
            issue_and_take_back(mine[1])
            issue_and_credit(mine[2])
            issue_and_credit(mine[2])  # the bill is there, another credit note

        return run

    outcomes = together(*(write(visits[n::WRITERS]) for n in range(WRITERS)))
    assert outcomes == [None] * WRITERS
    numbers = sorted(Bill.objects.values_list("number", flat=True))
    notes = sorted(CreditNote.objects.values_list("number", flat=True))
    assert numbers == list(range(1, WRITERS * 2 + 1))
    assert notes == list(range(1, WRITERS * 3 + 1))
    assert broken() == []
