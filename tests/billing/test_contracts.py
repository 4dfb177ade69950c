import datetime as dt
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing import bills, contracts, jobs
from billing.contracts import AlreadyOver, Incomplete, NotDraft, Terms, Undecided
from billing.models import Contract, ContractLine
from clinic_booking.models import Event
from scheduling import booking, matching
from scheduling.demand import PatternSpec, Policies, Unmeetable
from scheduling.models import Booking, BookingRequest, SessionTicket
from tests import factories
from tests.billing.courses import WEEKLY, make_draft, make_mornings
from tests.clock import on_the_day

pytestmark = pytest.mark.django_db


@pytest.fixture
def mornings(practitioner, station, service):
    return make_mornings(practitioner, station)


@pytest.fixture
def draft(mornings, clinic, patient, service):
    return make_draft(clinic, patient, service)


@pytest.fixture
def confirmed(draft, receptionist):
    return contracts.confirm_contract(reference=draft.reference, by=receptionist)


def sessions(contract):
    return SessionTicket.objects.filter(request__line__contract=contract).order_by("number")


def statuses(contract):
    return list(sessions(contract).values_list("status", flat=True))


def booked(contract):
    return Booking.objects.live().filter(session__in=sessions(contract)).order_by("starts_at")


def terms(service, **values):
    today = timezone.localdate()
    known = {
        "quantity": 6,
        "price_cents": 22000,
        "valid_from": today,
        "valid_until": today + dt.timedelta(90),
    }
    return Terms(service=service, **known | values)


# -- Drafts --------------------------------------------------------------------------------------


def test_references_count_up_in_the_year(clinic, patient, receptionist):
    made = [contracts.draft_contract(patient=patient, clinic=clinic, by=receptionist) for _ in range(2)]
    year = clinic.today().year
    assert [contract.reference for contract in made] == [f"C-{year}-0001", f"C-{year}-0002"]


def test_draft_is_no_demand(draft):
    assert draft.is_draft
    assert draft.total_cents == 6 * 20000
    assert not BookingRequest.objects.exists()
    assert not Event.objects.exists()


def test_patient_without_contact_gets_no_contract(clinic, receptionist):
    patient = factories.PatientFactory(email="", phone="")
    with pytest.raises(Incomplete, match="neither an e-mail address nor a phone number"):
        contracts.draft_contract(patient=patient, clinic=clinic, by=receptionist)
    assert not Contract.objects.exists()


def test_line_is_written_anew_with_its_patterns(draft, service, receptionist):
    line = draft.lines.get()
    changed = contracts.put_line(
        contract_id=draft.pk,
        line_id=line.pk,
        terms=terms(service, quantity=3, patterns=[PatternSpec(min_gap_days=14), WEEKLY]),
        by=receptionist,
    )
    added = contracts.put_line(contract_id=draft.pk, terms=terms(service), by=receptionist)

    assert (changed.pk, changed.quantity, changed.position, added.position) == (line.pk, 3, 1, 2)
    assert [(p.is_hard, p.min_gap_days) for p in line.patterns.order_by("pk")] == [(False, 14), (True, 7)]
    contracts.remove_line(contract_id=draft.pk, line_id=line.pk, by=receptionist)
    assert [line.pk for line in draft.lines.all()] == [added.pk]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"quantity": 0}, "Between 1 and 100"),
        ({"quantity": 1000}, "not 1000"),
        ({"price_cents": -1}, "A session can cost between"),
        ({"price_cents": 10_000_001}, "A session can cost between"),
        ({"valid_until": dt.date(2020, 1, 1)}, "before “valid from”"),
        ({"valid_from": dt.date(2020, 1, 1), "valid_until": dt.date(2020, 1, 2)}, "The validity is over"),
        ({"patterns": [PatternSpec(is_hard=True, from_time=dt.time(18))]}, "between 09:00 and 10:00 only"),
        ({"patterns": [PatternSpec(is_hard=True, min_gap_days=60)]}, "only 2 of 6 sessions fit"),
    ],
)
def test_line_that_cannot_be_met_is_refused_at_entry(draft, service, receptionist, values, said):
    with pytest.raises(Unmeetable, match=said):
        contracts.put_line(contract_id=draft.pk, terms=terms(service, **values), by=receptionist)
    assert draft.lines.count() == 1


