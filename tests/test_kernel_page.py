"""What the templates' own tags and filters write."""

import datetime as dt

import pytest

from clinic_booking.templatetags import page
from scheduling.models import Clinic

INSTANT = dt.datetime(2026, 10, 4, 16, 20, tzinfo=dt.UTC)
SINGAPORE = Clinic(time_zone="Asia/Singapore")


@pytest.mark.parametrize(
    ("cents", "text"),
    [(0, "S$\u00a00.00"), (5, "S$\u00a00.05"), (4000, "S$\u00a040.00"), (123456789, "S$\u00a01,234,567.89")],
)
def test_money_is_written_in_dollars(cents, text):
    assert page.money(cents) == text


def test_times_are_the_clinics():
    assert page.local_date(INSTANT, SINGAPORE) == "Monday 5 October 2026"
    assert page.local_time(INSTANT, SINGAPORE) == "00:20"
    assert page.local_iso(INSTANT, SINGAPORE) == "2026-10-05T00:20+08:00"
    assert page.local_day(INSTANT, SINGAPORE) == dt.date(2026, 10, 5)


def test_icon_is_silent_and_inline():
    svg = page.icon("clock")
    assert svg.startswith("<svg")
    assert 'aria-hidden="true"' in svg


@pytest.mark.parametrize("name", ["../../package", "CLOCK", ""])
def test_icon_reads_no_other_file(name):
    with pytest.raises(ValueError, match="No such icon"):
        page.icon(name)


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Dr Tan Wei Ming", "TW"), ("Siti", "S"), ("Dr. Rachel de Souza", "RD"), ("", "")],
)
def test_initials_leave_titles_out(name, letters):
    assert page.initials(name) == letters


@pytest.mark.parametrize(("number", "text"), [(20, "20 min"), (60, "1 h"), (80, "1 h 20 min")])
def test_minutes_are_written_as_hours(number, text):
    assert page.minutes(number) == text


@pytest.mark.parametrize(("number", "text"), [("+6561234567", "+65 6123 4567"), ("reception", "reception")])
def test_phone_is_written_in_groups(number, text):
    assert page.phone(number) == text
