"""Moving and cancelling visits on the calendar. Answers JSON to the calendar, pages to browsers without scripts."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.audit import openings
from clinic_booking.context import Request
from clinic_booking.errors import NotAllowed
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from scheduling import desk_moves as acts
from scheduling import search, terms
from scheduling.booking import cancel_booking, database_now
from scheduling.desk import acts_at, clinics_of
from scheduling.desk_move_forms import CancelForm, ChoiceForm, DropForm, TargetsForm, UndoForm
from scheduling.errors import BookingError, ChangedMeanwhile, FeeChanged, PatientBusy
from scheduling.forms import BadField
from scheduling.models import Booking, Clinic, Practitioner


@openings.minimum
@never_cache
@login_required
@require_safe
def targets(request: Request, clinic: str, reference: str) -> HttpResponse:
    """Where the visit may be dropped, as [clinic, practitioner, station, start, end]."""
    _here, user, booking = _asked(request, clinic, reference)
    form = TargetsForm(request.GET, user=user)
    if not form.is_valid():
        raise BadField(form)
    length = booking.ends_at - booking.starts_at
    starts = []
    for place in form.cleaned_data["clinic"]:
        first, until = _span(place, form.cleaned_data["from"], form.cleaned_data["to"])
        for start in search.new_starts(booking=booking, clinics=[place.pk], first=first, until=until):
            wall = [
                f"{at.astimezone(place.zone):%Y-%m-%dT%H:%M}"
                for at in (start.starts_at, start.starts_at + length)
            ]
            starts.append([place.slug, start.practitioner_id, start.station_id, *wall])
    return JsonResponse({"starts": starts})


def _span(place: Clinic, first: dt.date, last: dt.date) -> tuple[dt.datetime, dt.datetime]:
    return place.day_bounds(first, max(1, min(31, (last - first).days + 1)))


@openings.minimum
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def drop(request: Request, clinic: str, reference: str) -> HttpResponse:
    """GET: the dialog with the free times. POST: the drop; where it asks something and nobody is `sure`, only that."""
    here, user, booking = _asked(request, clinic, reference)
    if request.method != "POST":
        return _dialog(request, here, user, booking)
    form = DropForm(request.POST, user=user)
    if not form.is_valid():
        return _refused(request, here, user, booking, BadField(form))
    key = str(form.cleaned_data["key"])
    if done := acts.made_before(key, booking):
        return _moved(request, here, done, key, [])
    try:
        wanted = form.drop(booking, user)
        outlook = acts.look_ahead(wanted)
        if form.cleaned_data["dry"] or (outlook.questions and not form.cleaned_data["sure"]):
            _try_out(wanted, outlook)
            return _asks(request, here, user, wanted, outlook)
        moved = acts.commit(wanted)
    except BookingError as refusal:
        return _refused(request, here, user, booking, refusal)
    return _moved(request, here, moved, key, outlook.notes)


@openings.minimum
@login_required
@require_POST
def undo(request: Request, clinic: str, reference: str) -> HttpResponse:
    here, user, booking = _asked(request, clinic, reference)
    form = UndoForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    try:
        moved = acts.undo(booking=booking, key=str(form.cleaned_data["key"]), by=user)
    except BookingError as refusal:
        return _refused(request, here, user, booking, refusal)
    sentence = _("Undone. It is again: %(where)s.") % {"where": acts.place_of(moved[0])}
    if not _wants_json(request):
        messages.success(request, sentence)
        return redirect(_day_of(moved[0]))
    return JsonResponse({"moved": [acts.state(each) for each in moved], "sentence": sentence})


@openings.minimum
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancellation(request: Request, clinic: str, reference: str) -> HttpResponse:
    """Asked for first, then done: this cannot be undone."""
    here, user, booking = _asked(request, clinic, reference)
    form = CancelForm(request.POST or None, initial={"version": booking.version, "reason": "patient"})
    if request.method != "POST" or not form.is_valid():
        return _ask_to_cancel(request, here, booking, form, 422 if form.errors else 200)
    reason = form.cleaned_data["reason"]
    try:
        if form.cleaned_data["version"] != booking.version:
            raise ChangedMeanwhile
        with transaction.atomic(durable=True):
            seen = terms.Outcome.read(request.POST.get(f"seen-{reason}", ""))
            cancel_booking(booking_id=booking.pk, by=user, reason=reason, seen=seen)
    except FeeChanged as refusal:
        if _wants_json(request):
            return JsonResponse({"error": str(refusal), "again": request.path}, status=refusal.status)
        return _ask_to_cancel(request, here, booking, form, refusal.status, sentence=refusal)
    except BookingError as refusal:
        return _refused(request, here, user, booking, refusal)
    sentence = _("The visit of %(patient)s is cancelled.") % {"patient": booking.patient.name}
    if _wants_json(request):
        return JsonResponse({"sentence": sentence})
    messages.success(request, sentence)
    return redirect(_day_of(booking))


def _ask_to_cancel(
    request: Request, here: Clinic, booking: Booking, form: CancelForm, status: int, **more: Any
) -> HttpResponse:
    """With what it costs for either reason."""
    now = database_now()
    quotes = [
        (label, terms.quote(reason, [booking], now, by_patient=reason == "patient"))
        for reason, label in form.reasons
    ]
    context = {"form": form, "booking": booking, "quotes": quotes}
    return _show(request, here, "desk_cancel", context | more, status)


# -- Who and what --------------------------------------------------------------------------------


def _asked(request: Request, slug: str, reference: str) -> tuple[Clinic, User, Booking]:
    """Behind `login_required`. What the user may not see does not exist; raises NotAllowed where they only look."""
    assert request.user.is_authenticated
    here = get_object_or_404(clinics_of(request.user), slug=slug)
    found = (
        Booking.objects.visible_to(request.user)
        .filter(clinic__in=clinics_of(request.user))
        .select_related(*acts.RELATED)
    )
    booking = get_object_or_404(found, reference=reference)
    if not may(request.user, Can.ACT_AT_DESK, booking.clinic_id):
        raise NotAllowed
    return here, request.user, booking


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept") == "application/json"


def _day_of(booking: Booking) -> str:
    day = booking.clinic.local_date(booking.starts_at)
    return f"{reverse('desk', args=[booking.clinic.slug])}?date={day}"


# -- Answers -------------------------------------------------------------------------------------


def _moved(
    request: Request, here: Clinic, moved: Sequence[Booking], key: str, notes: Sequence[str]
) -> HttpResponse:
    sentence = _("Moved: %(patient)s, %(where)s.") % {
        "patient": moved[0].patient.name,
        "where": acts.place_of(moved[0]),
    }
    if not _wants_json(request):
        messages.success(request, " ".join([sentence, *notes]))
        return redirect(_day_of(moved[0]))
    return JsonResponse(
        {
            "moved": [acts.state(each) for each in moved],
            "sentence": sentence,
            "notes": list(notes),
            "undo": reverse("desk_undo", args=[here.slug, moved[0].reference]),
            "key": key,
            "seconds": acts.UNDO_SECONDS,
        }
    )


def _asks(
    request: Request, here: Clinic, user: User, wanted: acts.Drop, outlook: acts.Outlook
) -> HttpResponse:
    """Nothing is done yet."""
    along = bool(outlook.others) and not wanted.whole and _can_go_along(wanted)
    said = {"questions": outlook.questions, "notes": outlook.notes, "along": along}
    if _wants_json(request):
        return JsonResponse({"ask": said, "now": acts.state(wanted.booking)})
    return _dialog(request, here, user, wanted.booking, ask=said, given=request.POST)


def _try_out(wanted: acts.Drop, outlook: acts.Outlook) -> None:
    """Nobody is asked about what cannot be. What only another stop of the visit is in the way of may go with it."""
    try:
        acts.try_out(wanted)
    except PatientBusy:
        if not outlook.others or not _can_go_along(wanted):
            raise


def _can_go_along(wanted: acts.Drop) -> bool:
    """The whole visit by as much; else there is the page that plans it anew."""
    try:
        acts.try_out(acts.Drop(**vars(wanted) | {"whole": True}))
    except BookingError:
        return False
    return True


def _refused(
    request: Request, here: Clinic, user: User, booking: Booking, refusal: BookingError | BadField
) -> HttpResponse:
    fresh = Booking.objects.select_related(*acts.RELATED).get(pk=booking.pk)
    sentence = acts.told_loser(refusal, fresh)
    if _wants_json(request):
        said = {"error": sentence, "now": acts.state(fresh)}
        return JsonResponse(said, status=refusal.status)
    return _dialog(request, here, user, fresh, sentence=sentence, status=refusal.status)


# -- The dialog ----------------------------------------------------------------------------------


def _dialog(
    request: Request, here: Clinic, user: User, booking: Booking, *, status: int = 200, **more: Any
) -> HttpResponse:
    form = ChoiceForm(request.GET, user=user, booking=booking)
    if not form.is_valid():
        raise BadField(form)
    place = form.cleaned_data["clinic"] or booking.clinic
    day = form.cleaned_data["day"] or max(place.local_date(booking.starts_at), place.today())
    who = form.cleaned_data["practitioner"]
    first, until = place.day_bounds(day)
    starts = search.new_starts(booking=booking, clinics=[place.pk], first=first, until=until)
    people = form.fields["practitioner"].queryset  # type: ignore[attr-defined]
    context = {
        "booking": booking,
        "place": place,
        "places": acts_at(user),
        "day": day,
        "before": day - dt.timedelta(1),
        "after": day + dt.timedelta(1),
        "who": who,
        "people": people.order_by("name"),
        "times": _by_person(starts, booking, who),
        "key": uuid.uuid4(),
    }
    return _show(request, here, "desk_move", context | more, status)


def _by_person(
    starts: Sequence[search.Start], booking: Booking, who: Practitioner | None
) -> list[tuple[Practitioner, list[search.Start]]]:
    own = (booking.starts_at, booking.practitioner_id, booking.station_id)
    free = [s for s in starts if (s.starts_at, s.practitioner_id, s.station_id) != own]
    people = Practitioner.objects.in_bulk(
        {s.practitioner_id for s in free if who is None or s.practitioner_id == who.pk}
    )
    found = [(person, [s for s in free if s.practitioner_id == pk]) for pk, person in people.items()]
    return sorted(found, key=lambda row: (row[0].pk != booking.practitioner_id, row[0].name))


def _show(request: Request, here: Clinic, name: str, context: dict[str, Any], status: int) -> HttpResponse:
    context |= {"nav": "desk", "clinic": here, "tab": "day"}
    template = f"scheduling/_{name}.html" if request.htmx else f"scheduling/{name}.html"
    return render(request, template, context, status=status)
