import pytest

from billing import gateway
from billing.stripe_double.client import DoubleClient
from billing.stripe_double.engine import Engine
from tests.billing import steps


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def double(engine):
    """The provider in process; `fail_next`, `before` and `after` make it misbehave."""
    client = DoubleClient(engine)
    with gateway.using(client):
        yield client


@pytest.fixture
def hold(client, slots, service):
    """The browser's hold on the first slot tomorrow, to be paid for."""
    return steps.take(client, slots[0], service)
