"""The waitlist at the desk: who waits in which order, and what the staff may do about it."""

import datetime as dt
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from patients.forms import ContactForm
from patients.models import Patient, PatientClinic
from scheduling import fit, search, waitlist, waitlist_offers
from scheduling.demand import Unmeetable
from scheduling.desk import clinic_for
from scheduling.errors import AlreadyWaiting, BookingError
from scheduling.forms import BadField
from scheduling.locks import database_now
from scheduling.models import BookingPattern, Clinic, Practitioner, Service, WaitlistEntry, WaitlistOffer
from scheduling.queue import in_order
from scheduling.views import see_other
from scheduling.waitlist import OPEN
from scheduling.waitlist_forms import DeskForm, OfferForm, SteerForm, WishesForm
from scheduling.waitlist_views import record_contact

PAGE = 50
DAYS_AHEAD = 14
TIMES_SHOWN = 24


# -- Looking -------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def queue(request: Request, clinic: str) -> HttpResponse:
    here = clinic_for(request, clinic)
    waiting = entries(here).filter(status__in=OPEN)
    services = Service.objects.filter(pk__in=waiting.values("session__request__service"))
    service = get_object_or_404(Service, slug=slug) if (slug := request.GET.get("service")) else None
    if service:
        waiting = waiting.filter(session__request__service=service)
    page = Paginator(in_order(waiting), PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "services": services, "service": service}
    return _render(request, here, "scheduling/waitlist_queue.html", context)


@never_cache
@login_required
@require_safe
def entry(request: Request, clinic: str, pk: int) -> HttpResponse:
    here = clinic_for(request, clinic)
    found = get_object_or_404(entries(here), pk=pk)
    return _entry_page(request, here, found)


class FreeTime(NamedTuple):
    slot_id: int
    starts_at: dt.datetime
    practitioner: str
    reasons: list[fit.Reason]


def _entry_page(request: Request, here: Clinic, found: WaitlistEntry, refusal: str = "") -> HttpResponse:
    is_waiting = found.status == WaitlistEntry.Status.WAITING
    times = _free_times(here, found) if is_waiting else []
    offers = found.offers.select_related("hold__clinic", "hold__practitioner").order_by("-pk")
    context = {
        "entry": found,
        "offers": offers,
        "fitting": [time for time in times if not time.reasons][:TIMES_SHOWN],
        "others": [time for time in times if time.reasons][:TIMES_SHOWN],
        "refusal": refusal,
        "urgencies": SteerForm.base_fields["urgency"].choices,  # type: ignore[attr-defined]
        "is_open": found.status in OPEN,
    }
    return _render(request, here, "scheduling/waitlist_steer.html", context, status=409 if refusal else 200)


def _free_times(here: Clinic, found: WaitlistEntry) -> list[FreeTime]:
    """What is free at the clinic in the next days, and why it may not suit."""
    demand, now = found.session.request, database_now()
    first = now + dt.timedelta(minutes=found.notice_minutes)
    starts = search.free_starts(
        service=demand.service, clinics=[here.pk], first=first, until=now + dt.timedelta(DAYS_AHEAD)
    )
    names = dict(Practitioner.objects.values_list("pk", "name"))
    rules = fit.read_rules([demand.pk])[demand.pk](found.session_id)
    length = dt.timedelta(minutes=demand.service.duration_minutes)

    def why_not(start: search.Start) -> list[fit.Reason]:
        return rules.hard_violations(
            fit.Time(start.starts_at, start.starts_at + length, here, start.practitioner_id)
        )

    return [FreeTime(s.slot_id, s.starts_at, names[s.practitioner_id], why_not(s)) for s in starts]


# -- Acting --------------------------------------------------------------------------------------


@login_required
@require_POST
def steer(request: Request, clinic: str, pk: int) -> HttpResponse:
    here = clinic_for(request, clinic)
    found = get_object_or_404(entries(here), pk=pk)
    form = SteerForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    waitlist.steer(entry_id=found.pk, by=_user(request), **form.changes)
    messages.success(request, _("Changed."))
    return _back(request, here, found)


@login_required
@require_POST
def remove(request: Request, clinic: str, pk: int) -> HttpResponse:
    here = clinic_for(request, clinic)
    found = get_object_or_404(entries(here), pk=pk)
    waitlist.leave(entry_id=found.pk, by=_user(request))
    messages.success(request, _("Taken off the waitlist."))
    return see_other(reverse("desk_waitlist", args=[here.slug]))