# -- Confirming ----------------------------------------------------------------------------------


def test_confirming_plans_all_sessions(confirmed, patient, receptionist):
    request = BookingRequest.objects.get(contract=confirmed.reference)
    visits = list(booked(confirmed))

    assert (confirmed.status, confirmed.confirmed_by) == ("confirmed", receptionist)
    assert (request.quantity, request.is_prepaid, request.source) == (6, True, "contract")
    assert PatternSpec.of(request.patterns.get()) == WEEKLY
    assert statuses(confirmed) == ["scheduled"] * 6
    assert {visit.price_cents for visit in visits} == {0}
    days = [timezone.localdate(visit.starts_at) for visit in visits]
    assert {(b - a).days for a, b in zip(days, days[1:], strict=False)} == {7}


def test_confirming_again_changes_nothing(confirmed, receptionist):
    before = list(Booking.objects.values("pk", "version"))
    again = contracts.confirm_contract(reference=confirmed.reference, by=None)

    assert again.confirmed_by == receptionist
    assert BookingRequest.objects.count() == 1
    assert list(Booking.objects.values("pk", "version")) == before
    assert Event.objects.filter(topic="contract.confirmed").count() == 1


def test_sessions_without_a_time_say_why(practitioner, station, service, clinic, patient, receptionist):
    mornings = make_mornings(practitioner, station, weeks=4)
    draft = make_draft(clinic, patient, service, quantity=4)
    factories.book(mornings[3])

    contract = contracts.confirm_contract(reference=draft.reference, by=receptionist)

    assert sorted(statuses(contract)) == ["planned", "scheduled", "scheduled", "scheduled"]
    assert sessions(contract).get(status="planned").unplaced_reason


def test_planning_goes_on_where_the_process_died(draft, receptionist, monkeypatch):
    monkeypatch.setattr(contracts, "plan_contract", lambda **_: None)
    contracts.confirm_contract(reference=draft.reference, by=receptionist)
    monkeypatch.undo()
    assert statuses(draft) == ["planned"] * 6
    event = Event.objects.get(topic="contract.confirmed")

    jobs.plan_confirmed(event)
    visits = list(booked(draft))
    jobs.plan_confirmed(event)

    assert statuses(draft) == ["scheduled"] * 6
    assert list(booked(draft)) == visits


def test_what_was_tried_is_not_tried_again_by_the_job(draft, monkeypatch, receptionist):
    monkeypatch.setattr(contracts, "plan_contract", lambda **_: None)
    contracts.confirm_contract(reference=draft.reference, by=receptionist)
    monkeypatch.undo()
    sessions(draft).update(tried_at=timezone.now())
    monkeypatch.setattr(matching, "autofill", lambda **_: pytest.fail("tried again"))

    jobs.plan_confirmed(Event.objects.get(topic="contract.confirmed"))


def test_contract_without_lines_is_not_confirmed(draft, receptionist):
    draft.lines.all().delete()
    with pytest.raises(Incomplete, match="no line yet"):
        contracts.confirm_contract(reference=draft.reference, by=receptionist)
    draft.refresh_from_db()
    assert draft.is_draft


def test_one_bad_line_confirms_nothing(draft, service, practitioner, receptionist):
    """What was fine when it was entered may not be any more."""
    other = factories.ServiceFactory(name="Peeling")
    factories.ContractLineFactory(contract=draft, service=other)

    with pytest.raises(Incomplete, match="Peeling: Nobody offers Peeling at present"):
        contracts.confirm_contract(reference=draft.reference, by=receptionist)

    draft.refresh_from_db()
    assert draft.is_draft
    assert not BookingRequest.objects.exists()
    assert not Event.objects.exists()


