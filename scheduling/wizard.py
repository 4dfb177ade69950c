"""The wizard: several services in order, proposals, and one click that holds all of one. For patients and the desk."""

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from patients.models import Patient
from patients.search import find_patients, repeated
from scheduling import booking, courses, desk, holds, proposals, stops
from scheduling.errors import BookingError, SlotGone
from scheduling.forms import VisitorForm
from scheduling.models import Clinic, Hold, Service, SessionTicket
from scheduling.parts import Part
from scheduling.views import held_for, house_of, owner_of, patient_of, see_other
from scheduling.wishes import WishForm

RELATED = ("patient", "clinic__legal_entity", "service", "practitioner", "station")
is_part = re.compile(r"(\d{1,18}):(\d{1,18})", re.ASCII).fullmatch


class BadParts(BookingError):
    status = 422
    sentence = gettext_lazy("This proposal could not be read. Please choose one of these.")


# -- Patients ------------------------------------------------------------------------------------


@never_cache
@require_safe
def plan(request: Request) -> HttpResponse:
    return page(request, request.GET)


def page(request: Request, wishes: QueryDict, *, sentence: str = "", status: int = 200) -> HttpResponse:
    form = WishForm(wishes, services=Service.objects.filter(is_online=True))
    people = dependants(request)
    chosen = _dependant(people, wishes)
    context = {
        "nav": "book",
        "people": people,
        "chosen": chosen,
        "action": reverse("plan"),
        "hold_url": reverse("plan_holds"),
        "sentence": sentence,
    }
    found, code = answer(form, chosen or patient_of(request))
    return render(
        request, "scheduling/wizard.html", context | found, status=status if status != 200 else code
    )


def dependants(request: Request) -> list[Patient]:
    """For whom somebody books but themselves. Whoever is new is named when the time is kept: they have no visits yet."""
    if not isinstance(request.user, User):
        return []
    others = Patient.objects.belonging_to(request.user).exclude(user=request.user)
    return list(others.order_by("name", "pk"))


def _dependant(people: list[Patient], wishes: QueryDict) -> Patient | None:
    """None for the login's own record."""
    wanted = wishes.get("for", "")
    found = next((each for each in people if str(each.uuid) == wanted), None)
    if wanted and found is None:
        raise Http404
    return found


def answer(
    form: WishForm, patient: Patient | None, *, leaving: Iterable[int] = ()
) -> tuple[dict[str, Any], int]:
    """What the page shows for these wishes, and its status."""
    context: dict[str, Any] = {"form": form, "wishes": form.asked.urlencode(), "found": None}
    if not form.is_asked or form.is_growing:
        return context, 200
    if not form.is_valid():
        context["errors"] = form.errors
        return context, 404 if form.is_unknown else 422
    context["wish"] = wish = form.wish()
    context["found"] = found = proposals.propose(
        wish=wish, clinics=form.clinics(), patient=patient, leaving=leaving
    )
    context["blocks"] = [(block.sentence, changed(form.asked, block.change)) for block in found.blocks]
    return context, 200


def changed(asked: QueryDict, change: dict[str, str]) -> str:
    """The address that asks the same but for the change; empty where there is none. Empty fields are left out."""
    query = asked.copy()
    for name, value in change.items():
        for key in [key for key in query if key == name or (name == "with" and key.startswith("with"))]:
            del query[key]
        if value:
            query[name] = value
    return query.urlencode() if change else ""


@require_POST
def hold_plan(request: Request) -> HttpResponse:
    """Hold all parts of a proposal or none; where one is gone, fresh proposals for the same wishes."""
    try:
        own = patient_of(request)
        patient = _dependant(dependants(request), wishes_of(request)) or held_for(request, own)
        lead = hold_parts(request, patient=patient, house=house_of(request, own))
    except BookingError as refusal:
        return page(request, wishes_of(request), sentence=str(refusal), status=refusal.status)
    return see_other(reverse("checkout", args=[lead.pk]))


def hold_parts(
    request: Request, *, patient: Patient | None, any_service: bool = False, house: str = ""
) -> Hold:
    """The desk, with `any_service`, may hold what is not online, and as much as it needs: it has no `house`."""
    parts = [part_of(text) for text in request.POST.getlist("part")]
    if not parts or len({part.slot_id for part in parts}) < len(parts):
        raise BadParts
    if any_service and patient:
        parts = covered(parts, patient)
    made = holds.hold_together(
        parts=parts, owner=owner_of(request), patient=patient, any_service=any_service, house=house
    )
    return made[0]


def part_of(text: str) -> Part:
    if not (found := is_part(text)):
        raise BadParts
    return Part(int(found[1]), int(found[2]))


def wishes_of(request: Request) -> QueryDict:
    return QueryDict(request.POST.get("wishes", "")[:4000])


# -- The desk ------------------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def desk_plan(request: Request, clinic: str) -> HttpResponse:
    """Whom to plan for is posted: it may be an identity number."""
    wishes = request.POST if request.method == "POST" else request.GET
    return desk_page(request, desk.clinic_for(request, clinic, is_act=True), wishes)


