"""What patients say about messages: which they want, in which language; stopping them without a login."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from clinic_booking.context import Request
from clinic_booking.messages.channels import is_on
from clinic_booking.messages.kinds import Purpose
from clinic_booking.models import User
from patients import consents, opt_out
from patients.forms import MessagesForm
from patients.messages import ORDER, allowed_channels
from patients.models import Patient


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def my_messages(request: Request) -> HttpResponse:
    patient = get_object_or_404(Patient.objects.belonging_to(request.user), user=request.user)
    form = MessagesForm(request.POST or None, initial=_initial(patient))
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        consents.speak(patient_id=patient.pk, language=form.cleaned_data["language"])
        consents.record(patient_id=patient.pk, wanted=form.wanted(), channel="web", by=request.user)
        messages.success(request, _("Saved."))
        return redirect("my_messages")
    context = {"nav": "me", "form": form, "patient": patient}
    return render(request, "patients/messages.html", context, status=422 if form.errors else 200)


def _initial(patient: Patient) -> dict[str, object]:
    allowed = allowed_channels(patient, Purpose.REMINDERS)
    return {"language": patient.language} | {channel: channel in allowed for channel in ORDER}


@csrf_exempt  # the mailbox posts for the reader (RFC 8058): the signed address is the permission
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop_messages(request: HttpRequest, token: str) -> HttpResponse:
    """Opening it does nothing, since mail scanners open links."""
    if not (patient := opt_out.opened(token)):
        raise Http404
    allowed = allowed_channels(patient, Purpose.REMINDERS)
    if request.method == "POST":
        chosen = _chosen(request)
        wanted = {f"reminders_{channel}": False for channel in chosen}
        consents.record(patient_id=patient.pk, wanted=wanted, channel="link", by=None)
        messages.success(request, _("You get no more of these reminders."))
        return redirect("stop_messages", token)
    shown = [channel for channel in ORDER if channel in allowed and is_on(channel)]
    return render(request, "patients/stop_messages.html", {"channels": shown, "token": token})


def _chosen(request: HttpRequest) -> list[str]:
    """A mailbox stops the e-mails; on the page somebody chooses."""
    if request.POST.get("List-Unsubscribe") == "One-Click":
        return ["email"]
    chosen = request.POST.get("channel")
    return [channel.value for channel in ORDER if chosen in ("all", channel.value)]
