"""Pages of the waitlist for patients: join, see, leave, answer an offer. Only their own, or by the link of an e-mail."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import rows
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.templatetags.page import phone
from patients import consents, contacts
from patients.access import own
from patients.forms import AGREES, ContactForm
from patients.models import Patient
from patients.proxies import acts
from patients.proxies.forms import AGREES_FOR, WhoForm
from scheduling import booking, holds, links, waitlist, waitlist_offers
from scheduling.demand import Unmeetable
from scheduling.errors import AlreadyWaiting, BookingError, OfferOver, PatientBusy, TooManyWaiting
from scheduling.forms import BadField, SearchForm
from scheduling.models import Booking, Hold, Service, WaitlistEntry, WaitlistOffer
from scheduling.views import owner_of, patient_of, see_other
from scheduling.visits import remember
from scheduling.waitlist_forms import WishesForm
from scheduling.waitlist_offers import ENDED

# -- Joining -------------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: Request) -> HttpResponse:
    services = Service.objects.filter(is_online=True)
    if request.method != "POST":
        return _ask(request, *_empty_forms(request, services))
    wishes = WishesForm(request.POST, services=services)
    contact = None if is_known(patient_of(request)) else ContactForm(request.POST)
    who = _who(request, contact, request.POST)
    # All are looked at, so that all that is wrong is said at once.
    if not all([wishes.is_valid(), contact is None or contact.is_valid(), who is None or who.is_valid()]):
        return _ask(request, wishes, contact, who, status=422)
    try:
        entry = waitlist.join(
            patient=_patient(request, contact, who),
            service=wishes.cleaned_data["service"],
            wishes=wishes.wishes,
            notice_minutes=wishes.cleaned_data["notice_minutes"],
            by=_user(request),
        )
    except (AlreadyWaiting, TooManyWaiting, Unmeetable) as refusal:
        wishes.add_error(None, str(refusal))
        return _ask(request, wishes, contact, who, status=refusal.status)
    if not (who and who.is_other):
        _remember(request, entry)
    messages.success(request, _("You are on the waitlist. We write to you as soon as a time becomes free."))
    return see_other(reverse("waiting", args=[entry.pk]))


def _empty_forms(request: Request, services: Any) -> tuple[WishesForm, ContactForm | None]:
    asked = SearchForm(request.GET)
    if not asked.is_valid():
        raise BadField(asked, missing=["service", "clinic"])
    clinic = asked.cleaned_data["clinic"]
    chosen = {"service": asked.cleaned_data["service"].slug, "clinics": [clinic.slug] if clinic else []}
    patient = patient_of(request) or _guest(request)
    known = {"name": patient.name, "email": patient.email, "phone": phone(patient.phone)} if patient else {}
    contact = None if is_known(patient_of(request)) else ContactForm(initial=known)
    return WishesForm(initial=chosen, services=services), contact


def _ask(
    request: Request,
    form: WishesForm,
    contact: ContactForm | None,
    who: WhoForm | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    who = who or _who(request, contact)
    service = Service.objects.filter(slug=form["service"].value(), is_online=True).first()
    if service:
        form.fields["practitioner"].queryset = service.practitioners.filter(is_active=True)  # type: ignore[attr-defined]
    context = {"nav": "book", "form": form, "contact": contact, "service": service, "who": who}
    return render(request, "scheduling/waitlist_join.html", context, status=status)


def _who(request: Request, contact: ContactForm | None, data: Any = None) -> WhoForm | None:
    """Asked of who is logged in. The contact form asks for consent itself."""
    if not isinstance(request.user, User):
        return None
    return WhoForm(data, user=request.user, asks_consent=contact is None)


def is_known(patient: Patient | None) -> bool:
    """Their details are on file, and so is their consent: nothing is to be asked."""
    if patient is None or not (patient.name and patient.email and patient.phone):
        return False
    return consents.is_current(patient.pk)


def _patient(request: Request, contact: ContactForm | None, who: WhoForm | None) -> Patient:
    known = patient_of(request)
    if who and who.is_other:
        reach = (
            contact.cleaned_data if contact else {"email": known.email, "phone": known.phone} if known else {}
        )
        return _other(who, reach, has_agreed=contact is not None or who.is_new)
    if contact is None:
        assert known
        return known
    details = {field: contact.cleaned_data[field] for field in ("name", "email", "phone")}
    patient = record_contact(user=_user(request), guest=_guest(request), details=details)
    if patient.user_id is None:
        request.session["patient"] = patient.pk
        rows.reveal(patient.pk)
    return patient


def _other(who: WhoForm, reach: dict[str, Any], *, has_agreed: bool) -> Patient:
    with transaction.atomic(durable=True):
        patient = who.patient(reach)
        if has_agreed:
            words = AGREES_FOR if "new_consent" in who.fields else AGREES
            how = consents.Asked("web", "waitlist", str(words), on_behalf=True)
            consents.agree(patient=patient, by=who.user, how=how)
        acts.note(by=who.user, patient=patient, subject=f"patient:{patient.pk}", what="waitlist")
    rows.reveal(patient.pk)
    return patient


def record_contact(*, user: User | None, guest: Patient | None, details: dict[str, str]) -> Patient:
    """Who it is, with the consent that was just given. A guest with other details is somebody else."""
    with transaction.atomic(durable=True):
        if user:
            patient = contacts.of_login(user=user, details=details)
        elif guest and {field: getattr(guest, field) for field in details} == details:
            patient = guest
        else:
            patient = Patient.objects.create(**details)
        if not is_known(patient):
            how = consents.Asked("web", "waitlist", str(AGREES))
            consents.agree(patient=patient, by=user, how=how)
        return patient


def _guest(request: Request) -> Patient | None:
    """The patient this browser made earlier."""
    known = request.session.get("patient")
    return Patient.objects.filter(pk=known, user=None).first() if known else None


# -- The own place in line -----------------------------------------------------------------------


@never_cache
@require_safe
def show(request: Request, pk: int) -> HttpResponse:
    if _opened_by_link(request, "waiting", pk):
        return redirect("waiting", pk)
    entry = get_object_or_404(entries_of(request), pk=pk)
    context: dict[str, Any] = {"nav": "me", "entry": entry}
    context["offer"] = (
        entry.offers.filter(outcome=WaitlistOffer.Outcome.OPEN).select_related("hold__clinic").first()
    )
    return render(request, "scheduling/waitlist_entry.html", context)


@require_POST
def leave(request: Request, pk: int) -> HttpResponse:
    entry = get_object_or_404(entries_of(request), pk=pk)
    waitlist.leave(entry_id=entry.pk, by=_user(request))
    messages.success(request, _("You are no longer on this waitlist."))
    return see_other(reverse("waiting", args=[pk]))


def entries_of(request: Request) -> Any:
    """Those of the patient who is logged in, and those this browser joined or was given a link to."""
    mine = Q(pk__in=links.kept(request, "waiting"))
    if request.user.is_authenticated:
        mine |= own(request.user, "session__request__patient__")
    return WaitlistEntry.objects.filter(mine).select_related(
        "session__request__service", "session__request__patient"
    )


def _remember(request: Request, entry: WaitlistEntry) -> None:
    links.keep(request, "waiting", entry.pk, entry.session.request.patient_id)


def _opened_by_link(request: Request, kind: str, pk: int) -> bool:
    """Where the key is right, this browser may see the entry from now on."""
    key, name = request.GET.get("key", ""), {"waiting": "pk", "offer": "offers"}[kind]
    related = "session__request__patient__user"
    with rows.all_rows():  # whoever has the key
        found = WaitlistEntry.objects.select_related(related).filter(**{name: pk}).first()
        if not (key and found and links.opens_waiting(kind, key, pk, found)):
            return False
        _remember(request, found)
    return True


# -- Offers --------------------------------------------------------------------------------------


@never_cache
@require_safe
def offer(request: Request, pk: int) -> HttpResponse:
    if _opened_by_link(request, "offer", pk):
        return redirect("offer", pk)
    return _offer_page(request, _find_offer(request, pk))


@require_POST
def acceptance(request: Request, pk: int) -> HttpResponse:
    """To the visit where nothing more is to be asked, else to the checkout."""
    found = _find_offer(request, pk)
    owner, patient = owner_of(request), found.entry.session.request.patient
    try:
        hold = waitlist_offers.accept(offer_id=pk, owner=owner)
        if not is_paid_now(hold) and is_known(patient):
            return _book(request, hold, patient)
    except BookingError as refusal:
        return _offer_page(request, _find_offer(request, pk), refusal)
    if patient.user_id is None:
        request.session["patient"] = patient.pk
    return see_other(reverse("checkout", args=[hold.pk]))


@require_POST
def declining(request: Request, pk: int) -> HttpResponse:
    _find_offer(request, pk)
    try:
        waitlist_offers.decline(offer_id=pk, by=_user(request))
    except BookingError as refusal:
        return _offer_page(request, _find_offer(request, pk), refusal)
    messages.success(request, _("Thank you for telling us. You keep your place on the waitlist."))
    return see_other(reverse("offer", args=[pk]))


def is_paid_now(hold: Hold) -> bool:
    return hold.due_cents > 0


def _book(request: Request, hold: Hold, patient: Patient) -> HttpResponse:
    try:
        with transaction.atomic(durable=True):
            made = booking.confirm_hold(hold_id=hold.pk, patient=patient, by=_user(request))
    except PatientBusy:
        holds.release_hold(hold_id=hold.pk, owner=hold.owner)
        raise
    remember(request, made)
    return see_other(reverse("booking", args=[made.reference]))


def _find_offer(request: Request, pk: int) -> WaitlistOffer:
    related = (
        "hold__clinic",
        "hold__practitioner",
        "hold__station",
        "hold__service",
        "entry__session__request__patient",
    )
    found = WaitlistOffer.objects.filter(entry__in=entries_of(request)).select_related(*related)
    return get_object_or_404(found, pk=pk)


def _offer_page(request: Request, found: WaitlistOffer, refusal: BookingError | None = None) -> HttpResponse:
    """What has become of an offer is no failure of whoever opens the link later: kind words, and the place is kept."""
    is_open = found.outcome == WaitlistOffer.Outcome.OPEN
    over = ENDED[found.outcome]() if not is_open else None
    if is_open and not found.hold.is_live(booking.database_now()):
        over = OfferOver()
    said = refusal or over
    is_accepted = found.outcome == WaitlistOffer.Outcome.ACCEPTED
    checkout = waitlist_offers.own_checkout(found, owner_of(request)) if is_accepted else None
    context = {
        "nav": "me",
        "offer": found,
        "hold": found.hold,
        "entry": found.entry,
        "is_open": over is None and refusal is None,
        "sentence": said.sentence if said else "",
        "checkout": checkout,
        "visit": Booking.objects.live().filter(session=found.entry.session_id).first(),
    }
    return render(request, "scheduling/waitlist_offer.html", context, status=said.status if said else 200)


def _user(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None
