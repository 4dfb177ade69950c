"""GST by hand-made cases: registered or not, the rate of the day, one rounding on the total."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from billing import bills, gst
from billing.models import Bill, CreditNote, GstRate
from scheduling.models import LegalEntity
from tests import factories

TODAY = dt.date(2026, 11, 21)


@pytest.fixture
def entity(clinic):
    clinic.legal_entity.gst_number = "M9-2099000-X"
    clinic.legal_entity.save()
    return clinic.legal_entity


@pytest.fixture
def bill(entity, slots, service):
    return bills.keep_bill(factories.book(slots[:1], service=service).pk)


@given(st.integers(0, 10_000_000), st.sampled_from([0, 700, 800, 900, 1000, 1250]))
def test_tax_is_that_of_a_decimal_rounded_half_up(total, rate):
    exact = Decimal(total) * rate / (10000 + rate)
    assert gst.within(total, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("day", "rate"),
    [
        (dt.date(2007, 6, 30), 0),
        (dt.date(2007, 7, 1), 700),
        (dt.date(2022, 12, 31), 700),
        (dt.date(2023, 1, 1), 800),
        (dt.date(2023, 12, 31), 800),
        (dt.date(2024, 1, 1), 900),
        (dt.date(2029, 6, 30), 900),
        (dt.date(2029, 7, 1), 1000),
    ],
)
def test_rate_is_that_of_the_day(db, day, rate):
    GstRate.objects.create(valid_from=dt.date(2029, 7, 1), basis_points=1000)
    assert gst.rate_on(day) == rate


def test_a_row_corrects_what_is_in_the_code(db):
    GstRate.objects.create(valid_from=dt.date(2024, 1, 1), basis_points=850)
    assert gst.rate_on(TODAY) == 850


@pytest.mark.parametrize(
    ("first", "last", "charged"),
    [
        (None, None, True),
        (TODAY, None, True),
        (TODAY + dt.timedelta(1), None, False),
        (None, TODAY, True),
        (None, TODAY - dt.timedelta(1), False),
    ],
)
def test_gst_is_charged_while_registered(entity, first, last, charged):
    entity.gst_from, entity.gst_until = first, last
    expected = ("M9-2099000-X", 900) if charged else ("", 0)
    assert gst.of_entity(entity, TODAY) == expected


def test_registration_ends_after_it_begins(entity):
    entity.gst_from, entity.gst_until = TODAY, TODAY - dt.timedelta(1)
    with pytest.raises(ValidationError):
        entity.full_clean()


def test_bill_keeps_its_rate_and_registration(bill, clinic):
    GstRate.objects.create(valid_from=clinic.today(), basis_points=1000)
    LegalEntity.objects.update(gst_number="", gst_from=None)
    kept = Bill.objects.get(pk=bill.pk)
    assert (kept.gst_cents, kept.gst_basis_points) == (537, 900)
    assert kept.entity_gst_number == "M9-2099000-X"


def test_tax_of_credit_notes_adds_up_to_that_of_the_bill(bill):
    notes = [bills.credit(bill, cents=cents, reason=CreditNote.Reason.GOODWILL) for cents in (1, 3333, 3166)]
    assert sum(note.amount_cents for note in notes) == 6500
    assert sum(note.gst_cents for note in notes) == bill.gst_cents
