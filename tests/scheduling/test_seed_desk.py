"""What the demo's desk shows on any day and at any time of it."""

import datetime as dt

import pytest
from django.db import transaction
from django.db.models import F

from billing import closing
from billing.demo import bill_bookings, make_online, make_till, pay_bills
from billing.models import Bill, CashClose, DeskRefund, Dispute, LedgerPosting, Payment
from billing.stripe_double.engine import Engine
from clinic_booking.models import Notification
from scheduling import consistency, effort, work_lists
from scheduling.demo import seed
from scheduling.demo.history import make_history
from scheduling.demo.people import make_patients
from scheduling.demo.today import stage_today
from scheduling.models import Booking, DeskNote, Overbooking, WalkIn

DAYS = 7


@pytest.fixture(scope="module")
def clinics(django_db_setup, django_db_blocker):
    """Seeded once for all tests of this file."""
    atomic = transaction.atomic()
    atomic._from_testcase = True
    with django_db_blocker.unblock(), atomic:
        made = seed(say=lambda text: None, days=DAYS)
        stage_today(made, make_patients())
        bill_bookings(made)
        pay_bills(made)
        make_history(made)
        make_till(made)
        make_online(made, Engine())
        yield made
        transaction.set_rollback(True)


@pytest.fixture
def seeded(clinics, db):
    return clinics


def test_everything_is_consistent(seeded):
    assert list(consistency.broken()) == []


def test_walk_ins_wait_in_each_clinic(seeded):
    for clinic in seeded:
        waiting = WalkIn.objects.filter(visit__clinic=clinic, booking=None, left_at=None)
        assert waiting.count() == 3
        assert not waiting.filter(visit__number=None).exists()


def test_visits_are_in_all_steps(seeded):
    open_today = [clinic for clinic in seeded if len(today(clinic)) >= 10]  # none on a public holiday
    for clinic in open_today:
        steps = {(b.status, bool(b.called_at), bool(b.started_at)) for b in today(clinic)}
        assert {("arrived", True, True), ("arrived", True, False), ("arrived", False, False)} <= steps
        assert DeskNote.objects.filter(booking__clinic=clinic, done_at=None).exists()


def today(clinic):
    first, until = clinic.day_bounds(clinic.today())
    return list(Booking.objects.live().filter(clinic=clinic, starts_at__gte=first, starts_at__lt=until))


def test_there_is_work_to_do(seeded):
    counts = work_lists.counts(seeded[0])

    assert counts["messages"] == 1
    assert counts["contacts"] == 2


def test_one_visit_is_added_on_purpose(seeded):
    assert Overbooking.objects.filter(booking__clinic=seeded[0], ended_at=None).count() == 1


def test_report_has_three_months(seeded):
    day = seeded[0].today()
    report = effort.report(clinics=seeded, first=day - dt.timedelta(90), last=day)
    whole = report.of()

    assert Booking.objects.filter(finished_at__isnull=False).count() > 500
    assert whole.saved > 0.4
    assert min(whole.channels[channel] for channel in effort.CHANNELS) > 20


def test_second_run_changes_nothing(seeded):
    before = list(Booking.objects.order_by("pk").values()), list(WalkIn.objects.order_by("pk").values())

    stage_today(seeded, make_patients())

    assert make_history(seeded) == 0
    assert (
        list(Booking.objects.order_by("pk").values()),
        list(WalkIn.objects.order_by("pk").values()),
    ) == before


def test_messages_are_in_every_state(seeded):
    states = set(Notification.objects.values_list("status", flat=True))
    assert states == {state.value for state in Notification.Status}
    assert Booking.objects.filter(confirmed_version=F("version")).count() == 4
    for clinic in seeded:
        assert sorted(clinic.reminder_rules.values_list("minutes_before", flat=True)) == [120, 4320]
    waiting = work_lists.LISTS["messages"].find(seeded[0])
    assert [row.kind for row in waiting] == [
        "booked"
    ]  # what fell back or was told by telephone waits for nobody


# -- Money ---------------------------------------------------------------------------------------


def test_last_day_was_closed_with_a_small_difference(seeded):
    for clinic in seeded:
        close = CashClose.objects.get(clinic=clinic)
        assert (close.difference_cents, close.date < clinic.today(), bool(close.note)) == (-200, True, True)
        [sheet] = closing.sheets(clinic, close.date)
        assert (sheet.after_cents, len(sheet.sums)) == (0, 3)
        first, until = clinic.day_bounds(close.date)
        of_day = Bill.objects.filter(booking__visit__date=close.date, clinic=clinic, contract=None)
        assert not of_day.exclude(issued_at__range=(first, until)).exists()


def test_parts_are_paid_and_money_given_back(seeded):
    for clinic in seeded:
        assert Bill.objects.filter(clinic=clinic, booking__isnull=False, status="part_paid").exists()
        assert DeskRefund.objects.filter(bill__clinic=clinic, counter_cents=1000).count() == 1
    assert Payment.objects.filter(status="paid").count() == 3
    assert DeskRefund.objects.get(counter_cents=0).online_cents == 2000
    assert Dispute.objects.get().payment.is_disputed


def test_second_run_moves_no_money(seeded):
    before = list(LedgerPosting.objects.order_by("pk").values_list("key", flat=True))
    assert (bill_bookings(seeded), pay_bills(seeded), make_history(seeded)) == (0, 0, 0)
    assert (make_till(seeded), make_online(seeded, Engine())) == (0, 0)
    assert list(LedgerPosting.objects.order_by("pk").values_list("key", flat=True)) == before
