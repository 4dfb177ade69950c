"""On instances that can be solved exactly, the matcher finds the optimum; on any, it keeps every rule."""

import pytest

from scheduling import matching
from scheduling.models import SessionTicket
from tests.scheduling import backlogs
from tests.scheduling.hard_rules import broken_rules

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(32))
def test_plan_is_the_optimum(seed):
    clinic = backlogs.make(seed)
    planned = list(SessionTicket.objects.filter(status="planned").values_list("pk", flat=True))
    best = backlogs.Exact(clinic).solve()
    report = matching.match_requests()
    found = backlogs.score(clinic, of=planned)
    assert broken_rules() == []
    assert (found["sessions"], found["urgency"]) == (best["sessions"], best["urgency"])
    assert report.bound == report.planned == report.placed == best["sessions"]
    assert found["worth"] >= best["worth"] - abs(best["worth"]) / 100
