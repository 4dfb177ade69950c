"""GST (payments.md §6): charged while the entity is registered, at the rate of the day, always within the price.

One rule of rounding: on the total, half a cent upwards; never on lines.
"""

import datetime as dt

from billing.models import GstRate
from scheduling.models import LegalEntity

# What was in force when this was written, in basis points (IRAS). Later ones are rows of `GstRate`.
STATUTORY = {dt.date(2007, 7, 1): 700, dt.date(2023, 1, 1): 800, dt.date(2024, 1, 1): 900}


def rate_on(day: dt.date) -> int:
    """Basis points: 900 is 9 %."""
    rates = STATUTORY | dict(GstRate.objects.values_list("valid_from", "basis_points"))
    return next((rates[since] for since in sorted(rates, reverse=True) if since <= day), 0)


def of_entity(entity: LegalEntity, day: dt.date) -> tuple[str, int]:
    """Its number and the rate that it charges that day, or neither."""
    number = entity.gst_number_on(day)
    return number, rate_on(day) if number else 0


def within(total_cents: int, basis_points: int) -> int:
    """The tax inside an inclusive price."""
    return (2 * total_cents * basis_points + 10000 + basis_points) // (2 * (10000 + basis_points))
