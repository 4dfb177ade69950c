"""What somebody logged in with Singpass sees of it: the details of a first login, the account, the code for the desk."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking.accounts import step_up
from clinic_booking.accounts.staff import is_staff
from clinic_booking.context import Request
from clinic_booking.models import User
from patients import consents
from patients.models import Patient, SingpassIdentity
from patients.singpass import identities, is_on, linking
from patients.singpass.forms import DetailsForm
from patients.singpass.views import adding_token


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def details(request: Request) -> HttpResponse:
    """After a first login: how to reach the person. Or the record that the clinic has already."""
    user, onward = _user(request), _onward(request)
    if Patient.objects.filter(user=user).exists() or is_staff(user):
        return redirect(onward)
    form = DetailsForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _register(form, user)
        messages.success(request, _("Thank you. You can book now, and see your visits here."))
        return redirect(onward)
    context = {"nav": "me", "form": form, "next": onward}
    return render(request, "patients/singpass_details.html", context, status=422 if form.errors else 200)


def _register(form: DetailsForm, user: User) -> None:
    """A record of its own, whoever else has this name or e-mail address."""
    given = {name: form.cleaned_data[name] for name in ("name", "email", "phone", "birth_date")}
    with transaction.atomic():
        patient, is_new = Patient.objects.get_or_create(user=user, defaults=given)
        if is_new:
            consents.record(patient_id=patient.pk, wanted={"care_and_booking": True}, channel="web", by=user)


@never_cache
@login_required
@require_safe
def account(request: Request) -> HttpResponse:
    return _account(request)


@never_cache
@login_required
@require_POST
def code(request: Request) -> HttpResponse:
    """Shown once: only its digest is kept, and a reload makes a new one."""
    return _account(request, code=linking.make_code(user=_user(request)))


@never_cache
@login_required
@require_POST
@step_up.required
def removal(request: Request) -> HttpResponse:
    identities.remove(user=_user(request))
    messages.success(request, _("Singpass no longer opens your account."))
    return redirect("singpass_account")


def _account(request: Request, code: str = "") -> HttpResponse:
    user = _user(request)
    context = {
        "nav": "account",
        "identity": SingpassIdentity.objects.filter(user=user).first(),
        "has_record": Patient.objects.filter(user=user).exists(),
        "has_other_door": identities.has_other_door(user),
        "may_add": is_on() and not is_staff(user),
        "token": adding_token(user),
        "code": code,
    }
    return render(request, "patients/singpass_account.html", context)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _onward(request: HttpRequest) -> str:
    asked = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = asked.startswith("/") and url_has_allowed_host_and_scheme(
        asked, {request.get_host()}, require_https=request.is_secure()
    )
    return asked if is_ours else "me"
