"""On instances that can be solved exactly, the matcher finds the optimum; on any, it keeps every rule."""

from unittest import mock

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling import matching
from scheduling.matching import optimise
from scheduling.models import BookingRequest, SessionTicket
from tests.scheduling import backlogs
from tests.scheduling.hard_rules import broken_rules

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(32))
def test_plan_is_the_optimum(seed):
    clinic = backlogs.make(seed)
    planned = list(SessionTicket.objects.filter(status="planned").values_list("pk", flat=True))
    best, before = backlogs.Exact(clinic).solve(), broken_rules()
    report = matching.match_requests()
    found = backlogs.score(clinic, of=planned)
    assert broken_rules() == before  # staff may have booked a session against its rules
    assert (found["sessions"], found["urgency"]) == (best["sessions"], best["urgency"])
    assert report.bound == report.planned == report.placed == best["sessions"]
    assert found["worth"] >= best["worth"] - abs(best["worth"]) / 100


@given(seed=st.integers(100, 10**6), solvable=st.sampled_from([0, 60, 20_000]), singly=st.booleans())
@settings(max_examples=15, deadline=None)
def test_no_plan_breaks_a_hard_rule(seed, solvable, singly):
    """Whether or not the solver takes part, and one request at a time too."""
    savepoint = transaction.savepoint()
    try:
        backlogs.make(seed)
        before = broken_rules()
        if singly:
            for request in BookingRequest.objects.filter(sessions__status="planned").distinct():
                matching.autofill(request_id=request.pk, by=None)
        with mock.patch.object(optimise, "SOLVABLE", solvable):
            report = matching.match_requests()
        assert broken_rules() == before
        assert report.greedy <= report.planned <= report.bound
        left = SessionTicket.objects.filter(status="planned")
        assert not left.filter(unplaced_reason="").exists()
        assert left.count() == report.unplaced
    finally:
        transaction.savepoint_rollback(savepoint)
