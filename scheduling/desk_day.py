"""The desk's acts on the visits of the day, and its queue."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from patients import vault
from scheduling import walk_ins
from scheduling.day_queue import LATE_MINUTES, day_queue
from scheduling.desk import clinics_of
from scheduling.errors import BookingError, NobodyFree
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic, VisitTicket, WalkIn
from scheduling.overbooking import may_overbook
from scheduling.stops import in_order
from scheduling.views import see_other
from scheduling.visit_acts import VERBS


class ActForm(forms.Form):
    """`back` is where the button was."""

    act = forms.ChoiceField(choices=[(name, name) for name in VERBS])
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1)
    back = forms.ChoiceField(choices=[(name, name) for name in ("details", "queue", "list")], required=False)


# -- Looking -------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def queue(request: Request, clinic: str) -> HttpResponse:
    here = get_object_or_404(clinics_of(_user(request)), slug=clinic)
    return _queue(request, here)


def _queue(
    request: Request, here: Clinic, sentence: str = "", status: int = 200, *, way_out: str = ""
) -> HttpResponse:
    now = database_now()
    context = {
        "nav": "desk",
        "tab": "queue",
        "clinic": here,
        "queue": (people := day_queue(here, now)),
        "now": now,
        "day": here.local_date(now),
        "late_minutes": LATE_MINUTES,
        "can_act": (can_act := may(_user(request), Can.RUN_QUEUE, here)),
        "incomplete": vault.incomplete({p.visit.patient_id for p in people.people}) if can_act else (),
        "sentence": sentence,
        "way_out": way_out,
    }
    template = "scheduling/_day_queue.html" if request.htmx else "scheduling/day_queue.html"
    return render(request, template, context, status=status)


@never_cache
@login_required
@require_safe
def ticket(request: Request, clinic: str, pk: int) -> HttpResponse:
    """All stops of the patient's day, to be read or printed as a slip."""
    here = get_object_or_404(clinics_of(_user(request)), slug=clinic)
    visit = get_object_or_404(
        VisitTicket.objects.visible_to(request.user).select_related("patient"), pk=pk, clinic=here
    )
    stops = visit.bookings.exclude(status=Booking.Status.CANCELLED).select_related(
        "service", "practitioner", "station", "clinic"
    )
    waiting = visit.walk_ins.filter(booking=None, left_at=None).select_related(
        "session__request__service", "called_to"
    )
    context = {
        "nav": "desk",
        "tab": "queue",
        "clinic": here,
        "visit": visit,
        "stops": in_order(stops),
        "waiting": waiting,
    }
    return render(request, "scheduling/visit_ticket.html", context)


# -- Acting --------------------------------------------------------------------------------------


@login_required
@require_POST
def act(request: Request, clinic: str, reference: str) -> HttpResponse:
    here = _where_allowed(request, clinic)
    found = get_object_or_404(Booking.objects.visible_to(request.user), clinic=here, reference=reference)
    form = ActForm(request.POST)
    if not form.is_valid():
        raise Http404
    back, refusal = form.cleaned_data["back"] or "details", None
    try:
        with transaction.atomic(durable=True):
            verb = VERBS[form.cleaned_data["act"]]
            verb(booking_id=found.pk, by=_user(request), version=form.cleaned_data["version"])
    except BookingError as error:
        refusal = error
    if back == "queue":
        return _answer_in_queue(request, here, refusal)
    if request.htmx and back == "details":
        return _details(request, here, found.pk, refusal)
    if refusal:
        messages.error(request, str(refusal))
    if back == "list":
        day = here.local_date(found.starts_at)
        return see_other(f"{reverse('desk', args=[here.slug])}?date={day}&list=1")
    return see_other(reverse("desk_booking", args=[here.slug, reference]))


@login_required
@require_POST
def act_on_walk_in(request: Request, clinic: str, pk: int, act: str) -> HttpResponse:
    here = _where_allowed(request, clinic)
    found = get_object_or_404(WalkIn.objects.visible_to(request.user), visit__clinic=here, pk=pk)
    refusal: BookingError | None = None
    try:
        if act == "start":
            walk_ins.start_walk_in(walk_in_id=found.pk, by=_user(request))
        elif verb := {"call": walk_ins.call_walk_in, "leave": walk_ins.leave_queue}.get(act):
            with transaction.atomic(durable=True):
                verb(walk_in_id=found.pk, by=_user(request))
        else:
            raise Http404
    except NobodyFree as error:
        if act == "start" and may_overbook(_user(request), here):
            return _offer_overbooking(request, here, found, error)
        refusal = error
    except BookingError as error:
        refusal = error
    return _answer_in_queue(request, here, refusal)


def _offer_overbooking(
    request: Request, here: Clinic, walk_in: WalkIn, refusal: BookingError
) -> HttpResponse:
    """Never by itself: a page asks for the reason."""
    page = f"{reverse('desk_overbook', args=[here.slug])}?walk_in={walk_in.pk}"
    if not request.htmx:
        return see_other(page)
    return _queue(request, here, str(refusal), refusal.status, way_out=page)


def _details(request: Request, here: Clinic, pk: int, refusal: BookingError | None) -> HttpResponse:
    related = "patient", "practitioner", "station", "service", "clinic", "visit", "cancelled_by"
    fresh = Booking.objects.select_related(*related).get(pk=pk)
    context = {"clinic": here, "booking": fresh, "sentence": str(refusal or ""), "has_acted": True}
    status = refusal.status if refusal else 200
    return render(request, "scheduling/_desk_booking.html", context, status=status)


def _answer_in_queue(request: Request, here: Clinic, refusal: BookingError | None) -> HttpResponse:
    if request.htmx:
        return _queue(request, here, str(refusal or ""), refusal.status if refusal else 200)
    if refusal:
        messages.error(request, str(refusal))
    return see_other(reverse("desk_queue", args=[here.slug]))


def _where_allowed(request: Request, clinic: str) -> Clinic:
    here = get_object_or_404(clinics_of(_user(request)), slug=clinic)
    if not may(_user(request), Can.RUN_QUEUE, here):
        raise PermissionDenied
    return here


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user
