"""The hours of a clinic's night, in which nobody is disturbed. Pure but for the clinic's settings."""

import datetime as dt

from scheduling.models import Clinic


def night_around(clinic: Clinic, instant: dt.datetime) -> tuple[dt.datetime, dt.datetime] | None:
    """Begin and end of the quiet hours in which the instant is; None by day, and where there are none."""
    day = clinic.local_date(instant)
    over_midnight = clinic.quiet_until <= clinic.quiet_from
    for first in (day - dt.timedelta(1), day) if clinic.quiet_from != clinic.quiet_until else ():
        begins = dt.datetime.combine(first, clinic.quiet_from, clinic.zone)
        ends = dt.datetime.combine(first + dt.timedelta(over_midnight), clinic.quiet_until, clinic.zone)
        if begins <= instant < ends:
            return begins, ends
    return None


def quiet_until(clinic: Clinic, instant: dt.datetime) -> dt.datetime | None:
    night = night_around(clinic, instant)
    return night[1] if night else None