def test_confirmed_contract_is_frozen(confirmed, service, receptionist):
    line = confirmed.lines.get()
    for change in (
        lambda: contracts.put_line(contract_id=confirmed.pk, terms=terms(service), by=receptionist),
        lambda: contracts.remove_line(contract_id=confirmed.pk, line_id=line.pk, by=receptionist),
        lambda: contracts.change_draft(
            contract_id=confirmed.pk, policies=Policies(), signed_on=None, note="x", by=receptionist
        ),
    ):
        with pytest.raises(NotDraft):
            change()
    assert list(confirmed.lines.all()) == [line]


def test_bill_of_a_session_says_which(confirmed):
    second = booked(confirmed)[1]
    bill = bills.keep_bill(second.pk)
    assert (bill.status, bill.total_cents) == ("paid", 0)
    assert bill.lines.get().description == "General consultation: session 2 of 6, prepaid"


# -- Policies ------------------------------------------------------------------------------------


@pytest.fixture
def long_after(monkeypatch):
    on_the_day(monkeypatch, timezone.now() + dt.timedelta(400))


@pytest.mark.parametrize(("policy", "becomes"), [("return", "planned"), ("forfeit", "forfeited")])
def test_no_show_follows_the_contract(draft, receptionist, policy, becomes, long_after):
    Contract.objects.filter(pk=draft.pk).update(no_show=policy)
    contract = contracts.confirm_contract(reference=draft.reference, by=receptionist)
    visit = booked(contract).first()

    booking.no_show(booking_id=visit.pk, by=receptionist)

    visit.session.refresh_from_db()
    assert visit.session.status == becomes


@pytest.mark.parametrize(("policy", "becomes"), [("return", "planned"), ("forfeit", "forfeited")])
def test_late_cancel_follows_the_contract(draft, receptionist, clinic, patient, policy, becomes):
    clinic.free_cancel_hours = 24 * 30
    clinic.save()
    Contract.objects.filter(pk=draft.pk).update(late_cancel=policy)
    contract = contracts.confirm_contract(reference=draft.reference, by=receptionist)
    visit = booked(contract).first()

    booking.cancel_booking(booking_id=visit.pk, by=patient.user, reason="patient")

    visit.session.refresh_from_db()
    assert visit.session.status == becomes


def test_returned_session_is_planned_again(confirmed, patient):
    visit = booked(confirmed).last()
    booking.cancel_booking(booking_id=visit.pk, by=patient.user, reason="patient", patient_asks=True)
    assert statuses(confirmed).count("planned") == 1

    planned = contracts.plan_contract(contract_id=confirmed.pk, by=None)

    assert [each.session_id for each in planned.placed] == [visit.session_id]
    assert statuses(confirmed) == ["scheduled"] * 6
    assert Booking.objects.filter(session=visit.session).count() == 2


# -- Ending --------------------------------------------------------------------------------------


def decide(contract, *kept):
    return {visit.pk: visit in kept for visit in contracts.future_bookings(contract)}


def test_cancelling_ends_what_is_to_come_and_keeps_what_was_kept(confirmed, receptionist):
    visits = list(booked(confirmed))
    booking.cancel_booking(booking_id=visits[5].pk, by=None, reason="clinic")
    assert statuses(confirmed)[-1] == "planned"

    cancelled = contracts.cancel_contract(
        reference=confirmed.reference,
        by=receptionist,
        reason="Moves away",
        decisions=decide(confirmed, visits[0]),
    )

    assert (cancelled.status, cancelled.cancelled_by, cancelled.cancel_reason) == (
        "cancelled",
        receptionist,
        "Moves away",
    )
    assert statuses(confirmed) == ["scheduled", *["cancelled"] * 5]
    assert list(booked(confirmed)) == [visits[0]]
    assert BookingRequest.objects.get().closed_at
    assert visits[0].slots.exists()
    assert not visits[1].slots.exists()
    told = Event.objects.get(topic="contract.cancelled").data
    assert (told["kept"], len(told["cancelled"])) == ([visits[0].pk], 4)


def test_cancelling_again_changes_nothing(confirmed, receptionist):
    contracts.cancel_contract(reference=confirmed.reference, by=receptionist, decisions=decide(confirmed))
    contracts.cancel_contract(reference=confirmed.reference, by=None)
    assert Event.objects.filter(topic="contract.cancelled").count() == 1


