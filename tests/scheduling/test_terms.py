"""What is agreed when a visit is booked, and what not coming costs. The rules of rounding are the database's alone."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scheduling import arrivals, booking, errors
from scheduling.models import Booking, Clinic, Hold, ServicePolicy, Slot
from scheduling.overbooking import overbook
from scheduling.terms import Outcome, outcome_of, rule_of, rules_of
from tests import factories

TERMS = ("free_cancel_hours", "late_cancel_fee_cents", "no_show_fee_cents")
percents = st.integers(0, 100)


def half_up(cents, percent):
    return int((Decimal(cents) * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    policy=st.sampled_from(["pay_now", "deposit", "pay_at_clinic"]),
    deposit=st.integers(1, 100),
    late=percents,
    gone=percents,
    price=st.integers(0, 2**31 - 1),
)
@example(policy="deposit", deposit=30, late=50, gone=100, price=0)
@example(policy="deposit", deposit=1, late=1, gone=1, price=49)
@example(policy="deposit", deposit=1, late=50, gone=100, price=4999)
@example(policy="pay_now", deposit=1, late=33, gone=67, price=150)
def test_cents_follow_from_percents(policy, deposit, late, gone, price):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM visit_terms(%s, %s, %s, %s, %s)", [policy, deposit, late, gone, price])
        due, late_fee, gone_fee = cursor.fetchone()
    expected = {"pay_now": price, "deposit": min(price, max(50, half_up(price, deposit))), "pay_at_clinic": 0}
    assert due == expected[policy]
    assert (late_fee, gone_fee) == (half_up(price, late), half_up(price, gone))
    assert max(due, late_fee, gone_fee) <= price
    assert due == 0 or due >= min(50, price)


# -- Frozen --------------------------------------------------------------------------------------


@pytest.fixture
def terms(clinic):
    """10 hours, 40 % when late, 90 % when not come, a deposit of 30 %."""
    Clinic.objects.update(
        payment_policy="deposit",
        deposit_percent=30,
        free_cancel_hours=10,
        late_cancel_percent=40,
        no_show_percent=90,
    )


def agreed(made):
    made.refresh_from_db()
    return tuple(getattr(made, name) for name in TERMS)


def hold(slot, service, patient=None, **more):
    return booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner="me", patient=patient, **more)


def confirm(held, patient):
    with transaction.atomic():
        return booking.confirm_hold(hold_id=held.pk, patient=patient)


@pytest.mark.usefixtures("terms")
def test_later_policy_changes_nothing_that_was_agreed(slots, service, patient):
    held = hold(slots[0], service)
    assert (held.due_cents, *[getattr(held, name) for name in TERMS]) == (1950, 10, 2600, 5850)
    Clinic.objects.update(payment_policy="pay_now", free_cancel_hours=99, late_cancel_percent=0)
    made = confirm(held, patient)
    assert tuple(getattr(made, name) for name in TERMS) == (10, 2600, 5850)
    assert agreed(made) == (10, 2600, 5850)
    assert Hold.objects.get().due_cents == 1950


@pytest.mark.usefixtures("terms")
def test_service_has_its_own_terms(slots, service, clinic):
    other = factories.ClinicFactory()
    for where, hours in ((clinic, 48), (other, 1)):
        ServicePolicy.objects.create(
            clinic=where, service=service, payment_policy="pay_at_clinic", free_cancel_hours=hours,
            late_cancel_percent=10, no_show_percent=20,
        )  # fmt: skip
    held = hold(slots[0], service)
    assert (held.due_cents, *agreed(held)) == (0, 48, 650, 1300)


@pytest.mark.usefixtures("terms")
def test_what_is_held_together_is_agreed_together(slots, service, patient, clinic):
    parts = [booking.Part(slots[n].pk, service.pk) for n in (0, 2)]
    held = booking.hold_together(parts=parts, owner="me", patient=patient)
    assert [each.due_cents for each in held] == [1950, 1950]


@pytest.mark.usefixtures("terms")
def test_offer_keeps_its_terms(slots, service, patient):
    request = factories.BookingRequestFactory(patient=patient, service=service)
    session = factories.SessionTicketFactory(request=request)
    with transaction.atomic():
        offer = booking.hold_offer(slot_id=slots[0].pk, session_id=session.pk, patient=patient, seconds=3600)
    Clinic.objects.update(payment_policy="pay_now", free_cancel_hours=99)
    taken = booking.take_offer(hold_id=offer.pk, owner="browser")
    assert (taken.due_cents, *agreed(taken)) == (1950, 10, 2600, 5850)


@pytest.mark.usefixtures("terms")
def test_without_a_hold_the_terms_are_those_of_the_moment(slots, service, patient):
    request = factories.BookingRequestFactory(patient=patient, service=service)
    session = factories.SessionTicketFactory(request=request)
    with transaction.atomic():
        placed = booking.place_sessions(places=[booking.Place(session.pk, slots[0].pk)], by=None)
    assert agreed(placed.booked[0]) == (10, 2600, 5850)


@pytest.mark.usefixtures("terms")
def test_prepaid_session_has_no_fee(slots, service, patient):
    request = factories.BookingRequestFactory(patient=patient, service=service, is_prepaid=True)
    session = factories.SessionTicketFactory(request=request)
    held = hold(slots[0], service, patient, session_id=session.pk)
    assert (held.due_cents, *agreed(held)) == (0, 10, 0, 0)


@pytest.mark.usefixtures("terms")
def test_overbooked_visit_has_terms_too(slots, service, patient, receptionist):
    where = {"clinic": slots[0].clinic, "practitioner": slots[0].practitioner, "station": slots[0].station}
    template = factories.ScheduleTemplateFactory(**where, overbook_limit=2)
    Slot.objects.update(template=template)
    receptionist.memberships.update(can_overbook=True)
    factories.book(slots[:1], service=service)
    with transaction.atomic():
        made = overbook(
            **where,
            service=service,
            starts_at=slots[0].starts_at,
            patient=patient,
            reason="pain",
            by=receptionist,
        )
    assert tuple(getattr(made, name) for name in TERMS) == (10, 2600, 5850)


# -- Cancelling ----------------------------------------------------------------------------------


@pytest.fixture
def visit(terms, slots, service, patient):
    """In time for another hour."""
    made = factories.book(slots[:1], patient=patient, service=service)
    begin = Now() + dt.timedelta(hours=11)
    Booking.objects.filter(pk=made.pk).update(starts_at=begin, ends_at=begin + dt.timedelta(minutes=20))
    made.refresh_from_db()
    return made


def be_late(made, hours=2):
    Booking.objects.filter(pk=made.pk).update(
        starts_at=F("starts_at") - dt.timedelta(hours=hours), ends_at=F("ends_at") - dt.timedelta(hours=hours)
    )


def cancel(made, reason="patient", **more):
    with transaction.atomic():
        booking.cancel_booking(booking_id=made.pk, by=None, reason=reason, **more)
    made.refresh_from_db()
    return made.status, made.fee_cents


def test_in_time_it_costs_nothing(visit):
    assert cancel(visit, patient_asks=True) == ("cancelled", 0)


def test_late_it_costs_the_fee(visit):
    be_late(visit)
    assert cancel(visit, patient_asks=True) == ("cancelled", 2600)


def test_the_clinic_cancels_for_nothing(visit):
    be_late(visit)
    assert cancel(visit, reason="clinic") == ("cancelled", 0)


def test_nothing_is_cancelled_at_another_price_than_was_shown(visit):
    """The deadline passed while the page was open."""
    seen = outcome_of(visit, booking.database_now(), by_patient=True)
    be_late(visit)
    with pytest.raises(errors.FeeChanged):
        cancel(visit, patient_asks=True, seen=seen)
    visit.refresh_from_db()
    assert (visit.status, visit.fee_cents) == ("booked", None)
    assert cancel(visit, patient_asks=True, seen=Outcome(2600)) == ("cancelled", 2600)


def test_session_of_a_contract_that_is_used_up_is_asked_about_too(visit):
    be_late(visit)
    type(visit.session.request).objects.update(source="contract", is_prepaid=True)
    Booking.objects.update(price_cents=0, late_cancel_fee_cents=0, no_show_fee_cents=0)
    with pytest.raises(errors.FeeChanged):
        cancel(visit, patient_asks=True, seen=Outcome())
    assert cancel(visit, patient_asks=True, seen=Outcome(0, 1)) == ("cancelled", 0)
    visit.session.refresh_from_db()
    assert visit.session.status == "forfeited"


@pytest.mark.parametrize("shown", ["", "x", "1", "1-", "²-1", "99999999999-0", "-1-0", "1-0-0"])
def test_what_cannot_be_read_was_not_shown(shown):
    assert Outcome.read(shown) == Outcome()


def test_outcome_comes_back_as_it_was_sent():
    assert Outcome.read(str(Outcome(2600, 3))) == Outcome(2600, 3)


# -- Not attended --------------------------------------------------------------------------------


@pytest.fixture
def missed(visit, receptionist):
    """This day at the clinic, whatever the time of day."""
    begin = booking.database_now() - dt.timedelta(seconds=1)
    Booking.objects.filter(pk=visit.pk).update(starts_at=begin, ends_at=begin + dt.timedelta(minutes=20))
    with transaction.atomic():
        return arrivals.no_show(booking_id=visit.pk, by=receptionist)


def undo(made, by):
    with transaction.atomic():
        return arrivals.undo_status(booking_id=made.pk, by=by)


def test_no_show_costs_what_was_agreed(missed):
    assert missed.fee_cents == 5850


def test_undo_is_refused_when_the_day_is_over(missed, receptionist):
    over = missed.clinic.day_bounds(missed.clinic.local_date(missed.starts_at))[1]
    assert missed.may_still_come(over - dt.timedelta(seconds=1))
    assert not missed.may_still_come(over)
    be_late(missed, hours=24)
    with pytest.raises(errors.BillSettled):
        undo(missed, receptionist)


def test_undo_is_refused_where_the_fee_was_waived(missed, receptionist):
    Booking.objects.update(fee_cents=0)
    with pytest.raises(errors.BillSettled):
        undo(missed, receptionist)


# -- In words ------------------------------------------------------------------------------------


def in_words(late, gone, *, in_time=True, hours=24):
    clinic = Clinic(time_zone="Asia/Singapore")
    visit = Hold(
        clinic=clinic, starts_at=dt.datetime(2026, 11, 28, 1, tzinfo=dt.UTC), free_cancel_hours=hours,
        price_cents=10000, late_cancel_fee_cents=late, no_show_fee_cents=gone,
    )  # fmt: skip
    now = dt.datetime(2026, 11, 20 if in_time else 28, tzinfo=dt.UTC)
    return rule_of(visit, now).replace("\xa0", "")


def test_rule_says_until_when_and_how_much():
    assert in_words(5000, 10000) == (
        "Free to change or cancel until Fri 27 Nov, 09:00. After that S$50.00 is charged; S$100.00 if you do not come."
    )
    assert in_words(5000, 5000).endswith("After that, or if you do not come, S$50.00 is charged.")
    assert in_words(0, 0) == "Free to change or cancel until Fri 27 Nov, 09:00."
    assert in_words(0, 700).endswith("S$7.00 is charged if you do not come.")
    assert in_words(700, 0).endswith("After that S$7.00 is charged.")


def test_rule_when_it_is_late_already():
    assert in_words(5000, 10000, in_time=False) == (
        "It is too late to change this visit free of charge. "
        "If you cancel, S$50.00 is charged; S$100.00 if you do not come."
    )
    assert in_words(0, 0, in_time=False).endswith("Cancelling costs nothing until it begins.")


@pytest.mark.usefixtures("terms")
def test_same_rule_is_said_once(slots, service, patient):
    parts = [booking.Part(slots[n].pk, service.pk) for n in (0, 2)]
    held = booking.hold_together(parts=parts, owner="me", patient=patient)
    now = held[0].starts_at - dt.timedelta(days=3)
    assert [rule.replace("\xa0", "") for rule in rules_of(held, now)] == [
        "Each is free to change or cancel until 10 hours before it. "
        "After that S$26.00 is charged; S$58.50 if you do not come."
    ]
    held[1].free_cancel_hours = 5
    assert [rule.partition(":")[0] for rule in rules_of(held, now)] == [service.name] * 2
