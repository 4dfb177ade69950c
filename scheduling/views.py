"""What anyone can do without a login: choose a reason, choose a time, hold it."""

import datetime as dt
import secrets
import uuid
from collections.abc import Iterable

from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from clinic_booking.addresses import household_key
from clinic_booking.context import Request
from patients.models import Patient, Proxy
from scheduling import booking, courses, search, visits
from scheduling.errors import NoMoreRenewals, NotOffered, SlotTaken, TooLate
from scheduling.forms import BadField, ClinicForm, HoldForm, SearchForm
from scheduling.models import Booking, Clinic, Hold, Service, SessionTicket
from scheduling.times import Choice, cards, day_strip, offers, offers_near

DAYS_AHEAD = 180


@require_safe
def home(request: Request) -> HttpResponse:
    form = ClinicForm(request.GET)
    if not form.is_valid():
        raise BadField(form, missing=["clinic"])
    context = {
        "nav": "book",
        "services": Service.objects.filter(is_online=True),
        "clinics": Clinic.objects.filter(is_active=True),
        "chosen": form.cleaned_data["clinic"],
    }
    return render(request, "scheduling/home.html", context)


@vary_on_headers("HX-Request")  # else Back may show the fragment as the page
@require_safe
def book(request: Request) -> HttpResponse:
    if not request.GET.get("service"):
        return redirect("home")
    form = SearchForm(request.GET)
    if not form.is_valid():
        raise BadField(form, missing=["service", "clinic", "session"])
    session = _session(request, form.cleaned_data["session"])
    service, clinic = form.cleaned_data["service"], form.cleaned_data["clinic"]
    moving, mine = _moving(request, service), own_hold(request)
    sold = session or courses.sold(moving)
    clinics = list(Clinic.objects.filter(is_active=True))
    shown = [clinic] if clinic else clinics
    today = shown[0].today() if shown else dt.datetime.now(dt.UTC).date()
    last = today + dt.timedelta(DAYS_AHEAD)
    if sold:
        today = max(today, sold.request.valid_from or today)
        last = max(today, min(last, sold.request.valid_until or last))
    asked = form.cleaned_data["date"]
    if not asked:
        first_free = courses.first_fitting_day(sold, shown) if sold else _first_free_day(service, shown)
        asked = first_free or today
    day = min(max(asked, today), last)
    people = search.day_times(service=service, clinics=shown, day=day)
    context = {
        "nav": "book",
        "service": service,
        "clinic": clinic,
        "clinics": clinics,
        "shown": shown,
        "day": day,
        "is_nearest": day != asked,
        "moving": moving,
        "mine": mine,
        "session": session,
        "session_rules": courses.rules_in_words(sold) if sold else [],
        "choice": Choice.of_move(moving)
        if moving
        else Choice.of_hold(service.pk, session.pk if session else None),
        "strip": day_strip(service, shown, day, today, last),
        "cards": cards(people, {c.pk: c for c in shown}, mine),
    }
    return render(request, "scheduling/_times.html" if request.htmx else "scheduling/book.html", context)


def _first_free_day(service: Service, clinics: list[Clinic]) -> dt.date | None:
    """Nobody wants to begin with a day that is over or full."""
    by_id = {clinic.pk: clinic for clinic in clinics}
    now = dt.datetime.now(dt.UTC)
    for days in (1, 14):  # as a rule there is one soon, and the fortnight is dear
        if free := search.nearest_free(
            service_id=service.pk, clinic_ids=by_id, around=now, limit=1, days=days
        ):
            return by_id[free[0].clinic_id].local_date(free[0].starts_at)
    return None


def _session(request: Request, session_id: int | None) -> SessionTicket | None:
    """The patient's own session of a course for which a time is chosen, if it is for one."""
    return courses.own_session(request.user, session_id) if session_id else None


def _moving(request: Request, service: Service) -> Booking | None:
    """The visit that is to be moved to the chosen time, if any."""
    if not (reference := request.GET.get("move")):
        return None
    moving = visits.find_to_change(request, reference)
    if moving.service_id != service.pk:
        raise NotOffered
    if not moving.can_be_changed():
        raise TooLate
    return moving


# -- Holds ---------------------------------------------------------------------------------------


@require_POST
def holds(request: Request) -> HttpResponse:
    form = HoldForm(request.POST)
    if not form.is_valid():
        raise NotOffered
    slot_id, service_id = form.cleaned_data["slot"], form.cleaned_data["service"]
    session = _session(request, form.cleaned_data["session"])
    if session:
        courses.check_rules(session, slot_id)
    patient = session.request.patient if session else patient_of(request)
    try:
        hold = booking.hold_slots(
            slot_id=slot_id,
            service_id=service_id,
            owner=owner_of(request),
            patient=patient if session else held_for(request, patient),
            house=house_of(request, patient),
            any_service=session is not None,
            session_id=session.pk if session else None,
        )
    except SlotTaken as refusal:
        context = {
            "nav": "book",
            "sentence": refusal.sentence,
            "offers": offers(refusal.nearby),
            "choice": Choice.of_hold(service_id, session.pk if session else None),
            "service": Service.objects.filter(pk=service_id).first(),
        }
        return render(request, "scheduling/taken.html", context, status=refusal.status)
    return see_other(reverse("checkout", args=[hold.pk]))


