"""A new booking at the desk: one dialog, which is a page too. The time is held while the patient's name is spelt."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.templatetags.page import epoch_ms
from patients.models import Patient
from patients.search import find_patients, is_enough, repeated
from scheduling import booking, holds
from scheduling.desk import acts_at
from scheduling.desk_book_forms import DeskBookForm, WalkInForm
from scheduling.desk_book_times import Picked, covering, next_free, offered_at, picked
from scheduling.desk_ways import WAYS
from scheduling.errors import BookingError, PatientBusy, SlotGone
from scheduling.forms import HoldForm
from scheduling.models import Booking, Clinic, Service, Slot
from scheduling.overbooking import may_overbook
from scheduling.views import owner_of, see_other

BUSY = gettext_lazy("The patient already has a visit at this time.")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def book(request: Request, clinic: str) -> HttpResponse:
    here = _clinic(request, clinic)
    if request.method != "POST":
        return _page(request, here, request.GET)
    act = request.POST.get("act", "book")
    if act == "find":
        return _page(request, here, request.POST)
    form = _form(request, here, request.POST, WalkInForm if act == "walk_in" else DeskBookForm)
    if not form.is_valid():
        return _page(
            request,
            here,
            request.POST,
            form=form,
            status=409 if form.alike or form.is_known_elsewhere else 422,
        )
    try:
        if act == "walk_in":
            return _queue(request, here, form)
        made = _book(request, form)
    except BookingError as refusal:
        form.add_error(None, str(BUSY if isinstance(refusal, PatientBusy) else refusal))
        return _page(request, here, request.POST, form=form, status=refusal.status)
    return _booked(request, made, form)


def _book(request: Request, form: DeskBookForm) -> Booking:
    """The hold of this browser, or a new one should it have run out, becomes the booking."""
    given, by = form.cleaned_data, _user(request)
    if _slot(request, str(given["slot"])) is None:
        raise SlotGone
    session_id = _session(form)
    hold = holds.hold_slots(
        slot_id=given["slot"],
        service_id=given["service"].pk,
        owner=owner_of(request),
        patient=form.known if session_id else None,
        any_service=True,
        session_id=session_id,
    )
    with transaction.atomic(durable=True):
        patient = form.person(by=by)
        return booking.confirm_hold(hold_id=hold.pk, patient=patient, by=by, note=given["note"])


def _session(form: DeskBookForm) -> int | None:
    """The session of a contract that covers the visit; only one that is the patient's."""
    said = form.cleaned_data["pay"]
    if not (form.known and said.startswith("session:")):
        return None
    open_ones = covering(form.known, form.cleaned_data["service"], form.cleaned_data["slot"])
    return next((s.pk for s in open_ones if said == f"session:{s.pk}"), None)


def _booked(request: Request, made: Booking, form: DeskBookForm) -> HttpResponse:
    sentence = _("%(name)s is booked: reference %(reference)s.") % {
        "name": made.patient.name,
        "reference": made.reference,
    }
    way = WAYS.get(form.cleaned_data["pay"])
    trouble = ""
    if way and made.price_cents:
        try:
            sentence = f"{sentence} {way.act(made, request.POST, _user(request))}"
        except NamedError as refusal:
            trouble = _("The visit is booked, but: %(problem)s") % {"problem": refusal}
    return _done(
        request,
        sentence,
        trouble,
        reverse("desk_booking", args=[made.clinic.slug, made.reference]),
        made.reference,
    )


def _queue(request: Request, here: Clinic, form: DeskBookForm) -> HttpResponse:
    by = _user(request)
    with transaction.atomic(durable=True):
        patient = form.person(by=by)
        walk_in = booking.add_walk_in(
            clinic=here, patient=patient, service=form.cleaned_data["service"], by=by
        )
    sentence = _("%(name)s is in the queue with number %(number)s.") % {
        "name": patient.name,
        "number": walk_in.visit.number,
    }
    return _done(request, sentence, "", reverse("desk", args=[here.slug]), "")


def _done(request: Request, sentence: str, trouble: str, url: str, reference: str) -> HttpResponse:
    if request.htmx:
        told = {"sentence": sentence, "trouble": trouble, "reference": reference, "url": url}
        return JsonResponse(told, status=201)
    messages.success(request, sentence)
    if trouble:
        messages.error(request, trouble)
    return see_other(url)


# -- What the page shows -------------------------------------------------------------------------


def _page(
    request: Request, here: Clinic, asked: QueryDict, *, form: DeskBookForm | None = None, status: int = 200
) -> HttpResponse:
    slot = _slot(request, asked.get("slot", ""))
    time = picked(slot, owner_of(request)) if slot and asked.get("times") != "next" else None
    service = _service(asked.get("service", ""), _services(here, time))
    known = form.known if form else _patient(request, asked.get("patient", ""))
    q = asked.get("q", "")
    context: dict[str, Any] = {
        "nav": "desk",
        "tab": "day",
        "clinic": here,
        "form": form or _form(request, here, asked, DeskBookForm),
        "is_bound": form is not None,
        "time": time,
        "services": _services(here, time),
        "service": service,
        "next": next_free(service, here, _others(request, here)) if service and not time else [],
        "chosen_slot": slot.pk if slot else None,
        "known": known,
        "q": repeated(q),
        "found": find_patients(q, by=_user(request)) if q and not known and not request.htmx else None,
        "may_overbook": may_overbook(_user(request), here),
        **_ways(known, service, slot, asked.get("pay", "")),
    }
    template = "scheduling/_desk_book.html" if request.htmx else "scheduling/desk_book.html"
    return render(request, template, context, status=status)


