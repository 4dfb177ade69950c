"""Supply for contracts: twelve weeks of mornings, and a contract that fits into them."""

import datetime as dt

from scheduling.demand import PatternSpec
from tests import factories

WEEKS = 12
WEEKLY = PatternSpec(is_hard=True, min_gap_days=7)


def make_mornings(practitioner, station, *, weeks=WEEKS, slots=3):
    """The same weekday as tomorrow, week after week: nine, 09:20 and 09:40."""
    starts_at = factories.tomorrow_at(9)
    return [
        factories.make_slots(practitioner, station, starts_at + dt.timedelta(weeks=week), slots=slots)
        for week in range(weeks)
    ]


def make_draft(clinic, patient, service, *, patterns=(WEEKLY,), **line):
    contract = factories.ContractFactory(clinic=clinic, patient=patient)
    factories.ContractLineFactory(contract=contract, service=service, patterns=patterns, **line)
    return contract
