"""Two desks at once give the same right."""

import threading

import pytest

from patients.models import Proxy
from patients.proxies import acts
from tests.factories import UserFactory
from tests.proxies.given import child, given
from tests.race import Rival


@pytest.mark.django_db(transaction=True)
def test_of_two_grants_at_once_one_counts():
    mia, user, meets = child(), UserFactory(), threading.Barrier(2)
    rivals = [Rival(lambda: given(mia, user), meets=meets) for _each in range(2)]
    outcomes = [rival.outcome() for rival in rivals]
    assert sorted(type(each).__name__ for each in outcomes) == [acts.ActsAlready.__name__, Proxy.__name__]
    assert Proxy.objects.live().count() == 1
