"""What billing holds about a patient, for the patient."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from billing.models import Bill, Contract, Payment
from patients.models import Patient
from patients.rights.own_parts import BY_USE, FROM_YOU
from patients.rights.parts import Part, Row, register

MONEY = _("Bills, refunds and the books, as tax law asks")


def _contracts(patient: Patient) -> Iterable[Row]:
    found = Contract.objects.filter(patient=patient).select_related("clinic")
    for contract in found.prefetch_related("lines__service").order_by("pk"):
        yield {
            "reference": contract.reference,
            "clinic": contract.clinic.name,
            "status": contract.get_status_display(),
            "signed_on": contract.signed_on,
            "billing": contract.get_billing_display(),
            "lines": [str(line) for line in contract.lines.all()],
            "note": contract.note,
        }


def _bills(patient: Patient) -> Iterable[Row]:
    found = Bill.objects.filter(patient=patient).select_related("clinic")
    for bill in found.prefetch_related("lines", "credit_notes").order_by("pk"):
        yield {
            "number": bill.serial,
            "clinic": bill.clinic.name,
            "issued_at": bill.issued_at,
            "status": Bill.Status(bill.status).label,
            "lines": [line.description for line in bill.lines.all()],
            "total_cents": bill.total_cents,
            "received_cents": bill.received_cents,
            "returned_cents": bill.returned_cents,
            "credit_notes": [note.serial for note in bill.credit_notes.all()],
        }


def _payments(patient: Patient) -> Iterable[Row]:
    for payment in Payment.objects.filter(patient=patient).order_by("created_at"):
        yield {
            "at": payment.created_at,
            "status": payment.get_status_display(),
            "amount_cents": payment.amount_cents,
            "refunded_cents": payment.refunded_cents,
            "provider_ref": payment.provider_ref,
        }


register(
    Part(
        "contracts",
        _("Your contracts"),
        _("To deliver what you bought"),
        FROM_YOU,
        {
            "reference": _("Reference"),
            "clinic": _("Clinic"),
            "status": _("Status"),
            "signed_on": _("Signed"),
            "billing": _("Billed"),
            "lines": _("What"),
            "note": _("Note of the clinic"),
        },
        _contracts,
        ("billing.Contract", "billing.ContractLine"),
        free=("note",),
    ),
    Part(
        "bills",
        _("Your bills"),
        MONEY,
        BY_USE,
        {
            "number": _("Number"),
            "clinic": _("Clinic"),
            "issued_at": _("Issued"),
            "status": _("Status"),
            "lines": _("What"),
            "total_cents": _("Total"),
            "received_cents": _("Received"),
            "returned_cents": _("Given back"),
            "credit_notes": _("Credit notes"),
        },
        _bills,
        ("billing.Bill",),
    ),
    Part(
        "payments",
        _("Your payments online"),
        MONEY,
        BY_USE,
        {
            "at": _("When"),
            "status": _("Status"),
            "amount_cents": _("Amount"),
            "refunded_cents": _("Refunded"),
            "provider_ref": _("Reference at the provider"),
        },
        _payments,
        ("billing.Payment",),
    ),
)