def desk_page(
    request: Request, clinic: Clinic, wishes: QueryDict, *, sentence: str = "", status: int = 200
) -> HttpResponse:
    form = WishForm(wishes, services=Service.objects.all())
    patient = _chosen_patient(request, wishes)
    asked = wishes.get("q", "").strip()
    context = {
        "nav": "desk",
        "tab": "plan",
        "clinic": clinic,
        "patient": patient,
        "asked": repeated(asked),
        "patients": find_patients(asked, by=_user(request)) if asked else None,
        "action": reverse("desk_plan", args=[clinic.slug]),
        "hold_url": reverse("desk_plan_holds", args=[clinic.slug]),
        "sentence": sentence,
    }
    found, code = answer(form, patient)
    return render(
        request, "scheduling/wizard_desk.html", context | found, status=status if status != 200 else code
    )


@login_required
@require_POST
def desk_hold(request: Request, clinic: str) -> HttpResponse:
    here, wishes = desk.clinic_for(request, clinic), wishes_of(request)
    try:
        lead = hold_parts(request, patient=_chosen_patient(request, wishes), any_service=True)
    except BookingError as refusal:
        return desk_page(request, here, wishes, sentence=str(refusal), status=refusal.status)
    return see_other(reverse("desk_checkout", args=[here.slug, lead.pk]))


def covered(parts: Sequence[Part], patient: Patient) -> list[Part]:
    """With the patient's planned sessions that a contract covers, as far as their rules allow."""
    held = Hold.objects.filter(session=OuterRef("pk"), ended_at=None, expires_at__gt=Now())
    planned = SessionTicket.objects.filter(
        ~Exists(held),
        courses.AGREED,
        status=SessionTicket.Status.PLANNED,
        request__patient=patient,
        request__closed_at=None,
        request__service__in=[part.service_id for part in parts],
    )
    left = list(planned.select_related("request__service").order_by("request_id", "number"))
    found = []
    for part in parts:
        session = next((each for each in left if _covers(each, part)), None)
        if session:
            left.remove(session)
        found.append(part._replace(session_id=session.pk if session else None))
    return found


def _covers(session: SessionTicket, part: Part) -> bool:
    if session.request.service_id != part.service_id:
        return False
    try:
        courses.check_rules(session, part.slot_id)
    except (courses.AgainstRules, SlotGone):
        return False
    return True


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def desk_checkout(request: Request, clinic: str, hold_id: uuid.UUID) -> HttpResponse:
    """Who comes, and book: what is to be paid is paid at the clinic."""
    here = desk.clinic_for(request, clinic)
    lead = get_object_or_404(
        Hold.objects.select_related(*RELATED), pk=hold_id, owner=owner_of(request), lead=None
    )
    if lead.end_reason == Hold.EndReason.CONFIRMED:
        return _booked(here, lead)
    if not lead.is_live(booking.database_now()):
        messages.error(request, _("The time kept has run out. Please choose again."))
        return see_other(_again(here, lead))
    form = VisitorForm(request.POST if request.method == "POST" else None, known=lead.patient)
    status = 200
    if request.method == "POST":
        try:
            if form.is_valid():
                _confirm(lead, form, _user(request))
                messages.success(request, _("The visit is booked."))
                return _booked(here, lead)
            status = 422
        except BookingError as refusal:
            form.add_error(None, str(refusal))
            status = refusal.status
    parts = stops.of_hold(lead)
    context = {
        "nav": "desk",
        "tab": "plan",
        "clinic": here,
        "hold": lead,
        "parts": parts,
        "held": [part.of for part in parts],
        "form": form,
        "again": _again(here, lead),
        "total_cents": sum(part.price_cents for part in parts),
    }
    return render(request, "scheduling/wizard_checkout.html", context, status=status)


def _confirm(lead: Hold, form: VisitorForm, by: User) -> None:
    with transaction.atomic(durable=True):
        patient = lead.patient or form.new_patient(by=by)
        booking.confirm_hold(hold_id=lead.pk, patient=patient, by=by, note=form.cleaned_data["note"])


def _again(clinic: Clinic, lead: Hold) -> str:
    """The wizard with the patient who was chosen."""
    url = reverse("desk_plan", args=[clinic.slug])
    return f"{url}?patient={lead.patient_id}" if lead.patient_id else url


def _booked(clinic: Clinic, lead: Hold) -> HttpResponse:
    here = next((b for b in booking.bookings_of(lead) if b.clinic_id == clinic.pk), None)
    return redirect("desk_booking", clinic.slug, here.reference) if here else redirect("desk", clinic.slug)


def _chosen_patient(request: Request, wishes: QueryDict) -> Patient | None:
    given = wishes.get("patient", "")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise Http404
    return get_object_or_404(Patient.objects.visible_to(request.user), pk=given)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user
