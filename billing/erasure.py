"""Bills are kept for the tax office and then stripped to their amounts; the ledger holds amounts and ids only."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from billing.models import (
    Bill,
    BillLine,
    Contract,
    CounterPayment,
    CreditNote,
    DeskRefund,
    Dispute,
    Payment,
)
from clinic_booking.retention import registry
from clinic_booking.retention.kernel import midnight
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.registry import Cleaner, Pk, Rows, register
from patients.models import Patient
from patients.retention import holds

STRIPPED = "–"
UNSETTLED = (Bill.Status.ISSUED, Bill.Status.PART_PAID, Bill.Status.REFUND_DUE)


@registry.eraser
def erase_texts(patient_ids: Sequence[int]) -> Counter[str]:
    """What the bill is for stays until its own rule strips it."""
    contracts = Contract.objects.filter(patient__in=patient_ids).exclude(note="", cancel_reason="")
    bills = Bill.objects.filter(patient__in=patient_ids).values("pk")
    return Counter({"billing.Contract": contracts.update(note="", cancel_reason="")}) + _without_notes(bills)


def strip(ids: Sequence[Pk]) -> Counter[str]:
    lines = BillLine.objects.filter(bill__in=ids).exclude(description=STRIPPED)
    done = Counter({"billing.BillLine": lines.update(description=STRIPPED)})
    slips = CounterPayment.objects.filter(bill__in=ids).exclude(reference="")
    done["billing.CounterPayment"] = slips.update(reference="")
    return done + _without_notes(ids)


def _without_notes(bills: Rows | Sequence[Pk]) -> Counter[str]:
    return Counter(
        {
            model._meta.label: model._default_manager.filter(bill__in=bills).exclude(note="").update(note="")
            for model in (CreditNote, DeskRefund)
        }
    )


@registry.blocker(_("open bill"))
def _owes_or_is_owed() -> Q:
    return Q(pk__in=Bill.objects.filter(status__in=UNSETTLED).values("patient"))


@registry.blocker(_("payment under way"))
def _is_paying() -> Q:
    open_ones = Payment.objects.exclude(status__in=Payment.SETTLED)
    return Q(pk__in=open_ones.values("patient"))


@registry.blocker(_("dispute"))
def _disputes() -> Q:
    return Q(pk__in=Dispute.objects.filter(closed_at=None).values("payment__patient"))


@registry.sign_of_life
def _was_billed(since: dt.datetime) -> Q:
    """Once is enough: the rule is for those who were never billed."""
    signed = Contract.objects.filter(created_at__gte=since).values("patient")
    return Q(pk__in=Bill.objects.values("patient")) | Q(pk__in=signed)


def _old_bills(day: dt.date) -> Rows:
    says_what = Exists(BillLine.objects.filter(bill=OuterRef("pk")).exclude(description=STRIPPED))
    noted = Exists(CreditNote.objects.filter(bill=OuterRef("pk")).exclude(note=""))
    given = Exists(DeskRefund.objects.filter(bill=OuterRef("pk")).exclude(note=""))
    slip = Exists(CounterPayment.objects.filter(bill=OuterRef("pk")).exclude(reference=""))
    return Bill.objects.filter(says_what | noted | given | slip, issued_at__lt=midnight(day))


def _settled(rows: Rows) -> Rows:
    disputed = Exists(
        Dispute.objects.filter(
            Q(payment__bill=OuterRef("pk")) | Q(payment__booking=OuterRef("booking")), closed_at=None
        )
    )
    held = Exists(Patient.objects.filter(holds.held(), pk=OuterRef("patient")))
    return rows.filter(~held, ~disputed).exclude(status__in=UNSETTLED)


register(Cleaner(DataClass.BILL, "bill", _old_bills, strip, _settled))
