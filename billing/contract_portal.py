"""A contract as its patient sees it: what was bought, what is billed when, and a way to pay."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from billing import paylinks
from billing.contract_views import courses_of, parts_of
from billing.models import Bill, Contract
from clinic_booking.context import Request
from scheduling.booking import database_now

PAY_WITHIN = dt.timedelta(hours=1)


@never_cache
@login_required
@require_safe
def show(request: Request, reference: str) -> HttpResponse:
    """A draft is nothing yet."""
    assert request.user.is_authenticated  # behind `login_required`
    mine = Contract.objects.belonging_to(request.user).exclude(confirmed_at=None)
    contract = get_object_or_404(mine.select_related("clinic", "patient"), reference=reference)
    context = {
        "nav": "me",
        "contract": contract,
        "lines": contract.lines.select_related("service"),
        "parts": parts_of(contract),
        "courses": courses_of(contract),
        "today": contract.clinic.today(),
    }
    return render(request, "billing/my_contract.html", context)


@login_required
@require_POST
def pay(request: Request, pk: int) -> HttpResponse:
    """To the page where the patient's own bill is paid."""
    assert request.user.is_authenticated  # behind `login_required`
    bill = get_object_or_404(Bill.objects.belonging_to(request.user), pk=pk, contract__isnull=False)
    return redirect(paylinks.path(bill, database_now() + PAY_WITHIN))
