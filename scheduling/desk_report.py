"""The effort report: for managers of the clinic, as a page and as a table to download."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can, where
from scheduling import charts, effort
from scheduling.effort import CHANNELS, KINDS, Figures, Report
from scheduling.forms import BadField, PeriodForm
from scheduling.models import Clinic

GOAL = 0.4


def managed_by(user: User, what: Can = Can.SEE_REPORT) -> QuerySet[Clinic]:
    return Clinic.objects.filter(is_active=True, pk__in=where(user, what))


@never_cache
@login_required
@require_safe
def index(request: Request, clinic: str) -> HttpResponse:
    here, managed, report = _asked(request, clinic)
    whole, query = report.of(), {"from": report.first.isoformat(), "to": report.last.isoformat()}
    context = {
        "nav": "desk",
        "tab": "report",
        "clinic": here,
        "is_all": "all" in request.GET,
        "has_others": len(managed) > 1,
        "report": report,
        "whole": whole,
        "goal": GOAL,
        "query": urlencode(query),
        "csv_query": urlencode(query | ({"all": "1"} if "all" in request.GET else {})),
        "channels": [(name, whole.channels[slug]) for slug, name in CHANNELS.items()],
        "kinds": [(name, whole.acts[slug]) for slug, name in KINDS.items()],
        "weeks": [(week, report.of(week=week)) for week in report.weeks],
        "places": [(place, report.of(place)) for place in report.clinics],
        "channel_names": list(CHANNELS.values()),
        "bookings_chart": _bookings_chart(report),
        "acts_chart": _acts_chart(report),
        "acts_names": [*(place.name for place in report.clinics), _("By hand")],
    }
    return render(request, "scheduling/report.html", context)


@never_cache
@login_required
@require_safe
def download(request: Request, clinic: str) -> HttpResponse:
    """RFC 4180, with the mark by which spreadsheets see that it is UTF-8."""
    _here, _managed, report = _asked(request, clinic)
    text = io.StringIO()
    csv.writer(text).writerows(_table(report))
    name = f"effort-{report.first}-{report.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse("\ufeff" + text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: Request, slug: str) -> tuple[Clinic, list[Clinic], Report]:
    assert isinstance(request.user, User)
    managed = list(managed_by(request.user))
    here = next((clinic for clinic in managed if clinic.slug == slug), None)
    if here is None:
        raise Http404
    form = PeriodForm(request.GET, today=here.today())
    if not form.is_valid():
        raise BadField(form)
    first, last = form.cleaned_data["from"], form.cleaned_data["to"]
    clinics = managed if "all" in request.GET else [here]
    return here, managed, effort.report(clinics=clinics, first=first, last=last)


# -- Charts --------------------------------------------------------------------------------------


def _bookings_chart(report: Report) -> charts.Chart:
    weeks = [report.of(week=week) for week in report.weeks]
    series = [[week.channels[slug] for week in weeks] for slug in CHANNELS]
    return charts.stacked(_labels(report), series, [str(name) for name in CHANNELS.values()])


def _acts_chart(report: Report) -> charts.Chart:
    """A line for each clinic, and what it was by hand."""
    series = [
        [
            report.cells[key].acts_each if (key := (place.pk, week)) in report.cells else None
            for week in report.weeks
        ]
        for place in report.clinics
    ]
    series.append([report.of(week=week).manual_each for week in report.weeks])
    names = [*(place.name for place in report.clinics), _("By hand")]
    return charts.lines(_labels(report), series, names)


def _labels(report: Report) -> list[str]:
    return [date_format(week, "j M") for week in report.weeks]


# -- The table -----------------------------------------------------------------------------------


def _table(report: Report) -> Iterator[list[Any]]:
    yield [
        _("Clinic"),
        _("Week from"),
        _("Bookings"),
        *map(str, CHANNELS.values()),
        _("Scheduling acts"),
        *map(str, KINDS.values()),
        _("Acts of the day"),
        _("Acts for each booking"),
        _("Acts by hand"),
        _("Fewer acts (%)"),
        _("Hours saved"),
        _("Visits"),
        _("No-shows (%)"),
        _("Cancelled (%)"),
        _("Utilisation (%)"),
        _("Days from booking to visit (median)"),
    ]
    for place in report.clinics:
        for week in report.weeks:
            if figures := report.cells.get((place.pk, week)):
                yield [_cell(place.name), week.isoformat(), *_numbers(figures)]


def _numbers(figures: Figures) -> Iterator[Any]:
    yield figures.bookings
    yield from (figures.channels[slug] for slug in CHANNELS)
    yield figures.scheduling_acts
    yield from (figures.acts[slug] for slug in KINDS)
    yield figures.day_acts
    yield _number(figures.acts_each, digits=2)
    yield _number(figures.manual_each, digits=2)
    yield _number(figures.saved, times=100)
    yield _number(figures.saved_minutes / 60)
    yield figures.visits
    for rate in (figures.no_show_rate, figures.cancel_rate, figures.utilisation):
        yield _number(rate, times=100)
    yield _number(figures.lead_days)


def _number(value: float | None, *, times: int = 1, digits: int = 1) -> float | str:
    return "" if value is None else round(value * times, digits)


def _cell(text: str) -> str:
    """A spreadsheet would run what begins like a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
