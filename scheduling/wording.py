"""What a request asks for, in words: for the patient who waits and for the staff."""

import datetime as dt
from collections.abc import Iterator

from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import date_format, time_format
from django.utils.translation import gettext as _

from clinic_booking.templatetags.page import place
from scheduling.models import BookingRequest, PatternFields


def wishes_in_words(request: BookingRequest) -> list[str]:
    """One line for each pattern. Prefetch `patterns__practitioners` and `patterns__clinics` where there are many."""
    return [line for pattern in request.patterns.all() if (line := pattern_in_words(pattern))]


def pattern_in_words(pattern: PatternFields) -> str:
    line = " · ".join(_said(pattern))
    return line if pattern.is_hard or not line else _("rather: %(wish)s") % {"wish": line}


def _said(pattern: PatternFields) -> Iterator[str]:
    if clinics := [place(clinic.name) for clinic in pattern.clinics.all()]:
        yield _(" or ").join(clinics)
    if names := [who.name for who in pattern.practitioners.all()]:
        yield _("with %(names)s") % {"names": _(" or ").join(names)}
    if pattern.weekdays:
        yield ", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in sorted(pattern.weekdays))
    if pattern.from_time and pattern.until_time:
        yield f"{_time(pattern.from_time)}–{_time(pattern.until_time)}"
    elif pattern.from_time:
        yield _("from %(time)s on") % {"time": _time(pattern.from_time)}
    elif pattern.until_time:
        yield _("over by %(time)s") % {"time": _time(pattern.until_time)}
    if pattern.earliest and pattern.latest:
        yield f"{_date(pattern.earliest)} – {_date(pattern.latest)}"
    elif pattern.earliest:
        yield _("from %(date)s on") % {"date": _date(pattern.earliest)}
    elif pattern.latest:
        yield _("until %(date)s") % {"date": _date(pattern.latest)}
    yield from _gap(pattern.min_gap_days, pattern.max_gap_days)


def _gap(least: int | None, most: int | None) -> Iterator[str]:
    if least is not None and most is not None:
        yield _("%(least)d to %(most)d days apart") % {"least": least, "most": most}
    elif least is not None:
        yield _("at least %(least)d days apart") % {"least": least}
    elif most is not None:
        yield _("at most %(most)d days apart") % {"most": most}


def _time(time: dt.time) -> str:
    return time_format(time, "TIME_FORMAT")


def _date(day: dt.date) -> str:
    return date_format(day, "j M Y")
