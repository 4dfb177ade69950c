"""What is printed: tax invoice, bill, receipt and credit note by the rules of IRAS (payments.md §6).

A page and a PDF are made of the same `Document`, which has every word and number that they show.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from functools import singledispatch
from typing import NamedTuple

from django.utils import formats, translation
from django.utils.translation import gettext as _

from billing import gst
from billing.models import Account, Bill, CreditNote, LedgerEntry, LedgerPosting
from clinic_booking.templatetags.page import local_date, money, signed_money

# Up to here, with GST, a simplified tax invoice will do.
SIMPLIFIED_CENTS = 100_000


class Kind(StrEnum):
    TAX_INVOICE = "tax_invoice"
    BILL = "bill"
    RECEIPT = "receipt"
    CREDIT_NOTE = "credit_note"


class Amount(NamedTuple):
    label: str
    cents: int
    is_strong: bool = False

    @property
    def text(self) -> str:
        return signed_money(self.cents)


@dataclass(frozen=True)
class Document:
    kind: Kind
    title: str
    serial: str
    language: str
    issuer: str
    issuer_lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    lines: tuple[Amount, ...]
    sums: tuple[Amount, ...]
    statements: tuple[str, ...]

    @property
    def file_name(self) -> str:
        return f"{self.serial}.pdf"


@singledispatch
def document_of(of: Bill | CreditNote) -> Document:
    raise TypeError(of)


# -- Bill, tax invoice, receipt ------------------------------------------------------------------


@document_of.register
def _of_bill(bill: Bill) -> Document:
    kind, title = _kind(bill)
    return Document(
        kind=kind,
        title=title,
        serial=bill.serial,
        language=translation.get_language() or "en",
        issuer=bill.entity_name,
        issuer_lines=_issuer_lines(bill),
        facts=tuple(_facts(bill)),
        lines=tuple(Amount(line.description, line.amount_cents) for line in bill.lines.all()),
        sums=(*_totals(bill.total_cents, bill), *_changes(bill), _standing(bill)),
        statements=_statements(bill.total_cents, bill),
    )


def _kind(bill: Bill) -> tuple[Kind, str]:
    """Only who is registered may say "tax invoice"; nothing to pay is none. A receipt says that all is paid."""
    is_paid = bill.status == Bill.Status.PAID
    if bill.entity_gst_number and bill.total_cents:
        return Kind.TAX_INVOICE, _("Tax invoice and receipt") if is_paid else _("Tax invoice")
    return (Kind.RECEIPT, _("Receipt")) if is_paid else (Kind.BILL, _("Bill"))


def _issuer_lines(bill: Bill) -> tuple[str, ...]:
    number = bill.entity_gst_number
    registered = [_("GST registration number %(number)s") % {"number": number}] if number else []
    return (bill.entity_address, _("UEN %(number)s") % {"number": bill.entity_uen}, *registered)


def _facts(bill: Bill) -> list[tuple[str, str]]:
    facts = [
        (_("Number"), bill.serial),
        (_("Date"), local_date(bill.issued_at, bill.clinic)),
        (_("For"), bill.patient.name),
    ]
    if bill.booking:
        facts.append((_("Visit"), local_date(bill.booking.starts_at, bill.clinic)))
        facts.append((_("Reference"), bill.booking.reference))
    elif bill.contract:
        facts.append((_("Contract"), bill.contract.reference))
    facts.append((_("Clinic"), bill.clinic.name))
    if bill.due_on and bill.due_cents:
        facts.append((_("To be paid by"), _date(bill.due_on)))
    return facts


def _totals(cents: int, bill: Bill) -> list[Amount]:
    """The price without tax is asked for above the limit of a simplified invoice."""
    total = Amount(_("Total"), cents, is_strong=True)
    if not bill.gst_basis_points or cents <= SIMPLIFIED_CENTS:
        return [total]
    tax = gst.within(cents, bill.gst_basis_points)
    rate = _("GST %(percent)s %%") % {"percent": bill.gst_percent}
    with_gst = Amount(_("Total with GST"), cents, is_strong=True)
    return [Amount(_("Total without GST"), cents - tax), Amount(rate, tax), with_gst]


def _statements(cents: int, bill: Bill) -> tuple[str, ...]:
    if not bill.gst_basis_points or not cents:
        return ()
    tax = money(gst.within(cents, bill.gst_basis_points))
    says = _("Price payable includes GST: %(tax)s at %(percent)s %%.")
    return (says % {"tax": tax, "percent": bill.gst_percent},)


def _changes(bill: Bill) -> list[Amount]:
    """What was credited, then what was paid and given back, each with its day."""
    notes = bill.credit_notes.order_by("number")
    says = _("Credit note %(number)s, %(date)s")
    credited = [
        Amount(
            says % {"number": note.serial, "date": local_date(note.issued_at, bill.clinic)},
            -note.amount_cents,
        )
        for note in notes
    ]
    net = [Amount(_("Total after credit"), bill.net_cents, is_strong=True)] if credited else []
    return [*credited, *net, *_payments(bill)]


def _payments(bill: Bill) -> list[Amount]:
    moved = bill.entries.filter(posting__kind__in=LedgerPosting.RECEIVED + LedgerPosting.RETURNED)
    owed = moved.exclude(account=Account.RECEIVABLE).select_related("posting", "payment__hold")
    return [
        Amount(f"{_way(entry)}, {_date(entry.posting.date)}", -entry.amount_cents)
        for entry in owed.order_by("pk")
    ]


def _way(entry: LedgerEntry) -> str:
    kind = entry.posting.kind
    if kind == LedgerPosting.Kind.RELEASE:
        return _("Given back online")
    if kind == LedgerPosting.Kind.COUNTER_REFUND:
        return _("Given back at the clinic")
    if kind == LedgerPosting.Kind.COUNTER:
        return _("Paid at the clinic (%(way)s)") % {"way": Account(entry.account).label}
    assert entry.payment
    hold = entry.payment.hold
    is_deposit = hold and hold.due_cents < hold.price_cents
    return _("Deposit paid online") if is_deposit else _("Paid online")


def _standing(bill: Bill) -> Amount:
    if bill.owed_cents:
        return Amount(_("To be given back to you"), bill.owed_cents, is_strong=True)
    if bill.due_cents:
        return Amount(_("Still to be paid"), bill.due_cents, is_strong=True)
    return Amount(_("Nothing to pay"), 0, is_strong=True)


# -- Credit note ---------------------------------------------------------------------------------


@document_of.register
def _of_credit_note(note: CreditNote) -> Document:
    bill = note.bill
    original = _("Tax invoice") if bill.entity_gst_number else _("Bill")
    whose = [fact for fact in _facts(bill)[2:] if fact[0] != _("To be paid by")]
    return Document(
        kind=Kind.CREDIT_NOTE,
        title=_("Credit note"),
        serial=note.serial,
        language=translation.get_language() or "en",
        issuer=bill.entity_name,
        issuer_lines=_issuer_lines(bill),
        facts=(
            (_("Number"), note.serial),
            (_("Date"), local_date(note.issued_at, bill.clinic)),
            (_("Takes back"), f"{original} {bill.serial}, {local_date(bill.issued_at, bill.clinic)}"),
            *whose,
            (_("Reason"), note.get_reason_display()),
        ),
        lines=tuple(_credited_lines(note)),
        sums=(*_credited_tax(note), Amount(_("Credited"), note.amount_cents, is_strong=True)),
        statements=(),
    )


def _credited_lines(note: CreditNote) -> list[Amount]:
    """Of a bill with one line it is known what was credited; of others the sum is."""
    lines = list(note.bill.lines.all())
    text = lines[0].description if len(lines) == 1 else _("Of the bill's total")
    return [Amount(text, note.amount_cents)]


def _credited_tax(note: CreditNote) -> list[Amount]:
    if not note.bill.gst_basis_points:
        return []
    rate = _("GST %(percent)s %%") % {"percent": note.bill.gst_percent}
    return [Amount(_("Without GST"), note.amount_cents - note.gst_cents), Amount(rate, note.gst_cents)]


def _date(day: dt.date) -> str:
    return formats.date_format(day, "DATE_FORMAT")
