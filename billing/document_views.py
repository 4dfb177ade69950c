"""Bills, receipts and credit notes: for the patient, and for the staff of the clinic."""

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.documents import document_of
from billing.models import Bill, CreditNote
from billing.pdf import CONTENT_TYPE, pdf_of
from clinic_booking.context import Request
from clinic_booking.roles import Can, may
from scheduling import links

RELATED = "patient", "clinic", "booking", "contract"
SHOWN = 200


@never_cache
@login_required
@require_safe
def mine(request: Request) -> HttpResponse:
    assert request.user.is_authenticated  # behind `login_required`
    bills = Bill.objects.belonging_to(request.user).select_related("clinic", "booking", "contract")
    context = {"nav": "me", "bills": bills.prefetch_related("lines", "credit_notes").order_by("-pk")[:SHOWN]}
    return render(request, "billing/my_bills.html", context)


@never_cache
@require_safe
def bill(request: Request, pk: int, as_pdf: bool = False) -> HttpResponse:
    found = get_object_or_404(visible_to(request).select_related(*RELATED), pk=pk)
    return _show(request, found, found, as_pdf)


@never_cache
@require_safe
def credit_note(request: Request, pk: int, as_pdf: bool = False) -> HttpResponse:
    notes = CreditNote.objects.filter(bill__in=visible_to(request))
    found = get_object_or_404(notes.select_related(*(f"bill__{name}" for name in RELATED)), pk=pk)
    return _show(request, found, found.bill, as_pdf)


def visible_to(request: Request) -> QuerySet[Bill]:
    """The patient's own, those of the staff's clinics, and those of visits that this browser was given by a link."""
    return Bill.objects.visible_to(request.user, references=links.kept(request, "bookings"))


def _show(request: Request, of: Bill | CreditNote, bill: Bill, as_pdf: bool) -> HttpResponse:
    document = document_of(of)
    if as_pdf:
        name = {"Content-Disposition": f'inline; filename="{document.file_name}"'}
        return HttpResponse(pdf_of(document), content_type=CONTENT_TYPE, headers=name)
    context = {
        "nav": "me",
        "document": document,
        "of": of,
        "bill": bill,
        # Who works with the visit has it there.
        "at_till": may(request.user, Can.ACT_MONEY, bill.clinic_id)
        and not may(request.user, Can.SEE_DESK, bill.clinic_id)
        and of is bill,
        "is_mine": request.user.is_authenticated and bill.patient.user_id == request.user.pk,
    }
    return render(request, "billing/document.html", context)