def _ways(
    patient: Patient | None, service: Service | None, slot: Slot | None, chosen: str = ""
) -> dict[str, Any]:
    """How it may be paid; what is paid already comes first."""
    sessions = covering(patient, service, slot.pk if slot else None) if patient and service else []
    return {
        "sessions": sessions,
        "ways": [way for way in WAYS.values() if service and service.price_cents and way.is_offered(patient)],
        "pay": chosen or (f"session:{sessions[0].pk}" if sessions else "later"),
    }


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def patients(request: Request, clinic: str) -> HttpResponse:
    """The options of the combobox, which name patients. Posted: what is typed may be an identity number."""
    here = _clinic(request, clinic)
    q = request.POST.get("q", "") if request.method == "POST" else repeated(request.GET.get("q", ""))
    found = find_patients(q, by=_user(request))
    context = {"clinic": here, "found": found, "q": repeated(q).strip(), "is_enough": is_enough(q)}
    return render(request, "scheduling/_desk_book_patients.html", context)


@never_cache
@login_required
@require_safe
def parts(request: Request, clinic: str) -> HttpResponse:
    """What depends on the service, the time or the patient: the free times or the ways to pay."""
    here, asked = _clinic(request, clinic), request.GET
    slot = _slot(request, asked.get("slot", ""))
    service = _service(asked.get("service", ""), offered_at(here))
    if asked.get("part") == "times":
        found = next_free(service, here, _others(request, here)) if service else []
        return render(request, "scheduling/_desk_book_times.html", {"clinic": here, "next": found})
    known = _patient(request, asked.get("patient", ""))
    context = {"clinic": here, "known": known, "service": service, **_ways(known, service, slot)}
    return render(request, "scheduling/_desk_book_ways.html", context)


# -- The hold meanwhile --------------------------------------------------------------------------


@login_required
@require_POST
def hold(request: Request, clinic: str) -> HttpResponse:
    """Keep the time while the dialog is open. The same choice again is the same hold."""
    _clinic(request, clinic)
    form = HoldForm(request.POST)
    if not form.is_valid() or _slot(request, request.POST["slot"]) is None:
        return JsonResponse({"error": _("Please choose a time.")}, status=422)
    try:
        made = holds.hold_slots(
            slot_id=form.cleaned_data["slot"],
            service_id=form.cleaned_data["service"],
            owner=owner_of(request),
            any_service=True,
        )
        if "again" in request.POST:
            made = holds.renew_hold(hold_id=made.pk, owner=owner_of(request))
    except BookingError as refusal:
        return JsonResponse({"error": str(refusal)}, status=refusal.status)
    return JsonResponse({"hold": str(made.pk), "expires_at": epoch_ms(made.expires_at)})


@login_required
@require_POST
def let_go(request: Request, clinic: str, hold_id: uuid.UUID) -> HttpResponse:
    _clinic(request, clinic)
    holds.release_hold(hold_id=hold_id, owner=owner_of(request))
    return HttpResponse(status=204)


# -- Fetching ------------------------------------------------------------------------------------


def _form(request: Request, here: Clinic, data: QueryDict, kind: type[DeskBookForm]) -> DeskBookForm:
    slot = _slot(request, data.get("slot", ""))
    services = offered_at(here)
    if slot:
        services = [*services, *picked(slot, owner_of(request)).services]
    return (
        kind(data, services=services, by=_user(request))
        if request.method == "POST"
        else kind(initial=data.dict(), services=services, by=_user(request))
    )


def _services(here: Clinic, time: Picked | None) -> list[Service]:
    return time.services if time else offered_at(here)


def _service(slug: str, offered: list[Service]) -> Service | None:
    """The one that was asked for where it is offered, else the first."""
    return next((s for s in offered if s.slug == slug), offered[0] if offered else None)


def _slot(request: Request, given: str) -> Slot | None:
    """Also of another clinic where the user runs the desk: the next free time may be there."""
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        return None
    found = Slot.objects.select_related("practitioner", "station", "clinic").filter(pk=given)
    return found.filter(clinic__in=acts_at(_user(request))).first()


def _patient(request: Request, given: str) -> Patient | None:
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        return None
    return Patient.objects.visible_to(request.user).filter(pk=given).first()


def _others(request: Request, here: Clinic) -> list[Clinic]:
    """Where the user runs the desk too."""
    return list(acts_at(_user(request)).filter(is_active=True).exclude(pk=here.pk))


def _clinic(request: Request, slug: str) -> Clinic:
    return get_object_or_404(acts_at(_user(request)), slug=slug)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user
