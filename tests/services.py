"""A PostgreSQL and a Redis of its own for each test run, loaded by `-p tests.services` (pyproject.toml).

It must start them before Django's settings are read, which is before any conftest is.
"""

import os
from contextlib import ExitStack

from clinic_booking import local
from tests import template

_running = ExitStack()


def _start(*only: str) -> None:
    name = f"test-{os.getpid()}"
    os.environ.update(_running.enter_context(local.services(name, durable=False, only=only)))


if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the controller's cluster, each with its own test database. Redis channels are
    # not divided by database number, so each worker has its own Redis.
    if "TESTS_START_REDIS" in os.environ:
        _start("redis")
else:
    # All tests come from one address; those about limits set them.
    for name, value in {
        "RATE_LIMITS": "off",
        "HOLDS_PER_ADDRESS": "0",
        "UNKNOWN_SHARE_PERCENT": "100",
    }.items():
        os.environ.setdefault(name, value)
    keys = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}
    missing = [name for name, key in keys.items() if key not in os.environ]
    if "redis" in missing:
        os.environ["TESTS_START_REDIS"] = "1"
    if missing:
        _start(*missing)
    if "postgres" in missing:
        os.environ["TEST_TEMPLATE"] = template.NAME
        _running.callback(template.make(os.environ["DATABASE_URL"]).join)


def pytest_unconfigure() -> None:
    _running.close()