@require_POST
def release(request: Request, hold_id: uuid.UUID) -> HttpResponse:
    hold = _find_hold(request, hold_id)
    booking.release_hold(hold_id=hold_id, owner=hold.owner)
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return see_other(back if is_ours else times_url(hold))


@require_POST
def renewal(request: Request, hold_id: uuid.UUID) -> HttpResponse:
    hold = _find_hold(request, hold_id)
    status = 200
    try:
        hold = booking.renew_hold(hold_id=hold_id, owner=hold.owner)
    except NoMoreRenewals as refusal:
        if not request.htmx:
            raise
        status = refusal.status  # with the timer as it stands: the time goes on
    if request.htmx:
        return render(request, "billing/_hold_timer.html", {"hold": hold}, status=status)
    return see_other(reverse("checkout", args=[hold_id]))


@require_safe
def hold_offers(request: Request, hold_id: uuid.UUID) -> HttpResponse:
    """The fragment that takes the form's place when the hold has run out in front of the patient."""
    return render(request, "scheduling/_hold_ended.html", _ended(_find_hold(request, hold_id)))


def hold_ended(request: Request, hold: Hold) -> HttpResponse:
    """The page for the checkout of a hold that is over. The caller checked whose it was."""
    return render(request, "scheduling/hold_ended.html", {"nav": "book", **_ended(hold)}, status=410)


def _ended(hold: Hold) -> dict[str, object]:
    return {"hold": hold, **times_near(hold)}


def times_near(hold: Hold) -> dict[str, object]:
    """What else can be had; for several that were held together the wizard finds it."""
    url = times_url(hold)
    is_alone = not hold.followers.exists()
    return {
        "offers": offers_near(hold) if is_alone else [],
        "choice": Choice.of_hold(hold.service_id, hold.session_id),
        "times_url": url,
    }


def times_url(hold: Hold) -> str:
    """The page of times from which the hold was chosen."""
    followers = list(hold.followers.order_by("part").values_list("service__slug", flat=True))
    if followers:
        # A course is asked for again by its services: how often is not known here.
        return plan_url(dict.fromkeys([hold.service.slug, *followers]))
    day = hold.clinic.local_date(hold.starts_at)
    query = {"service": hold.service.slug, "clinic": hold.clinic.slug, "date": day.isoformat()}
    if hold.session_id:
        query["session"] = str(hold.session_id)
    return f"{reverse('book')}?{urlencode(query)}"


def own_hold(request: Request) -> Hold | None:
    """The live hold of this browser."""
    if not (owner := request.session.get("owner")):
        return None
    live = Hold.objects.filter(owner=owner, lead=None, ended_at=None, expires_at__gt=Now())
    return live.select_related("clinic", "practitioner", "service").first()


def _find_hold(request: Request, hold_id: uuid.UUID) -> Hold:
    mine = Hold.objects.filter(owner=request.session.get("owner"))
    return get_object_or_404(mine.select_related("clinic", "service"), pk=hold_id)


def plan_url(services: Iterable[str]) -> str:
    """The wizard, asked for these services in order."""
    query: dict[str, list[str]] = {"service": list(services), "find": ["1"]}
    return f"{reverse('plan')}?{urlencode(query, doseq=True)}"


def owner_of(request: Request) -> str:
    if "owner" not in request.session:
        request.session["owner"] = secrets.token_urlsafe(24)
    owner: str = request.session["owner"]
    return owner


def patient_of(request: Request) -> Patient | None:
    if not request.user.is_authenticated:
        return None
    return Patient.objects.filter(user=request.user).first()


def held_for(request: Request, patient: Patient | None) -> Patient | None:
    """Nobody yet where the login acts for others too: the checkout asks, and a parent may be busy when the child comes.
    A browser has one hold all the same."""
    acts_for_others = patient and Proxy.objects.live().filter(user=patient.user_id).exists()
    return None if acts_for_others else patient


def house_of(request: Request, patient: Patient | None) -> str:
    """The address, as a key, of whoever is not known; a patient has one hold wherever they are, the desk many."""
    user = request.user
    is_known = patient or (user.is_authenticated and (user.is_staff or user.memberships.exists()))
    return "" if is_known else household_key(request)


def see_other(url: str) -> HttpResponse:
    """303: the next request is a GET, also after a refresh."""
    return HttpResponse(status=303, headers={"Location": url})
