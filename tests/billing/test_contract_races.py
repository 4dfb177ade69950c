"""Contracts confirmed and cancelled by several at once, on real transactions."""

import functools

import pytest
from django.db import transaction

from billing import contracts
from billing.contracts import Undecided
from clinic_booking.models import Event
from scheduling import booking, matching
from scheduling.errors import BookingError
from scheduling.models import Booking, BookingRequest, SessionTicket
from tests.billing.courses import make_draft, make_mornings
from tests.invariants import broken
from tests.race import Rival, before, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def all_promises_kept(transactional_db):
    yield
    assert broken() == {}


@pytest.fixture
def draft(practitioner, station, service, clinic, patient):
    make_mornings(practitioner, station)
    return make_draft(clinic, patient, service)


def confirming(contract):
    return functools.partial(contracts.confirm_contract, reference=contract.reference, by=None)


def cancelling(contract, *, kept=False):
    decisions = {visit.pk: kept for visit in contracts.future_bookings(contract)}
    return functools.partial(
        contracts.cancel_contract, reference=contract.reference, by=None, decisions=decisions
    )


def live(contract):
    return Booking.objects.live().filter(session__request__contract=contract.reference)


def test_confirmed_by_three_at_once_it_has_one_set_of_sessions(draft):
    outcomes = together(*[confirming(draft)] * 3)

    assert {outcome.status for outcome in outcomes} == {"confirmed"}
    assert BookingRequest.objects.count() == 1
    assert SessionTicket.objects.count() == live(draft).count() == 6
    assert Event.objects.filter(topic="contract.confirmed").count() == 1


def test_planned_by_page_and_job_at_once(draft):
    contracts.confirm_contract(reference=draft.reference, by=None, plan=False)
    plan = functools.partial(contracts.plan_contract, contract_id=draft.pk, by=None)

    outcomes = together(plan, functools.partial(plan, untried=True))

    assert sum(len(outcome.placed) for outcome in outcomes) == 6
    assert live(draft).count() == 6
    days = sorted(live(draft).values_list("starts_at", flat=True))
    assert {(b - a).days for a, b in zip(days, days[1:], strict=False)} == {7}


def test_cancelled_while_its_sessions_are_planned(draft):
    """Either the new visits are seen and must be decided, or they are not made."""
    contracts.confirm_contract(reference=draft.reference, by=None, plan=False)
    request = contracts.requests_of(draft).get()

    cancelled, _planned = together(
        cancelling(draft), functools.partial(matching.autofill, request_id=request.pk, by=None)
    )

    draft.refresh_from_db()
    if isinstance(cancelled, Undecided):
        assert (draft.status, live(draft).count()) == ("confirmed", 6)
    else:
        assert (draft.status, live(draft).count()) == ("cancelled", 0)


def test_visit_placed_just_before_the_request_closes_is_seen(draft, monkeypatch):
    """The rival commits between the look at the visits and the closing of the request."""
    contracts.confirm_contract(reference=draft.reference, by=None, plan=False)
    request = contracts.requests_of(draft).get()
    plan = functools.partial(matching.autofill, request_id=request.pk, by=None)
    before(monkeypatch, "billing.contracts.requests_of", lambda: Rival(plan).outcome())

    with pytest.raises(Undecided):
        cancelling(draft)()

    draft.refresh_from_db()
    assert (draft.status, live(draft).count()) == ("confirmed", 6)


def test_patient_cancels_a_visit_while_the_contract_is_cancelled(draft, patient):
    contracts.confirm_contract(reference=draft.reference, by=None)
    visit = live(draft).first()

    def by_patient():
        with transaction.atomic():
            return booking.cancel_booking(booking_id=visit.pk, by=patient.user, reason="patient")

    outcomes = together(cancelling(draft), by_patient)

    refused = [outcome for outcome in outcomes if isinstance(outcome, BookingError | Undecided)]
    assert len(refused) == 1
    assert live(draft).count() in (0, 5)
    planned = SessionTicket.objects.filter(status="planned", request__closed_at__isnull=False)
    assert not planned.exists()
