"""What patients do with their own visits: look, cancel, move, add to the calendar."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import rows
from clinic_booking.errors import NotAllowed
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from patients import claims, consents
from patients.models import Patient
from patients.proxies import acts
from scheduling import booking, changes, courses, ics, links, stops, terms
from scheduling.errors import FeeChanged, SlotTaken
from scheduling.forms import BadField, MoveForm
from scheduling.models import Booking, BookingRequest, ChangeProposal, WaitlistEntry
from scheduling.times import Choice, offers

PAST_SHOWN = 50


def find(request: HttpRequest, reference: str) -> Booking:
    """The visit, if this browser may see it; 404 otherwise, also for what exists."""
    visible = Booking.objects.visible_to(request.user, references=links.kept(request, "bookings"))
    found = visible.select_related(*stops.RELATED).filter(reference=reference).first()
    if found is None:
        raise links.refusal(request.GET.get("key", ""), reference) or Http404
    return found


def find_to_change(request: HttpRequest, reference: str) -> Booking:
    """As `find`. Raises NotAllowed for staff who only look."""
    found = find(request, reference)
    known = reference in links.kept(request, "bookings")
    if not known and not _is_own(request, found) and not acts_for_clinic(request, found):
        raise NotAllowed
    return found


def _is_own(request: HttpRequest, booking: Booking) -> bool:
    user = user_of(request)
    return user is not None and Patient.objects.belonging_to(user).filter(pk=booking.patient_id).exists()


def remember(request: HttpRequest, booking: Booking) -> None:
    """From now on this browser may see the visit without a login."""
    links.keep(request, "bookings", booking.reference, booking.patient_id)


@never_cache
@require_safe
def show(request: HttpRequest, reference: str) -> HttpResponse:
    key = request.GET.get("key")
    if key and links.opens(key, reference):
        with rows.all_rows():  # whoever has the key
            booked = Booking.objects.select_related("hold").get(reference=reference)
            # The letter is about all that was booked together.
            for each in (*stops.plan_of(booked), booked):
                remember(request, each)
        return redirect("booking", reference)
    found = find(request, reference)
    context = {"nav": "me", **_whole(request, found)}
    context["can_claim"] = not context["by_clinic"] and claims.may_offer(found.patient, user_of(request))
    return render(request, "scheduling/booking.html", context)


def _whole(request: HttpRequest, booking: Booking) -> dict[str, Any]:
    """The appointment with the rest of its visit and of what was booked with it."""
    visit = stops.stops_of(booking)
    own = {each.pk for each in visit}
    open_ones = stops.still_booked(visit)
    by_clinic = acts_for_clinic(request, booking)
    together = list(stops.plan_of(booking)) if booking.hold else []
    held_with = {each.pk for each in together} - {booking.pk}
    return {
        "booking": booking,
        "visit": visit,
        "open_ones": open_ones,
        "stops": stops.in_order(visit) if len(visit) > 1 else None,
        "others": [each for each in together if each.pk not in own],
        # Made on its own, it moves on its own too; a course has rules which the rest of the day knows nothing of.
        "is_apart": len(visit) > 1 and booking in open_ones and not by_clinic and not own & held_with,
        "total_cents": sum(each.price_cents for each in visit),
        "by_clinic": by_clinic,
        "can_change": bool(open_ones) and (by_clinic or all(each.can_be_changed() for each in open_ones)),
        "can_cancel": bool(open_ones) and (by_clinic or all(each.can_be_cancelled() for each in open_ones)),
    }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_time(request: HttpRequest, reference: str) -> HttpResponse:
    """The clinic moved the visit, or cannot keep its time: the patient accepts, or goes on to choose."""
    key = request.GET.get("key")
    if key and links.opens(key, reference):
        with rows.all_rows():  # whoever has the key
            remember(request, Booking.objects.get(reference=reference))
        return redirect("new_time", reference)
    found = find_to_change(request, reference)
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
        ics.calendar_file(*stops.stops_of(found)),
        content_type=ics.CONTENT_TYPE,
        headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cancellation(request: HttpRequest, reference: str) -> HttpResponse:
    """Of one appointment, of the whole visit, or of all that was booked together: all of it, or nothing."""
    found = find_to_change(request, reference)
    whole = _whole(request, found)
    quotes = _quotes(found, whole)
    if request.method != "POST":
        return _ask_to_cancel(request, whole, quotes)
    by_scope = {each.scope: each for each in quotes}
    chosen = by_scope.get(request.POST.get("scope", ""), by_scope["one"])
    by_clinic = whole["by_clinic"]
    try:
        with transaction.atomic(durable=True):
            booking.cancel_bookings(
                booking_ids=[each.pk for each in chosen.bookings],
                by=user_of(request),
                reason="clinic" if by_clinic else "patient",
                patient_asks=not by_clinic,
                seen=terms.Outcome.read(request.POST.get(f"seen-{chosen.scope}", "")),
            )
            _note(request, found, "cancel")
    except FeeChanged as refusal:
        return _ask_to_cancel(request, whole, _quotes(found, whole), refusal)
    messages.success(request, _("Your visit is cancelled."))
    return redirect("booking", reference)


def _quotes(found: Booking, whole: dict[str, Any]) -> list[terms.Quote]:
    """What cancelling costs now: of the one, of the visit, of all that was booked together."""
    left = stops.still_booked(whole["visit"])
    scopes = {"visit": left} if len(left) > 1 else {}
    # Where they are here for this one already, what is left of the visit is the other.
    scopes["one"] = left if left and found not in left else [found]
    if whole["others"]:
        scopes["plan"] = [*whole["visit"], *whole["others"]]
    now, by_patient = booking.database_now(), not whole["by_clinic"]
    return [
        terms.quote(scope, stops.still_booked(several) or [found], now, by_patient=by_patient)
        for scope, several in scopes.items()
    ]


def _ask_to_cancel(
    request: HttpRequest, whole: dict[str, Any], quotes: list[terms.Quote], refusal: FeeChanged | None = None
) -> HttpResponse:
    context = {"nav": "me", "quotes": quotes, "sentence": refusal, **whole}
    return render(request, "scheduling/cancellation.html", context, status=refusal.status if refusal else 200)


def acts_for_clinic(request: HttpRequest, booking: Booking) -> bool:
    """Staff of its clinic, for whom the rule on how late does not count; not for their own visits."""
    user = user_of(request)
    if user is None or _is_own(request, booking):
        return False
    return may(user, Can.ACT_AT_DESK, booking.clinic_id)


def _note(request: HttpRequest, booking: Booking, what: str) -> None:
    acts.note(
        by=user_of(request),
        patient=booking.patient,
        subject=f"booking:{booking.pk}",
        what=what,
        clinic_id=booking.clinic_id,
    )


@require_POST
def move(request: HttpRequest, reference: str) -> HttpResponse:
    found = find_to_change(request, reference)
    form = MoveForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    slot_id = form.cleaned_data["slot"]
    if not acts_for_clinic(request, found):
        courses.check_move(found, slot_id)
    try:
        with transaction.atomic(durable=True):
            booking.move_booking(
                booking_id=found.pk,
                slot_id=slot_id,
                version=form.cleaned_data["version"],
                by=user_of(request),
                patient_asks=True,
            )
            _note(request, found, "move")
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
    mine = Booking.objects.belonging_to(user).select_related(
        "patient", "clinic", "practitioner", "station", "service", "session__request__service"
    )
    now = timezone.now()
    patient = Patient.objects.filter(user=user).first()
    context = {
        "nav": "me",
        "must_agree": patient is not None and consents.must_be_asked(patient.pk),
        "courses": courses.courses(courses.own_requests(user)),
        "upcoming": mine.live().filter(ends_at__gte=now).order_by("starts_at"),
        "waiting": waiting_of(user_of(request)),
        "has_messages": patient is not None,
        "prepares": patient,
        "claimable": []
        if patient
        else [(r.uuid, claims.masked_name(r.name)) for r in claims.found_for(user)],
        "past": mine.exclude(pk__in=mine.live().filter(ends_at__gte=now)).order_by("-starts_at")[:PAST_SHOWN],
    }
    return render(request, "scheduling/me.html", context)


def waiting_of(user: User | None) -> QuerySet[WaitlistEntry]:
    """What the patient waits for. Sessions of a plan are shown with the plan, until one is offered a time."""
    waiting = WaitlistEntry.objects.belonging_to(user).filter(ended_at=None)
    is_plan = Q(session__request__source=BookingRequest.Source.CONTRACT, status=WaitlistEntry.Status.WAITING)
    return (
        waiting.exclude(is_plan)
        .select_related("session__request__service", "session__request__patient")
        .order_by("joined_at")
    )


def user_of(request: HttpRequest) -> User | None:
    return request.user if request.user.is_authenticated else None
