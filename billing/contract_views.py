"""The desk's pages of contracts: find, draft, confirm, plan, cancel. For the staff of the contract's clinic."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Prefetch, Q
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing import contracts, instalments
from billing.contract_forms import DetailsForm, LineForm, NewForm, PatternForms, say
from billing.contracts import Incomplete, Terms, Undecided
from billing.models import Bill, Contract, ContractInstalment, ContractLine
from billing.settlements import Settlement, work_out
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can
from patients.models import Patient
from scheduling import demand
from scheduling.courses import Course, courses, say_planned
from scheduling.demand import PatternSpec, Unmeetable
from scheduling.desk import clinic_for, clinics_of
from scheduling.models import Clinic

PAGE = 30
FOUND = 12
View = Callable[..., HttpResponse]
form_methods = require_http_methods(["GET", "HEAD", "POST"])


def at_desk(view: View, *, act: Can = Can.MANAGE_CONTRACTS, is_act: bool | None = None) -> View:
    """Gives the view the clinic instead of its name; to those who may see no contracts there it does not exist."""

    @never_cache
    @login_required
    @wraps(view)
    def found(request: Request, clinic: str, *args: Any, **kwargs: Any) -> HttpResponse:
        here = clinic_for(request, clinic, see=Can.SEE_CONTRACTS, act=act, is_act=is_act)
        return view(request, here, *args, **kwargs)

    return found


# A form is for who may send it; the money of a contract is also for who draws up none.
drafting = partial(at_desk, is_act=True)
at_till = partial(at_desk, act=Can.ACT_MONEY, is_act=True)


def user_of(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


def find(clinic: Clinic, reference: str) -> Contract:
    related = Contract.objects.select_related("patient", "clinic", "confirmed_by", "cancelled_by")
    return get_object_or_404(related, clinic=clinic, reference=reference)


def page(clinic: Clinic, **more: Any) -> dict[str, Any]:
    return {"nav": "desk", "tab": "contracts", "clinic": clinic, **more}


# -- Finding -------------------------------------------------------------------------------------


@at_desk
@require_safe
def index(request: Request, clinic: Clinic) -> HttpResponse:
    query, status = request.GET.get("q", "").strip()[:80], request.GET.get("status", "")
    found = Contract.objects.filter(clinic=clinic).select_related("patient").order_by("-created_at", "-pk")
    lines = ContractLine.objects.select_related("service")
    found = found.prefetch_related(Prefetch("lines", lines))
    if status in Contract.Status.values:
        found = found.filter(status=status)
    if query:
        found = found.filter(
            Q(reference__icontains=query)
            | Q(patient__name__icontains=query)
            | Q(patient__email__iexact=query)
            | Q(patient__phone=query)
        )
    shown = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = page(clinic, contracts=shown, query=query, status=status, statuses=Contract.Status.choices)
    return render(request, "billing/contracts.html", context)


@drafting
@form_methods
def new(request: Request, clinic: Clinic) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:80]
    found = patients_like(query, by=user_of(request))
    form = NewForm(request.POST or None, found=found, initial=NewForm.usual(clinic.today()))
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                made = contracts.draft_contract(
                    patient=form.cleaned_data["patient"],
                    clinic=clinic,
                    by=user_of(request),
                    **form.values(),
                )
            except Incomplete as refusal:
                form.add_error("patient", str(refusal))
            else:
                return redirect("contract", clinic.slug, made.reference)
        status = 422
    context = page(clinic, form=form, found=found, query=query)
    return render(request, "billing/contract_new.html", context, status=status)


def patients_like(query: str, *, by: User) -> list[Patient]:
    """Known at a clinic of the user; by name, e-mail or phone as people say it. At least two letters, so that nobody
    leafs through all."""
    if len(query) < 2:
        return []
    digits = "".join(c for c in query if c.isdigit())
    like = Q(name__icontains=query) | Q(email__icontains=query)
    if len(digits) >= 4:
        like |= Q(phone__contains=digits)
    return list(Patient.objects.visible_to(by).filter(like).order_by("name")[:FOUND])


# -- One contract --------------------------------------------------------------------------------


@at_desk
@require_safe
def show(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    return shown(request, find(clinic, reference))


def shown(
    request: Request, contract: Contract, *, problems: list[str] | None = None, status: int = 200
) -> HttpResponse:
    lines = list(contract.lines.select_related("service", "request").prefetch_related("patterns"))
    context = page(
        contract.clinic,
        contract=contract,
        lines=lines,
        courses=courses_of(contract),
        desks=set(clinics_of(user_of(request)).values_list("pk", flat=True)),
        problems=problems or [],
        may_cancel=contract.status in (Contract.Status.DRAFT, Contract.Status.CONFIRMED),
        parts=parts_of(contract),
        plan_problems=instalments.problems_of(contract) if contract.is_draft else [],
        today=contract.clinic.today(),
    )
    return render(request, "billing/contract.html", context, status=status)


def parts_of(contract: Contract) -> list[ContractInstalment]:
    """What is billed when, with the bills."""
    bills = Bill.objects.prefetch_related(
        "counter_payments__taken_by", "counter_payments__refunds", "credit_notes"
    )
    return list(contract.instalments.prefetch_related(Prefetch("bill", bills)))


def courses_of(contract: Contract) -> list[Course]:
    return courses(contracts.requests_of(contract).select_related("service", "line"))


@drafting
@form_methods
def details(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    contract = find(clinic, reference)
    form = DetailsForm.of(contract, request.POST or None)
    if request.method == "POST" and form.is_valid():
        contracts.change_draft(contract_id=contract.pk, by=user_of(request), **form.values())
        return redirect("contract", clinic.slug, reference)
    status = 422 if form.is_bound else 200
    return render(
        request, "billing/contract_details.html", page(clinic, contract=contract, form=form), status=status
    )


@drafting
@form_methods
def line(request: Request, clinic: Clinic, reference: str, line_id: int | None = None) -> HttpResponse:
    """A line of a draft with its rules: a new one, or one to be written anew."""
    contract = find(clinic, reference)
    if not contract.is_draft:
        raise contracts.NotDraft
    old = get_object_or_404(contract.lines, pk=line_id) if line_id else None
    known = Terms.of(old).patterns if old else []
    data = request.POST if request.method == "POST" else None
    form = LineForm(data, initial=LineForm.initial_of(old, clinic.today()))
    rules = PatternForms.of(known, data)
    rest: list[str] = []
    if data is not None and form.is_valid() & rules.is_valid():
        try:
            terms = form.terms(rules.specs())
            kept = contracts.put_line(
                contract_id=contract.pk, line_id=line_id, terms=terms, by=user_of(request)
            )
        except Unmeetable as refusal:
            rest = say(refusal.problems, form, rules)
        else:
            return after_rules(request, "contract_line", contract, kept.pk)
    context = page(clinic, contract=contract, line=old, form=form, rules=rules, problems=rest)
    template = "billing/_contract_line_form.html" if request.htmx else "billing/contract_line.html"
    return render(request, template, context, status=200 if data is None else 422)


def after_rules(request: Request, url: str, contract: Contract, line_id: int) -> HttpResponse:
    """Back to the contract, or to the same page for one more rule."""
    if "more" in request.POST:
        answer = redirect(url, contract.clinic.slug, contract.reference, line_id)
    else:
        answer = redirect("contract", contract.clinic.slug, contract.reference)
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": answer["Location"]})
    return answer


@at_desk
@require_POST
def removal(request: Request, clinic: Clinic, reference: str, line_id: int) -> HttpResponse:
    contract = find(clinic, reference)
    contracts.remove_line(contract_id=contract.pk, line_id=line_id, by=user_of(request))
    return redirect("contract", clinic.slug, reference)


# -- Confirmed -----------------------------------------------------------------------------------


@at_desk
@require_POST
def confirmation(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    contract = find(clinic, reference)
    try:
        contracts.confirm_contract(reference=contract.reference, by=user_of(request))
    except Incomplete as refusal:
        return shown(request, contract, problems=refusal.problems, status=refusal.status)
    unplaced = sum(len(course.unplaced) for course in courses_of(contract))
    messages.success(request, _("The contract is confirmed and its sessions are planned."))
    if unplaced:
        say_planned(request, [], [row.session for c in courses_of(contract) for row in c.unplaced])
    return redirect("contract", clinic.slug, reference)


@at_desk
@require_POST
def planning(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    contract = find(clinic, reference)
    if contract.status != Contract.Status.CONFIRMED:
        raise contracts.AlreadyOver
    planned = contracts.plan_contract(contract_id=contract.pk, by=user_of(request))
    say_planned(request, planned.placed, planned.unplaced)
    return redirect("contract", clinic.slug, reference)


@drafting
@form_methods
def rules(request: Request, clinic: Clinic, reference: str, line_id: int) -> HttpResponse:
    """How what is still to be planned of a confirmed line is wanted. What has a time keeps it."""
    contract = find(clinic, reference)
    of_line = contract.lines.filter(request__closed_at=None, contract__status=Contract.Status.CONFIRMED)
    sold = get_object_or_404(of_line.select_related("request", "service"), pk=line_id)
    assert sold.request
    data = request.POST if request.method == "POST" else None
    forms = PatternForms.of([PatternSpec.of(p) for p in sold.request.patterns.order_by("pk")], data)
    rest: list[str] = []
    if data is not None and forms.is_valid():
        try:
            with transaction.atomic(durable=True):
                demand.change_patterns(
                    request_id=sold.request.pk, patterns=forms.specs(), by=user_of(request)
                )
        except Unmeetable as refusal:
            rest = say(refusal.problems, None, forms)
        else:
            messages.success(request, _("The rules are changed. Sessions that have a time keep it."))
            return after_rules(request, "contract_rules", contract, sold.pk)
    context = page(clinic, contract=contract, line=sold, rules=forms, problems=rest)
    return render(request, "billing/contract_rules.html", context, status=200 if data is None else 422)


@drafting
@form_methods
def cancellation(request: Request, clinic: Clinic, reference: str) -> HttpResponse:
    """Every visit to come is shown and decided: cancelled, or kept as prepaid."""
    contract = find(clinic, reference)
    future = list(contracts.future_bookings(contract))
    error, status = None, 200
    if request.method == "POST" and "again" not in request.POST:
        decisions = {b.pk: choice == "keep" for b in future if (choice := decided(request.POST, b.pk))}
        try:
            contracts.cancel_contract(
                reference=contract.reference,
                by=user_of(request),
                reason=request.POST.get("reason", "").strip()[:200],
                decisions=decisions,
            )
        except Undecided as refusal:
            error, status = refusal, refusal.status
            future = list(contracts.future_bookings(contract))
        else:
            messages.success(request, _("The contract is cancelled."))
            return redirect("contract", clinic.slug, reference)
    rows = [(booking, decided(request.POST, booking.pk)) for booking in future]
    context = page(clinic, contract=contract, rows=rows, error=error, reason=request.POST.get("reason", ""))
    context["settlement"] = settlement_of(request.POST, contract)
    return render(request, "billing/contract_cancel.html", context, status=status)


def settlement_of(given: QueryDict, contract: Contract) -> Settlement | None:
    """What ending it costs as the visits are decided in the form so far; one that is not decided is cancelled."""
    if contract.is_draft or not contract.is_prepaid:
        return None
    future = contracts.future_bookings(contract).values_list("pk", flat=True)
    return work_out(contract, [pk for pk in future if decided(given, pk) != "keep"])


def decided(given: QueryDict, booking_id: int) -> str:
    choice = given.get(f"booking-{booking_id}", "")
    return choice if choice in ("keep", "cancel") else ""
