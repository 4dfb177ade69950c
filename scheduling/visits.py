"""What patients do with their own visits: look, cancel, move, add to the calendar."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.models import User
from scheduling import booking, changes, courses, ics, links
from scheduling.errors import SlotTaken
from scheduling.forms import BadField, MoveForm
from scheduling.models import Booking, BookingRequest, ChangeProposal, WaitlistEntry
from scheduling.times import Choice, offers

MAX_REMEMBERED = 50
PAST_SHOWN = 50


def find(request: HttpRequest, reference: str) -> Booking:
    """The visit, if this browser may see it; 404 otherwise, also for what exists."""
    visible = Booking.objects.visible_to(request.user, references=request.session.get("bookings", []))
    related = visible.select_related("clinic__legal_entity", "practitioner", "station", "service", "patient")
    return get_object_or_404(related, reference=reference)


def remember(request: HttpRequest, reference: str) -> None:
    """From now on this browser may see the visit without a login."""
    known = [r for r in request.session.get("bookings", []) if r != reference]
    request.session["bookings"] = [*known, reference][-MAX_REMEMBERED:]


@never_cache
@require_safe
def show(request: HttpRequest, reference: str) -> HttpResponse:
    key = request.GET.get("key")
    if key and links.opens(key, reference):
        remember(request, reference)
        return redirect("booking", reference)
    return render(request, "scheduling/booking.html", {"nav": "me", "booking": find(request, reference)})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_time(request: HttpRequest, reference: str) -> HttpResponse:
    """The clinic moved the visit, or cannot keep its time: the patient accepts, or goes on to choose."""
    key = request.GET.get("key")
    if key and links.opens(key, reference):
        remember(request, reference)
        return redirect("new_time", reference)
    found = find(request, reference)
    proposal = changes.latest_proposal(found)
    if proposal is None or found.status != Booking.Status.BOOKED:  # it was changed again since
        return redirect("booking", reference)
    is_open = proposal.decision == ChangeProposal.Decision.OPEN
    if request.method == "POST" and not is_open:
        if not changes.accept_move(proposal_id=proposal.pk):
            messages.info(request, _("You have accepted this time already."))
        return redirect("new_time", reference)
    context = {"booking": found, "proposal": proposal, "is_open": is_open, "accepted": proposal.accepted_at}
    return render(request, "scheduling/new_time.html", {"nav": "me"} | context)


@require_safe
def calendar(request: HttpRequest, reference: str) -> HttpResponse:
    found = find(request, reference)
    disposition = f'attachment; filename="visit-{found.reference}.ics"'
    return HttpResponse(
        ics.calendar_file(found),
        content_type=ics.CONTENT_TYPE,
        headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cancellation(request: HttpRequest, reference: str) -> HttpResponse:
    found = find(request, reference)
    if request.method != "POST":
        return render(request, "scheduling/cancellation.html", {"nav": "me", "booking": found})
    with transaction.atomic(durable=True):
        booking.cancel_booking(booking_id=found.pk, by=_user(request), reason="patient", patient_asks=True)
    messages.success(request, _("Your visit is cancelled."))
    return redirect("booking", reference)


@require_POST
def move(request: HttpRequest, reference: str) -> HttpResponse:
    found = find(request, reference)
    form = MoveForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    try:
        with transaction.atomic(durable=True):
            booking.move_booking(
                booking_id=found.pk,
                slot_id=form.cleaned_data["slot"],
                version=form.cleaned_data["version"],
                by=_user(request),
                patient_asks=True,
            )
    except SlotTaken as refusal:
        return render(request, "scheduling/taken.html", _taken(found, refusal), status=refusal.status)
    messages.success(request, _("Your visit is moved."))
    return redirect("booking", reference)


def _taken(found: Booking, refusal: SlotTaken) -> dict[str, Any]:
    return {
        "nav": "me",
        "sentence": refusal.sentence,
        "offers": offers(refusal.nearby),
        "choice": Choice.of_move(found),
        "service": found.service,
        "moving": found,
    }


@never_cache
@login_required
@require_safe
def me(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)
    mine = Booking.objects.filter(patient__user=user).select_related(
        "clinic", "practitioner", "station", "service"
    )
    now = timezone.now()
    context = {
        "nav": "me",
        "courses": courses.courses(courses.own_requests(user)),
        "upcoming": mine.live().filter(ends_at__gte=now).order_by("starts_at"),
        "waiting": waiting_of(_user(request)),
        "past": mine.exclude(pk__in=mine.live().filter(ends_at__gte=now)).order_by("-starts_at")[:PAST_SHOWN],
    }
    return render(request, "scheduling/me.html", context)


def waiting_of(user: User | None) -> QuerySet[WaitlistEntry]:
    """What the patient waits for. Sessions of a plan are shown with the plan, until one is offered a time."""
    waiting = WaitlistEntry.objects.filter(session__request__patient__user=user, ended_at=None)
    is_plan = Q(session__request__source=BookingRequest.Source.CONTRACT, status=WaitlistEntry.Status.WAITING)
    return waiting.exclude(is_plan).select_related("session__request__service").order_by("joined_at")


def _user(request: HttpRequest) -> User | None:
    return request.user if request.user.is_authenticated else None
