"""The page behind a reminder's link: confirm, cancel or move. Opening it does nothing: mail scanners open links."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clinic_booking import rows
from scheduling import links, stops
from scheduling.confirmations import confirm
from scheduling.models import Booking
from scheduling.visits import find_to_change, remember, user_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, reference: str) -> HttpResponse:
    key = request.GET.get("key")
    if key and links.opens_answer(key, reference):
        _remember_visit(request, reference)
        return redirect("answer", reference)
    if key:
        return render(request, "scheduling/answer_gone.html", {"nav": "me"}, status=410)
    found = find_to_change(request, reference)
    visit = stops.stops_of(found)
    if request.method == "POST":
        confirmed = confirm(booking_ids=[each.pk for each in visit], by=user_of(request))
        messages.success(request, _said(confirmed, visit))
        return redirect("answer", reference)
    return render(request, "scheduling/answer.html", {"nav": "me", **_shown(found, visit)})


@rows.all_rows()  # whoever has the key
def _remember_visit(request: HttpRequest, reference: str) -> None:
    """Whoever has the link may see the stops of this visit, as it says."""
    if booked := Booking.objects.filter(reference=reference).first():
        for each in stops.stops_of(booked):
            remember(request, each)


def _said(confirmed: int, visit: list[Booking]) -> str:
    if confirmed:
        return _("Thank you. We know that you are coming.")
    if any(each.is_confirmed for each in stops.still_booked(visit)):
        return _("You have confirmed this visit already.")
    return _("This visit cannot be confirmed any more.")


def _shown(found: Booking, visit: list[Booking]) -> dict[str, Any]:
    open_ones = stops.still_booked(visit)
    return {
        "booking": found,
        "visit": visit,
        "stops": stops.in_order(visit) if len(visit) > 1 else None,
        "is_open": bool(open_ones),
        "is_confirmed": bool(open_ones) and all(each.is_confirmed for each in open_ones),
        "can_change": bool(open_ones) and all(each.can_be_changed() for each in open_ones),
        "can_cancel": bool(open_ones) and all(each.can_be_cancelled() for each in open_ones),
        "open_ones": open_ones,
    }
