"""The desk: a clinic's day for its staff, live; and who may look at it, who may act."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from clinic_booking.context import Request
from clinic_booking.errors import NotAllowed
from clinic_booking.models import User
from clinic_booking.roles import Can, may, where
from scheduling import calendar
from scheduling.desk_filters import VIEWS, DeskForm
from scheduling.forms import BadField, DayForm, SpanForm
from scheduling.models import Booking, Clinic, Practitioner


def clinics_of(user: User, what: Can = Can.SEE_DESK) -> QuerySet[Clinic]:
    return Clinic.objects.filter(pk__in=where(user, what))


def acts_at(user: User, what: Can = Can.ACT_AT_DESK) -> QuerySet[Clinic]:
    """Where the user runs the desk, and does not only look."""
    return clinics_of(user, what)


def clinic_for(
    request: Request,
    slug: str,
    *,
    see: Can = Can.SEE_DESK,
    act: Can = Can.ACT_AT_DESK,
    is_act: bool | None = None,
) -> Clinic:
    """Behind `login_required`; to who may not `see` it does not exist. Raises NotAllowed for a change (or what is one
    by `is_act`) by who may not `act`."""
    user = _user(request)
    here = get_object_or_404(clinics_of(user, see), slug=slug)
    changes = request.method not in ("GET", "HEAD") if is_act is None else is_act
    if changes and not may(user, act, here):
        raise NotAllowed
    return here


@never_cache
@login_required
@require_safe
def home(request: Request) -> HttpResponse:
    """Wherever the day of this member of staff is."""
    user = _user(request)
    if not may(user, Can.ACT_AT_DESK) and Practitioner.objects.filter(user=user).exists():
        return redirect("doctor")
    if clinic := clinics_of(user).first():
        return redirect("desk", clinic.slug)
    if clinic := clinics_of(user, Can.SEE_MONEY).first():
        return redirect("desk_money", clinic.slug)
    if may(user, Can.HANDLE_REQUESTS):
        return redirect("privacy_office")
    if may(user, Can.CONFIGURE):
        return redirect("admin:index")
    raise Http404


@never_cache
@login_required
@require_safe
def day(request: Request, clinic: str) -> HttpResponse:
    mine = list(clinics_of(_user(request)).filter(Q(is_active=True) | Q(slug=clinic)))
    here = _pick(mine, clinic)
    asked = DayForm(request.GET)
    if not asked.is_valid():
        raise BadField(asked)
    today = here.today()
    shown = asked.cleaned_data["date"] or today
    filters = DeskForm(request.GET, clinic=here, day=shown)
    filters.is_valid()  # what it does not know is left out
    view = filters.cleaned_data.get("view")
    context = {
        "nav": "desk",
        "clinic": here,
        "clinics": mine,
        "day": shown,
        "today": today,
        "now_ms": int(timezone.now().timestamp() * 1000),
        "view": view if view in VIEWS else VIEWS[0],
        "filters": filters,
        "may_act": may(_user(request), Can.ACT_AT_DESK, here),
        "is_list": "list" in request.GET,
        "previous": shown - dt.timedelta(1),
        "next": shown + dt.timedelta(1),
    }
    if context["is_list"]:
        context["bookings"] = filters.narrow(_bookings_of_day(here, shown))
        return render(request, "scheduling/desk_list.html", context)
    return render(request, "scheduling/desk.html", context)


@never_cache
@login_required
@require_safe
def dataset(request: Request, clinic: str) -> HttpResponse:
    return _dataset(request, [get_object_or_404(clinics_of(_user(request)), slug=clinic)])


@never_cache
@login_required
@require_safe
def datasets(request: Request) -> HttpResponse:
    """All clinics of the user, side by side."""
    if mine := list(clinics_of(_user(request)).filter(is_active=True)):
        return _dataset(request, mine)
    raise Http404


def _dataset(request: Request, clinics: list[Clinic]) -> HttpResponse:
    form = SpanForm(request.GET)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors.get_json_data()}, status=422)
    first, last = form.cleaned_data["from"], form.cleaned_data["to"]
    text = calendar.dataset(
        clinics=clinics,
        first=first,
        days=(last - first).days + 1,
        practitioner=form.cleaned_data["practitioner"],
    )
    return HttpResponse(text, content_type="application/json", headers={"Cache-Control": "no-store"})


@never_cache
@login_required
@require_safe
def booking(request: Request, clinic: str, reference: str) -> HttpResponse:
    here = get_object_or_404(clinics_of(_user(request)), slug=clinic)
    related = Booking.objects.visible_to(request.user).select_related(
        "patient", "practitioner", "station", "service", "clinic", "cancelled_by"
    )
    found = get_object_or_404(related, clinic=here, reference=reference)
    template = "scheduling/_desk_booking.html" if request.htmx else "scheduling/desk_booking.html"
    can_act = may(_user(request), Can.ACT_AT_DESK, here)
    return render(request, template, {"nav": "desk", "clinic": here, "booking": found, "can_act": can_act})


def _bookings_of_day(clinic: Clinic, day: dt.date) -> QuerySet[Booking]:
    first, until = clinic.day_bounds(day)
    found = Booking.objects.filter(clinic=clinic, starts_at__gte=first, starts_at__lt=until)
    return found.select_related("patient", "practitioner", "station", "service", "clinic").order_by(
        "starts_at", "practitioner"
    )


def _pick(clinics: list[Clinic], slug: str) -> Clinic:
    for clinic in clinics:
        if clinic.slug == slug:
            return clinic
    raise Http404


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user