@login_required
@require_POST
def offer(request: Request, clinic: str, pk: int) -> HttpResponse:
    here = clinic_for(request, clinic)
    found = get_object_or_404(entries(here), pk=pk)
    form = OfferForm(request.POST)
    if not form.is_valid():
        raise BadField(form)
    slot = get_object_or_404(here.slots, pk=form.cleaned_data["slot"])
    try:
        waitlist_offers.offer(entry_id=found.pk, slot_id=slot.pk, by=_user(request))
    except BookingError as refusal:
        return _entry_page(request, here, get_object_or_404(entries(here), pk=pk), str(refusal))
    messages.success(request, _("The time is kept for the patient, who is told by e-mail."))
    return see_other(reverse("desk_waiting", args=[here.slug, found.pk]))


@login_required
@require_POST
def withdraw(request: Request, clinic: str, pk: int) -> HttpResponse:
    """An offer of this clinic's time."""
    here = clinic_for(request, clinic)
    found = get_object_or_404(
        WaitlistOffer.objects.visible_to(request.user), pk=pk, hold__clinic=here, entry__in=entries(here)
    )
    waitlist_offers.withdraw(offer_id=found.pk, by=_user(request))
    messages.success(request, _("The offer is withdrawn."))
    return see_other(reverse("desk_waiting", args=[here.slug, found.entry_id]))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: Request, clinic: str) -> HttpResponse:
    here = clinic_for(request, clinic)
    services = Service.objects.all()
    data = request.POST if request.method == "POST" else None
    first = {"clinics": [here.slug], "service": request.GET.get("service")}
    wishes = WishesForm(data, services=services, initial=first)
    contact, desk = ContactForm(data), DeskForm(data)
    contact.fields["consent"].label = _("The patient agrees that the clinic uses these details.")
    context = {"form": wishes, "contact": contact, "desk": desk, "services": services}
    # All are looked at, so that all that is wrong is said at once.
    if data is None or not all([wishes.is_valid(), contact.is_valid(), desk.is_valid()]):
        return _render(
            request, here, "scheduling/waitlist_add.html", context, status=200 if data is None else 422
        )
    try:
        entry = waitlist.join(
            patient=_patient(request, contact, here),
            service=wishes.cleaned_data["service"],
            wishes=wishes.wishes,
            notice_minutes=wishes.cleaned_data["notice_minutes"],
            urgency=desk.cleaned_data["urgency"],
            note=desk.cleaned_data["note"],
            by=_user(request),
            limit=None,
        )
    except (AlreadyWaiting, Unmeetable) as refusal:
        wishes.add_error(None, str(refusal))
        return _render(request, here, "scheduling/waitlist_add.html", context, status=refusal.status)
    messages.success(request, _("Added to the waitlist."))
    return see_other(reverse("desk_waiting", args=[here.slug, entry.pk]))


def _patient(request: Request, contact: ContactForm, here: Clinic) -> Patient:
    """The same person as on file, where all of it is the same; known here from now on."""
    details = {field: contact.cleaned_data[field] for field in ("name", "email", "phone")}
    known = Patient.objects.visible_to(request.user).filter(**details).order_by("pk").first()
    patient = known or record_contact(user=None, guest=None, details=details)
    PatientClinic.objects.get_or_create(patient=patient, clinic_id=here.pk)
    return patient


# -- What is seen here ---------------------------------------------------------------------------


def entries(here: Clinic) -> QuerySet[WaitlistEntry]:
    """Those who may come to this clinic: no rule of theirs asks for others only."""
    named = BookingPattern.clinics.through.objects.filter(bookingpattern=OuterRef("pk"))
    elsewhere = BookingPattern.objects.filter(
        Exists(named), ~Exists(named.filter(clinic=here)), request=OuterRef("session__request"), is_hard=True
    )
    patterns = BookingPattern.objects.prefetch_related("practitioners", "clinics").order_by("pk")
    return (
        WaitlistEntry.objects.filter(~Exists(elsewhere))
        .select_related("session__request__patient", "session__request__service")
        .prefetch_related(Prefetch("session__request__patterns", patterns))
        .annotate(
            offers_made=Count("offers"),
            offers_open=Count("offers", filter=Q(offers__outcome=WaitlistOffer.Outcome.OPEN)),
        )
    )


def _back(request: Request, here: Clinic, found: WaitlistEntry) -> HttpResponse:
    """To the list, where the change was made there."""
    if "in_list" in request.POST:
        return see_other(f"{reverse('desk_waitlist', args=[here.slug])}#e{found.pk}")
    return see_other(reverse("desk_waiting", args=[here.slug, found.pk]))


def _render(
    request: Request, here: Clinic, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    return render(
        request, template, context | {"nav": "desk", "clinic": here, "tab": "waitlist"}, status=status
    )


def _user(request: Request) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user
