"""The desk's pages about hours, leave and closures: each edit is shown as a change plan before it is applied."""

import datetime as dt
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can
from scheduling import changes, edits, moves, stranded
from scheduling.desk import clinic_for, clinics_of
from scheduling.errors import BookingError
from scheduling.forms import BadField
from scheduling.models import (
    ChangePlan,
    ChangeProposal,
    Clinic,
    Practitioner,
    ScheduleException,
    ScheduleTemplate,
    Slot,
)
from scheduling.replan import Candidate
from scheduling.supply_forms import (
    SEEN,
    ClosureForm,
    EditForm,
    EndHoursForm,
    ExtraHoursForm,
    HoursForm,
    LeaveForm,
    PlanForm,
    TimeForm,
)

FORMS: dict[str, tuple[type[EditForm], Promise]] = {
    "leave": (LeaveForm, gettext_lazy("Enter leave")),
    "closure": (ClosureForm, gettext_lazy("Close the clinic")),
    "extra": (ExtraHoursForm, gettext_lazy("Add extra hours")),
    "hours": (HoursForm, gettext_lazy("Add working hours")),
}
RECENT = 10


@never_cache
@login_required
@require_safe
def overview(request: Request, clinic: str) -> HttpResponse:
    here, _user = _desk(request, clinic)
    today = here.today()
    templates = (
        ScheduleTemplate.objects.filter(Q(valid_until=None) | Q(valid_until__gte=today), clinic=here)
        .select_related("practitioner", "station")
        .prefetch_related("breaks")
        .order_by("practitioner__name", "starts_at", "pk")
    )
    plans = here.change_plans.annotate(hit=Count("proposals")).order_by("-created_at")
    context = {
        "templates": templates,
        "exceptions": [(e, edits.span_text(here, e.starts_at, e.ends_at)) for e in _exceptions(here)],
        "drafts": [(p, edits.describe(p)) for p in plans.filter(status=ChangePlan.Status.DRAFT)[:RECENT]],
        "applied": [(p, edits.describe(p)) for p in plans.filter(status=ChangePlan.Status.APPLIED)[:RECENT]],
        "waiting": stranded.needing_time(here).select_related("patient", "service", "practitioner"),
    }
    return _page(request, here, "supply", context)


def _exceptions(here: Clinic) -> QuerySet[ScheduleException]:
    """Those ahead, of the clinic and of who works here."""
    works_here = Q(clinic=None, practitioner__in=here.templates.values("practitioner"))
    ahead = ScheduleException.objects.filter(
        Q(clinic=here) | works_here, ends_at__gt=timezone.now(), withdrawn_at=None
    )
    return ahead.select_related("practitioner", "station").order_by("starts_at", "pk")


# -- Entering an edit ----------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: Request, clinic: str, what: str) -> HttpResponse:
    if what not in FORMS:
        raise Http404
    here, user = _desk(request, clinic)
    form_class, title = FORMS[what]
    initial = {"valid_from": here.today(), "practitioner": request.GET.get("practitioner")}
    form = form_class(request.POST or None, clinic=here, user=user, initial=initial)
    return _entered(request, here, user, form, title)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def hours(request: Request, clinic: str, pk: int) -> HttpResponse:
    here, user = _desk(request, clinic)
    template = get_object_or_404(here.templates.all(), pk=pk)
    form = HoursForm(request.POST or None, clinic=here, user=user, template=template)
    return _entered(request, here, user, form, _("Change working hours"))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def end_hours(request: Request, clinic: str, pk: int) -> HttpResponse:
    here, user = _desk(request, clinic)
    template = get_object_or_404(here.templates.select_related("practitioner"), pk=pk)
    form = EndHoursForm(request.POST or None, clinic=here, user=user, template=template)
    return _entered(
        request, here, user, form, _("End the hours of %(name)s") % {"name": template.practitioner}
    )


@login_required
@require_POST
def removal(request: Request, clinic: str, pk: int) -> HttpResponse:
    here, user = _desk(request, clinic)
    exception = get_object_or_404(_exceptions(here), pk=pk)
    _require_staff_everywhere(user, exception)
    span = edits.span_text(here, exception.starts_at, exception.ends_at)
    payload = {
        "exception": exception.pk,
        "practitioner": exception.practitioner_id,
        "text": f"{exception.get_kind_display()}, {span}",
    }
    plan = changes.draft_plan(clinic=here, kind=ChangePlan.Kind.REMOVE, payload=payload, by=user)
    return redirect("supply_plan", here.slug, plan.pk)


def _require_staff_everywhere(user: User, exception: ScheduleException) -> None:
    """Leave at all clinics is ended by who may enter it there."""
    if exception.clinic_id is None:
        theirs = {clinic.pk for clinic in edits.clinics_with(exception.practitioner_id)}
        if not theirs <= set(clinics_of(user, Can.MANAGE_SUPPLY).values_list("pk", flat=True)):
            raise Http404


