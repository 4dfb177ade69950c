"""For managers: where money and visits do not meet, and the ledger of a period, to look at and to take away."""

import csv
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from billing import books, settling
from billing.books import Period
from billing.models import Payment
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.roles import Can
from scheduling.desk_report import managed_by
from scheduling.forms import BadField, PeriodForm
from scheduling.models import Clinic, LegalEntity
from scheduling.views import see_other

BOM = "\ufeff"  # by which spreadsheets see that it is UTF-8


@never_cache
@login_required
@require_safe
def lists(request: Request, clinic: str) -> HttpResponse:
    here, _managed = _managed_here(request, clinic)
    unused, owed = books.paid_without_booking(here), books.owed_to_patients(here)
    unpaid, unbilled = books.booked_not_paid(here), books.booked_without_bill(here)
    context = {
        "nav": "desk",
        "tab": "money",
        "part": "lists",
        "clinic": here,
        "unused": unused,
        "owed": owed,
        "paid_count": len(unused) + len(owed),
        "unpaid": unpaid,
        "unbilled": unbilled,
        "unpaid_count": len(unpaid) + len(unbilled),
    }
    return render(request, "billing/money_lists.html", context)


@login_required
@require_POST
def settle(request: Request, clinic: str, payment_id: uuid.UUID) -> HttpResponse:
    here, _managed = _managed_here(request, clinic)
    payment = get_object_or_404(
        Payment.objects.visible_to(request.user), Q(hold__clinic=here) | Q(bill__clinic=here), pk=payment_id
    )
    try:
        payment = settling.settle(payment.pk)
    except NamedError as refusal:
        messages.error(request, str(refusal))
    else:
        standing = payment.get_status_display()
        messages.success(request, _("Settled. The payment is now: %(standing)s.") % {"standing": standing})
    return see_other(reverse("desk_money_lists", args=[here.slug]))


# -- The ledger ----------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def ledger(request: Request, clinic: str) -> HttpResponse:
    here, entities, period, query = _asked(request, clinic)
    found = books.balances(period)
    context = {
        "nav": "desk",
        "tab": "money",
        "part": "ledger",
        "clinic": here,
        "entities": entities,
        "entity": query.get("entity", ""),
        "period": period,
        "balances": found,
        "debit_cents": sum(each.debit_cents for each in found),
        "credit_cents": sum(each.credit_cents for each in found),
        "query": urlencode(query),
    }
    return render(request, "billing/money_ledger.html", context)


@never_cache
@login_required
@require_safe
def download(request: Request, clinic: str) -> HttpResponse | StreamingHttpResponse:
    """RFC 4180, line by line while the database is being read."""
    here, _entities, period, query = _asked(request, clinic)
    of = query.get("entity", here.slug)
    name = f"ledger-{of}-{period.first}-{period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines(period), content_type="text/csv; charset=utf-8", headers=headers)


class _Line:
    """What `csv.writer` writes is handed on."""

    def write(self, text: str) -> str:
        return text


def lines(period: Period) -> Iterator[str]:
    """No cell is a text that a person wrote, so none begins like a formula; `safe` keeps it so."""
    writer = csv.writer(_Line())
    yield BOM + str(writer.writerow(books.COLUMNS))
    for line in books.export(period):
        yield str(writer.writerow(map(safe, line)))


def safe(cell: str) -> str:
    """A spreadsheet would run what begins like a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _asked(request: Request, slug: str) -> tuple[Clinic, list[LegalEntity], Period, dict[str, str]]:
    """Of this clinic, or of all clinics of a legal entity that the manager has."""
    here, managed = _managed_here(request, slug)
    form = PeriodForm(request.GET, today=here.today())
    if not form.is_valid():
        raise BadField(form)
    entities = sorted({each.legal_entity for each in managed}, key=str)
    uen, chosen = request.GET.get("entity", ""), [here]
    if uen and not (chosen := [each for each in managed if each.legal_entity.uen == uen]):
        raise Http404
    first, last = form.cleaned_data["from"], form.cleaned_data["to"]
    query = {"from": first.isoformat(), "to": last.isoformat()} | ({"entity": uen} if uen else {})
    return here, entities, Period(first, last, [each.pk for each in chosen]), query


def _managed_here(request: Request, slug: str) -> tuple[Clinic, list[Clinic]]:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    managed: Any = managed_by(request.user, Can.SEE_BOOKS).select_related("legal_entity")
    here = next((each for each in managed if each.slug == slug), None)
    if here is None:
        raise Http404
    return here, list(managed)
