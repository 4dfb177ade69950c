"""Keep a guest's visits in an account: from the visit's page, and from "My visits" after a login by code."""

import smtplib

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from clinic_booking.accounts import codes, lockout, step_up
from clinic_booking.accounts.forms import CodeForm
from clinic_booking.context import Request
from clinic_booking.messages.channels import ChannelDown
from clinic_booking.models import User
from patients import claims
from patients.models import Patient
from scheduling.visits import find

SENT = "claim_code"


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def of_booking(request: Request, reference: str) -> HttpResponse:
    """Of the visit that this browser may see. A code goes to the contact on the record, unless it is proved."""
    user = _user(request)
    booking = find(request, reference)
    patient = booking.patient
    if patient.user_id == user.pk:
        return redirect("booking", reference)
    if patient.user_id:
        raise claims.RecordIsTaken
    if Patient.objects.filter(user=user).exists():
        raise claims.LoginHasRecord
    contact = claims.contact_of(patient)
    if request.method != "POST":
        return _page(request, reference, patient, CodeForm())
    if claims.is_proved(user, patient):
        if not step_up.is_fresh(request):
            return step_up.ask(request)
        return _claimed(request, patient, user, "email")
    if contact is None:
        raise Http404
    if "code" not in request.POST:
        _send(request, patient, *contact)
        return redirect("claim_booking", reference)
    form = CodeForm(request.POST)
    if form.is_valid() and _is_right(request, patient, contact[1], form):
        del request.session[SENT]
        return _claimed(request, patient, user, contact[0])
    return _page(request, reference, patient, form)


@login_required
@require_POST
@step_up.required
def of_address(request: Request, uuid: str) -> HttpResponse:
    """One of the records at the address that the login has proved."""
    user = _user(request)
    chosen = next((each for each in claims.found_for(user) if str(each.uuid) == str(uuid)), None)
    if chosen is None:
        raise Http404
    return _claimed(request, chosen, user, "email")


def _send(request: Request, patient: Patient, channel: str, to: str) -> None:
    send = codes.send_mail if channel == "email" else codes.send_sms
    try:
        pk = send(request, purpose=codes.Purpose.CLAIM, to=to, subject=f"patient:{patient.pk}")
    except (OSError, smtplib.SMTPException, ChannelDown) as error:
        raise codes.NotSent from error
    request.session[SENT] = {"id": pk, "patient": patient.pk}


def _is_right(request: Request, patient: Patient, to: str, form: CodeForm) -> bool:
    sent = request.session.get(SENT, {})
    try:
        right = codes.is_right(
            str(sent.get("id", "")), form.cleaned_data["code"], purpose=codes.Purpose.CLAIM, to=to
        )
    except lockout.LockedOut as locked:
        form.add_error("code", str(locked.sentence))
        return False
    if right and right.subject == f"patient:{patient.pk}":
        return True
    form.add_error("code", _("This code is not right, or it is too old. Each code works once."))
    return False


def _claimed(request: Request, patient: Patient, user: User, proof: str) -> HttpResponse:
    claims.claim(patient=patient, user=user, proof=proof)
    messages.success(request, _("The visits are kept in your account now."))
    return redirect("me")


def _page(request: Request, reference: str, patient: Patient, form: CodeForm) -> HttpResponse:
    contact = claims.contact_of(patient)
    context = {
        "nav": "me",
        "form": form,
        "reference": reference,
        "is_proved": claims.is_proved(_user(request), patient),
        "to": claims.masked_contact(*contact) if contact else "",
        "sent": request.session.get(SENT, {}).get("patient") == patient.pk,
    }
    return render(request, "scheduling/claim.html", context, status=422 if form.errors else 200)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
