"""People I care for, and who acts for me: list, code for the counter, invite, accept, end."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking import rows
from clinic_booking.accounts import step_up
from clinic_booking.accounts.staff import is_staff
from clinic_booking.context import Request
from clinic_booking.errors import NotAllowed
from clinic_booking.models import User
from patients.claims import masked_name
from patients.models import Patient, Proxy
from patients.proxies import acts, proofs
from patients.proxies.forms import InviteForm

SHOWN = 50


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def people(request: Request) -> HttpResponse:
    """POST invites somebody to act for me."""
    mine = Patient.objects.belonging_to(request.user).filter(user=_user(request)).first()
    form = InviteForm(request.POST or None)
    if request.method == "POST" and mine is None:
        raise Http404
    if request.method == "POST" and form.is_valid():
        assert mine
        if not step_up.is_fresh(request):
            return step_up.ask(request)
        proofs.invite(request, patient=mine, **form.cleaned_data)
        messages.success(request, _("The invitation is on its way."))
        return redirect("my_people")
    return _page(request, form=form, status=422 if form.errors else 200)


@never_cache
@login_required
@require_POST
def code(request: Request) -> HttpResponse:
    """Shown to the staff at the counter by whoever is to act for a patient."""
    user = _user(request)
    if is_staff(user):
        raise NotAllowed
    return _page(request, code=proofs.make_code(user=user))


@never_cache
@login_required
@require_POST
def ending(request: Request, pk: int) -> HttpResponse:
    user = _user(request)
    with rows.all_rows():  # of their own alone
        found = get_object_or_404(_of(user).filter(revoked_at=None), pk=pk)
    reason = Proxy.End.BY_PROXY if found.user_id == user.pk else Proxy.End.BY_PATIENT
    acts.end(proxy=found, reason=reason, by=user)
    messages.success(request, _("Ended. It counts at once."))
    return redirect("my_people")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: Request, token: str) -> HttpResponse:
    user = _user(request)
    with rows.all_rows():  # whoever has the token and the address it went to
        found = proofs.opened(token)
    if found is None:
        raise proofs.InvitationOver
    if not proofs.is_for(found, user):
        raise proofs.ForAnotherAddress
    if Proxy.objects.live().filter(invitation=found.number, user=user).exists():
        return redirect("my_people")
    if request.method == "POST":
        _accept(found, user)
        messages.success(request, _("Thank you. You can act for them now."))
        return redirect("my_people")
    context = {"nav": "me", "who": masked_name(found.patient.name), "token": token}
    return render(request, "patients/people_invitation.html", context)


def _accept(found: proofs.Invitation, user: User) -> None:
    with transaction.atomic(durable=True):
        acts.grant(
            patient=found.patient,
            user=user,
            relation=found.relation,
            evidence=Proxy.Evidence.CONSENT,
            by=user,
            invitation=found.number,
        )


def _page(
    request: Request, *, form: InviteForm | None = None, code: str = "", status: int = 200
) -> HttpResponse:
    user = _user(request)
    with rows.all_rows():  # of their own alone; of an ended one too, with less of the name
        found = list(_of(user).select_related("patient", "user").order_by("-starts_at")[:SHOWN])
    context: dict[str, Any] = {
        "nav": "me",
        "cared_for": [_row(each, each.patient.name) for each in found if each.user_id == user.pk],
        "acting": [_row(each, acts.called(each.user)) for each in found if each.user_id != user.pk],
        "has_record": Patient.objects.belonging_to(user).filter(user=user).exists(),
        "form": form or InviteForm(),
        "code": code,
    }
    return render(request, "patients/people.html", context, status=status)


def _row(proxy: Proxy, name: str) -> tuple[Proxy, str, bool]:
    is_over = proxy.is_over
    return proxy, masked_name(name) if is_over else name, is_over


def _of(user: User) -> QuerySet[Proxy]:
    return Proxy.objects.filter(Q(user=user) | Q(patient__user=user))


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