def test_each_future_visit_must_be_decided(confirmed, receptionist):
    decisions = decide(confirmed)
    for wrong in ({}, dict(list(decisions.items())[1:]), decisions | {10**6: True}):
        with pytest.raises(Undecided):
            contracts.cancel_contract(reference=confirmed.reference, by=receptionist, decisions=wrong)
    confirmed.refresh_from_db()
    assert confirmed.status == "confirmed"
    assert booked(confirmed).count() == 6


def test_nothing_is_cancelled_when_one_visit_cannot_be(confirmed, receptionist, monkeypatch):
    def refuse(**_):
        raise booking_error

    booking_error = AlreadyOver()
    monkeypatch.setattr(contracts.demand, "close_request", refuse)
    with pytest.raises(AlreadyOver):
        contracts.cancel_contract(reference=confirmed.reference, by=receptionist, decisions=decide(confirmed))
    confirmed.refresh_from_db()
    assert confirmed.status == "confirmed"
    assert booked(confirmed).count() == 6


def test_draft_can_be_thrown_away_but_not_confirmed_then(draft, receptionist):
    contracts.cancel_contract(reference=draft.reference, by=receptionist)
    with pytest.raises(AlreadyOver):
        contracts.confirm_contract(reference=draft.reference, by=receptionist)
    assert not BookingRequest.objects.exists()


def test_contract_is_completed_with_its_last_session(confirmed, receptionist, long_after):
    visits = list(booked(confirmed))
    for visit in visits[:5]:
        booking.complete(booking_id=visit.pk, by=receptionist)
        contracts.complete_if_done(booking_id=visit.pk)
    confirmed.refresh_from_db()
    assert confirmed.status == "confirmed"

    booking.no_show(booking_id=visits[5].pk, by=receptionist)
    for topic in ("appointment.noshow", "appointment.fulfilled"):
        jobs.complete_contract(Event.objects.filter(topic=topic).first())

    confirmed.refresh_from_db()
    assert confirmed.status == "completed"
    assert Event.objects.filter(topic="contract.completed").count() == 1
    with pytest.raises(AlreadyOver):
        contracts.cancel_contract(reference=confirmed.reference, by=receptionist)

    booking.undo_status(booking_id=visits[0].pk, by=receptionist)
    for _ in range(2):
        jobs.reopen_contract(Event.objects.get(topic="appointment.reverted"))
    confirmed.refresh_from_db()
    assert confirmed.status == "confirmed"
    assert Event.objects.filter(topic="contract.reopened").count() == 1


# -- The database itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "confirmed"},
        {"status": "completed"},
        {"status": "cancelled"},
        {"confirmed_at": timezone.now()},
        {"cancelled_at": timezone.now()},
        {"reference": "6 sessions"},
    ],
)
def test_status_has_its_time(draft, wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        Contract.objects.filter(pk=draft.pk).update(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"quantity": 0}, {"quantity": 101}, {"price_cents": 10_000_001}, {"valid_until": dt.date(2020, 1, 1)}],
)
def test_line_is_sane(draft, wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        ContractLine.objects.filter(contract=draft).update(**wrong)


# -- The command ---------------------------------------------------------------------------------


def confirm_by_command(*arguments):
    out = io.StringIO()
    call_command("confirm_contract", *arguments, stdout=out)
    return out.getvalue()


def test_command_confirms_and_lists_the_sessions(draft):
    answer = json.loads(confirm_by_command(draft.reference, "--json"))
    assert (answer["status"], len(answer["sessions"])) == ("confirmed", 6)
    assert answer["sessions"][0]["starts_at"] == factories.tomorrow_at(9).isoformat()
    assert "6 of 6 sessions have a time" in confirm_by_command(draft.reference)


def test_command_fails_for_what_cannot_be_confirmed(draft):
    draft.lines.all().delete()
    with pytest.raises(CommandError, match="no line yet"):
        confirm_by_command(draft.reference)
    with pytest.raises(CommandError, match="There is no contract C-1"):
        confirm_by_command("C-1")
