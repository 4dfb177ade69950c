"""The desk's pages about a contract's money: its instalments, what is paid, what it costs to end it."""

import functools
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from billing import contracts, counter, desk_ways, instalments, paylinks
from billing.contract_plan import DayForm, EqualForm, PartForms, first_parts, stored_parts
from billing.contract_views import (
    at_desk,
    at_till,
    find,
    form_methods,
    page,
    settlement_of,
    user_of,
)
from billing.contracts import Incomplete, NotDraft
from billing.models import Bill, Contract
from billing.once import OtherRequest, key_of
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from scheduling.models import Clinic
from scheduling.views import see_other

# -- Instalments ---------------------------------------------------------------------------------


@at_till
@form_methods
def plan(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    """The instalments of a draft. `count` and `first_on` in the address fill the rows with equal parts."""
    contract = find(clinic, reference)
    if not contract.is_draft:
        raise NotDraft
    stored = stored_parts(contract)
    equal = EqualForm.of(contract, stored, request.GET if "count" in request.GET else None)
    data = request.POST if request.method == "POST" else None
    rows = PartForms.of(_shown_parts(contract, equal), data)
    problems: list[str] = []
    if data is not None and rows.is_valid():
        try:
            contracts.put_instalments(contract_id=contract.pk, parts=rows.parts(), by=user_of(request))
        except Incomplete as refusal:
            problems = refusal.problems
        else:
            return redirect("contract", clinic.slug, reference)
    context = page(clinic, contract=contract, equal=equal, rows=rows, problems=problems)
    status = 422 if data is not None or (equal.is_bound and not equal.is_valid()) else 200
    return render(request, "billing/contract_instalments.html", context, status=status)


def _shown_parts(contract: Contract, equal: EqualForm) -> list[instalments.Part]:
    if equal.is_bound and equal.is_valid():
        return equal.parts(contract.total_cents)
    return stored_parts(contract) or first_parts(contract, contract.clinic.today())


@at_till
@form_methods
def part(request: Request, clinic: Clinic, reference: str, number: int) -> HttpResponse:
    """Another day for a part that is not billed yet."""
    contract = find(clinic, reference)
    row = get_object_or_404(contract.instalments, number=number)
    form = DayForm(request.POST if request.method == "POST" else None, initial={"due_on": row.due_on})
    if form.is_valid():
        try:
            instalments.move_part(
                instalment_id=row.pk, due_on=form.cleaned_data["due_on"], by=user_of(request)
            )
        except NamedError as refusal:
            form.add_error("due_on", str(refusal))
        else:
            messages.success(request, _("The day is changed."))
            return redirect("contract", clinic.slug, reference)
    context = page(clinic, contract=contract, part=row, form=form)
    return render(request, "billing/contract_part.html", context, status=422 if form.is_bound else 200)


# -- Ending --------------------------------------------------------------------------------------


@at_desk
@require_safe
def settlement(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    """What ending it would cost with these visits kept. Nothing is changed."""
    found = settlement_of(request.GET, find(clinic, reference))
    return render(request, "billing/_contract_settlement.html", {"settlement": found})


# -- Paying --------------------------------------------------------------------------------------


@at_till
@require_POST
def take(request: Request, clinic: Clinic, reference: str, bill_id: int) -> HttpResponse:
    bill = _bill(clinic, reference, bill_id)
    key = key_of(request)
    act = functools.partial(desk_ways.take_for, bill, request.POST, user_of(request), key)
    return _done(request, clinic, reference, act)


@at_till
@require_POST
def give_back(request: Request, clinic: Clinic, reference: str, bill_id: int) -> HttpResponse:
    bill = _bill(clinic, reference, bill_id)

    def act() -> str:
        counter.return_payment(bill_id=bill.pk, by=user_of(request))
        return _("Recorded: the money was given back.")

    return _done(request, clinic, reference, act)


@at_till
@require_POST
def send(request: Request, clinic: Clinic, reference: str, bill_id: int) -> HttpResponse:
    bill = _bill(clinic, reference, bill_id)

    def act() -> str:
        paylinks.send_link(bill_id=bill.pk, by=user_of(request))
        return _("The link to pay is sent to %(email)s.") % {"email": bill.patient.email}

    return _done(request, clinic, reference, act)


def _bill(clinic: Clinic, reference: str, bill_id: int) -> Bill:
    return get_object_or_404(find(clinic, reference).bills, pk=bill_id)


def _done(request: Request, clinic: Clinic, reference: str, act: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, act())
    except OtherRequest:
        raise
    except NamedError as refusal:
        messages.error(request, str(refusal))
    return see_other(reverse("contract", args=[clinic.slug, reference]) + "#money")
