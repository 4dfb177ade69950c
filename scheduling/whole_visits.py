"""Moving a whole visit: the same services in the same order at another time, all or none."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clinic_booking.context import Request
from scheduling import booking as verbs
from scheduling import courses, visits
from scheduling.errors import BookingError, ChangedMeanwhile, TooLate
from scheduling.itineraries import USUAL_WAIT
from scheduling.models import Booking, Service
from scheduling.stops import still_booked, stops_of
from scheduling.wishes import NO, WishForm
from scheduling.wizard import answer, part_of, wishes_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def move(request: Request, reference: str) -> HttpResponse:
    """Proposals for the same services in the same order; all move, or none."""
    found = visits.find_to_change(request, reference)
    stops = still_booked(stops_of(found))
    by_clinic = visits.acts_for_clinic(request, found)
    if not stops or not (by_clinic or all(stop.can_be_changed() for stop in stops)):
        raise TooLate
    if request.method != "POST":
        return _page(request, found, stops, request.GET)
    try:
        moves = _moves(request, stops)
        if not by_clinic:
            for stop, move_ in zip(stops, moves, strict=True):
                courses.check_move(stop, move_.slot_id)
        with transaction.atomic(durable=True):
            verbs.move_bookings(moves=moves, by=visits.user_of(request), patient_asks=not by_clinic)
    except BookingError as refusal:
        fresh = still_booked(stops_of(found)) or stops
        wishes = wishes_of(request)
        return _page(request, found, fresh, wishes, sentence=str(refusal), status=refusal.status)
    messages.success(request, _("Your visit is moved."))
    return redirect("booking", reference)


def _moves(request: Request, stops: Sequence[Booking]) -> list[verbs.Move]:
    parts = [part_of(text) for text in request.POST.getlist("part")]
    versions = request.POST.getlist("version")
    if len(parts) != len(stops) or versions != [str(stop.version) for stop in stops]:
        raise ChangedMeanwhile
    return [verbs.Move(stop.pk, part.slot_id, stop.version) for stop, part in zip(stops, parts, strict=True)]


def _page(
    request: Request,
    booking: Booking,
    stops: list[Booking],
    wishes: QueryDict,
    *,
    sentence: str = "",
    status: int = 200,
) -> HttpResponse:
    asked = wishes.copy()
    asked.setlist("service", [stop.service.slug for stop in stops])
    asked["times"] = "1"
    asked.setdefault("max_wait", str(_longest_wait(stops)))
    if len({stop.clinic_id for stop in stops}) > 1:
        asked.setdefault("same_clinic", NO)
    form = WishForm(asked, services=Service.objects.filter(pk__in=[stop.service_id for stop in stops]))
    found, code = answer(form, booking.patient, leaving=[stop.pk for stop in stops])
    here = reverse("visit_move", args=[booking.reference])
    context: dict[str, Any] = {
        "nav": "me",
        "moving": booking,
        "leaving": stops,
        "action": here,
        "hold_url": here,
    }
    context |= {"sentence": sentence} | found
    return render(request, "scheduling/wizard.html", context, status=status if status != 200 else code)


def _longest_wait(stops: Sequence[Booking]) -> int:
    """As long as now, if that is more than usual."""
    waits = [there.starts_at - here.ends_at for here, there in zip(stops, stops[1:], strict=False)]
    return int(max([USUAL_WAIT, *waits]) / dt.timedelta(minutes=1))
