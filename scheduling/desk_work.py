"""The desk's page of what is to be done. Each row has its act; a row that is done makes way for the next."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clinic_booking import undelivered
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from patients import contacts
from patients.forms import KnownContactForm
from patients.models import Patient
from scheduling import desk_notes, matching_views, waitlist, waitlist_desk, waitlist_offers
from scheduling.desk import clinics_of
from scheduling.errors import BookingError
from scheduling.models import Clinic, WaitlistOffer
from scheduling.views import see_other
from scheduling.work_lists import LIMIT, LISTS, WorkList, counts, lists_for

View = Callable[..., HttpResponse]


# -- Looking -------------------------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def index(request: Request, clinic: str) -> HttpResponse:
    here = _clinic(request, clinic)
    shown = [_shown(request, here, work) for work in lists_for(_user(request), here)]
    elsewhere = [
        (reverse("unmatched", args=[here.slug]), _("Sessions without a time"), _unmatched(here)),
        (reverse("desk_waitlist", args=[here.slug]), _("Waitlist"), _waiting(here)),
    ]
    context = {"nav": "desk", "tab": "work", "clinic": here, "lists": shown, "elsewhere": elsewhere}
    return render(request, "scheduling/work.html", context)


@never_cache
@login_required
@require_safe
def count(request: Request, clinic: str) -> HttpResponse:
    """The number on the tab."""
    return _total(request, _clinic(request, clinic))


def _unmatched(here: Clinic) -> int:
    return matching_views.unmatched(here).order_by().count()


def _waiting(here: Clinic) -> int:
    return waitlist_desk.entries(here).filter(status__in=waitlist.OPEN).order_by().count()


def _total(request: Request, here: Clinic) -> HttpResponse:
    return render(request, "scheduling/work/_total.html", {"total": _sum(request, here)})


def _sum(request: Request, here: Clinic) -> int:
    return sum(counts(here, lists_for(_user(request), here)).values())


def _shown(request: Request, here: Clinic, work: WorkList, **more: Any) -> dict[str, Any]:
    rows = list(work.find(here))
    return {
        "work": work,
        "rows": rows,
        "count": f"{LIMIT}+" if len(rows) == LIMIT else len(rows),
        "clinic": here,
        "can_act": _may_act(request, here),
        **more,
    }


# -- Acting --------------------------------------------------------------------------------------


def act(view: View) -> View:
    """Gives the view the clinic instead of its name; those who may only look are refused."""

    @login_required
    @require_POST
    @wraps(view)
    def checked(request: Request, clinic: str, **asked: int) -> HttpResponse:
        here = _clinic(request, clinic)
        if not _may_act(request, here):
            raise PermissionDenied
        return view(request, here, **asked)

    return checked


@act
def tick(request: Request, here: Clinic, pk: int) -> HttpResponse:
    _find_row(here, "notes", pk)
    done = desk_notes.tick_off(note_id=pk, by=_user(request))
    return after(request, here, "notes", _("Done.") if done else _faster())


@act
def retry(request: Request, here: Clinic, pk: int) -> HttpResponse:
    _find_row(here, "messages", pk)
    queued = undelivered.try_again(notification_id=pk, by=_user(request))
    return after(request, here, "messages", _("It is sent once more.") if queued else _faster())


@act
def told(request: Request, here: Clinic, pk: int) -> HttpResponse:
    _find_row(here, "messages", pk)
    ended = undelivered.told_by_phone(notification_id=pk, by=_user(request))
    return after(request, here, "messages", _("Noted: told by telephone.") if ended else _faster())


@act
def withdraw(request: Request, here: Clinic, pk: int) -> HttpResponse:
    offer = get_object_or_404(WaitlistOffer.objects.visible_to(request.user), pk=pk, hold__clinic=here)
    try:
        waitlist_offers.withdraw(offer_id=offer.pk, by=_user(request))
    except BookingError as refusal:
        return after(request, here, "offers", str(refusal))
    return after(request, here, "offers", _("The offer is withdrawn."))


@act
def contact(request: Request, here: Clinic, pk: int) -> HttpResponse:
    patient = get_object_or_404(_coming(here), pk=pk)
    form = KnownContactForm(request.POST, prefix=f"c{pk}")
    if not form.is_valid():
        return _refused(request, here, pk, form)
    contacts.change_contact(patient_id=patient.pk, by=_user(request), clinic_id=here.pk, **form.cleaned_data)
    return after(request, here, "contacts", _("Saved."))


@act
def apart(request: Request, here: Clinic, pk: int, other: int) -> HttpResponse:
    patient, look_alike = (
        get_object_or_404(_coming(here), pk=pk),
        get_object_or_404(Patient.objects.visible_to(request.user), pk=other),
    )
    if patient.phone != look_alike.phone:
        return after(request, here, "contacts", _faster())
    both = (patient.pk, look_alike.pk)
    contacts.tell_apart(patient_ids=both, by=_user(request), clinic_id=here.pk)
    return after(request, here, "contacts", _("Noted: these are two people."))


@act
def no_email(request: Request, here: Clinic, pk: int) -> HttpResponse:
    patient = get_object_or_404(_coming(here), pk=pk)
    contacts.has_no_email(patient_id=patient.pk, by=_user(request), clinic_id=here.pk)
    return after(request, here, "contacts", _("Noted: has no e-mail address."))


def _coming(here: Clinic) -> Any:
    return Patient.objects.filter(bookings__clinic=here).distinct()


def _find_row(here: Clinic, slug: str, pk: int) -> None:
    """Whether it is of this clinic. What is done already is said kindly, not found missing."""
    if slug == "notes":
        get_object_or_404(desk_notes.of_clinic(here), pk=pk)
    else:
        get_object_or_404(undelivered.of_clinic(here.pk), pk=pk)


def _faster() -> str:
    return _("A colleague was faster.")


def after(request: Request, here: Clinic, slug: str, said: str) -> HttpResponse:
    """The list without the row; the focus goes to what stands in its place now."""
    if not request.htmx:
        messages.success(request, said)
        return see_other(f"{reverse('desk_work', args=[here.slug])}#work-{slug}")
    context = _shown(request, here, LISTS[slug], said=said, is_swap=True)
    at = request.POST.get("at", "")
    if context["rows"]:
        last = len(context["rows"]) - 1
        context["focus"] = min(int(at), last) if at.isdecimal() and len(at) < 4 else 0
    else:
        context["focus"] = None
    context["total"] = _sum(request, here)
    return render(request, "scheduling/work/_list.html", context)


def _refused(request: Request, here: Clinic, pk: int, form: KnownContactForm) -> HttpResponse:
    context = _shown(request, here, LISTS["contacts"], form=form, form_of=pk)
    if request.htmx:
        return render(request, "scheduling/work/_list.html", context, status=422)
    page = {"nav": "desk", "tab": "work", "clinic": here, "lists": [context], "elsewhere": []}
    return render(request, "scheduling/work.html", page, status=422)


def _clinic(request: Request, slug: str) -> Clinic:
    return get_object_or_404(clinics_of(_user(request)), slug=slug)


def _may_act(request: Request, here: Clinic) -> bool:
    """Doctors may look."""
    return may(_user(request), Can.ACT_AT_DESK, here)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
