"""For staff: sessions that have no time yet, each with its reason, and the buttons that look for one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from scheduling import desk, matching
from scheduling.matching import job
from scheduling.models import BookingPattern, BookingRequest, Clinic, SessionTicket

PAGE = 50


def unmatched(clinic: Clinic) -> QuerySet[SessionTicket]:
    """Planned sessions that could be at this clinic: no rule names others only, and there is the kind of room."""
    elsewhere = BookingPattern.objects.filter(
        request=OuterRef("request"), is_hard=True, clinics__isnull=False
    ).exclude(clinics=clinic)
    return (
        SessionTicket.objects.filter(
            ~Exists(elsewhere),
            status=SessionTicket.Status.PLANNED,
            request__in=BookingRequest.objects.plannable().filter(closed_at=None),
            request__service__station_kind__in=clinic.stations.values("kind"),
        )
        .select_related("request__patient", "request__service")
        .order_by("-request__urgency", "request__created_at", "request", "number")
    )


@never_cache
@login_required
@require_safe
def index(request: Request, clinic: str) -> HttpResponse:
    here = desk.clinic_for(request, clinic)
    page = Paginator(unmatched(here), PAGE).get_page(request.GET.get("page"))
    template = "scheduling/unmatched.html"
    return render(
        request, template, {"nav": "desk", "tab": "unmatched", "clinic": here, "page": page} | _state()
    )


@login_required
@require_POST
def find_time(request: Request, clinic: str, request_id: int) -> HttpResponse:
    """For all sessions of the request: they depend on each other."""
    here = desk.clinic_for(request, clinic)
    if not unmatched(here).filter(request=request_id).exists():
        messages.info(request, _("Every session of this request has a time already."))
        return redirect("unmatched", here.slug)
    result = matching.autofill(request_id=request_id, by=_user(request))
    if placed := len(result.placed):
        text = ngettext("%(count)s session has a time now.", "%(count)s sessions have a time now.", placed)
        messages.success(request, text % {"count": placed})
    if result.unplaced:
        messages.warning(request, result.unplaced[0].unplaced_reason)
    return redirect("unmatched", here.slug)


@login_required
@require_POST
def plan_all(request: Request, clinic: str) -> HttpResponse:
    here = desk.clinic_for(request, clinic)
    job.defer(clinic=here)
    if request.htmx:
        return render(
            request, "scheduling/_matching_state.html", {"clinic": here, "is_asked": True} | _state()
        )
    messages.info(request, _("All sessions are being planned. This can take a minute."))
    return redirect("unmatched", here.slug)


@never_cache
@login_required
@require_safe
def state(request: Request, clinic: str) -> HttpResponse:
    """Where the planning is: asked for again every second or so while it runs."""
    here = desk.clinic_for(request, clinic)
    return render(request, "scheduling/_matching_state.html", {"clinic": here} | _state())


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user


def _state() -> dict[str, Any]:
    return {"is_running": job.is_running(), "progress": job.progress()}