def _entered(
    request: Request, here: Clinic, user: User, form: EditForm, title: str | Promise
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        plan = changes.draft_plan(clinic=here, kind=form.kind, payload=form.payload(), by=user)
        return redirect("supply_plan", here.slug, plan.pk)
    context = {"form": form, "title": title}
    return _page(request, here, "supply_edit", context, status=422 if form.errors else 200)


# -- The plan ------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def plan(request: Request, clinic: str, pk: int) -> HttpResponse:
    here, _user = _desk(request, clinic)
    shown = get_object_or_404(here.change_plans.select_related("created_by", "ended_by", "clinic"), pk=pk)
    proposals = list(
        shown.proposals.select_related(
            "booking__patient",
            "booking__service",
            "booking__clinic",
            "from_practitioner",
            "practitioner",
            "clinic",
            "station",
        ).order_by("from_starts_at", "pk")
    )
    context = {"plan": shown, "title": edits.describe(shown), "proposals": proposals}
    context["seen"] = shown.computed_at and shown.computed_at.strftime(SEEN)
    context["without"] = sum(1 for proposal in proposals if not proposal.starts_at)
    return _page(request, here, "supply_plan", context)


@login_required
@require_POST
def application(request: Request, clinic: str, pk: int) -> HttpResponse:
    here, user = _desk(request, clinic)
    shown = get_object_or_404(here.change_plans, pk=pk)
    form = PlanForm(request.POST, proposals=list(shown.proposals.values_list("pk", flat=True)))
    try:
        if not form.is_valid():  # a proposal that is no more: the plan was computed again
            raise changes.PlanOutdated
        changes.decide(plan_id=pk, left_open=form.left_open, seen=form.cleaned_data["seen"])
        applied = changes.apply_plan(plan_id=pk, by=user, ask_open=form.cleaned_data["ask_open"])
    except (changes.PlanOutdated, changes.PlanEnded, edits.EditRefused) as problem:
        messages.warning(request, str(problem.sentence))
    else:
        messages.success(request, _applied_text(applied))
    return redirect("supply_plan", here.slug, pk)


def _applied_text(plan: ChangePlan) -> str:
    moved = plan.proposals.filter(decision=ChangeProposal.Decision.MOVE).count()
    left = plan.proposals.count() - moved
    sentence = ngettext(
        "Applied. %(moved)d visit has a new time and its patient is told.",
        "Applied. %(moved)d visits have new times and their patients are told.",
        moved,
    ) % {"moved": moved}
    if left:
        more = ngettext("%(left)d still needs one.", "%(left)d still need one.", left)
        sentence += " " + more % {"left": left}
    return sentence


@login_required
@require_POST
def discard(request: Request, clinic: str, pk: int) -> HttpResponse:
    here, user = _desk(request, clinic)
    changes.discard_plan(plan_id=get_object_or_404(here.change_plans, pk=pk).pk, by=user)
    messages.success(request, _("Discarded. Nothing was changed."))
    return redirect("supply", here.slug)


# -- Another time for one of the bookings --------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def proposal(request: Request, clinic: str, pk: int) -> HttpResponse:
    """Of a plan that is not applied yet."""
    here, _user = _desk(request, clinic)
    related = ChangeProposal.objects.select_related(
        "plan", "booking__patient", "booking__service", "booking__clinic"
    )
    found = get_object_or_404(related, plan__clinic=here, pk=pk)
    back = reverse("supply_plan", args=[here.slug, found.plan_id])
    if request.method == "POST":
        practitioner_id, starts_at = _chosen(request)
        try:
            changes.choose(
                plan_id=found.plan_id,
                booking_id=found.booking_id,
                practitioner_id=practitioner_id,
                starts_at=starts_at,
            )
        except changes.PlanOutdated as problem:
            messages.warning(request, str(problem.sentence))
            return redirect("supply_proposal", here.slug, pk)
        messages.success(request, _("The new time is noted."))
        return redirect(back)
    options = changes.options(plan_id=found.plan_id, booking_id=found.booking_id)
    return _page(
        request, here, "supply_times", {"booking": found.booking, "back": back, "days": _days(options)}
    )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def visit(request: Request, clinic: str, reference: str) -> HttpResponse:
    """A visit whose time cannot be kept: it is moved at once."""
    here, user = _desk(request, clinic)
    related = stranded.needing_time(here).select_related("patient", "service", "clinic", "session")
    found = get_object_or_404(related, reference=reference)
    if request.method == "POST":
        practitioner_id, starts_at = _chosen(request)
        slot = get_object_or_404(Slot, practitioner=practitioner_id, starts_at=starts_at)
        try:
            with transaction.atomic(durable=True):
                moves.move_booking(booking_id=found.pk, slot_id=slot.pk, by=user, version=found.version)
        except BookingError as problem:
            messages.warning(request, str(problem.sentence))
            return redirect("supply_visit", here.slug, reference)
        messages.success(request, _("The visit is moved and its patient is told."))
        return redirect("supply", here.slug)
    context = {"booking": found, "back": reverse("supply", args=[here.slug])}
    context["days"] = _days(stranded.options_of_open(found))
    return _page(request, here, "supply_times", context)


def _chosen(request: Request) -> tuple[int, dt.datetime]:
    form = TimeForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    practitioner_id, starts_at = form.cleaned_data["time"]
    return practitioner_id, starts_at


class Option(NamedTuple):
    time: Candidate
    name: str


def _days(options: list[Candidate]) -> list[tuple[dt.date, list[Option]]]:
    """The best options in order of time, by day."""
    names = Practitioner.objects.in_bulk([time.practitioner_id for time in options])
    days: dict[dt.date, list[Option]] = {}
    for time in sorted(options, key=lambda time: (time.starts_at, time.practitioner_id)):
        days.setdefault(time.day, []).append(Option(time, names[time.practitioner_id].name))
    return list(days.items())


# -- Common --------------------------------------------------------------------------------------


def _desk(request: Request, slug: str) -> tuple[Clinic, User]:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return clinic_for(request, slug, act=Can.MANAGE_SUPPLY), request.user


def _page(
    request: Request, here: Clinic, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    context |= {"nav": "desk", "clinic": here, "tab": "supply"}
    return render(request, f"scheduling/{name}.html", context, status=status)
