"""The record of a patient of another clinic: asked for with a reason, shown for an hour, looked at by somebody else."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clinic_booking import audit
from clinic_booking.accounts import step_up
from clinic_booking.audit import openings
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from patients import glass
from patients.models import BrokenGlass, Patient
from patients.phones import e164
from scheduling.desk import clinic_for
from scheduling.models import Booking, Clinic

SHOWN = 50
PAGE = 100


class AskForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Full name"), max_length=120)
    phone = forms.CharField(
        label=gettext_lazy("Mobile phone"), max_length=30, widget=forms.TextInput(attrs={"type": "tel"})
    )
    birth_date = forms.DateField(
        label=gettext_lazy("Date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why you need the record"),
        min_length=openings.LEAST_REASON,
        max_length=openings.MOST_REASON,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Read by the clinic manager and the privacy officer the same day."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"

    def clean_phone(self) -> str:
        number = e164(self.cleaned_data["phone"])
        if number is None:
            raise forms.ValidationError(_("Please enter a phone number such as 9123 4567."), code="invalid")
        return number


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@step_up.required
def ask(request: Request, clinic: str) -> HttpResponse:
    """Names nobody: whoever asks says who it is."""
    here = clinic_for(request, clinic, act=Can.BREAK_GLASS, is_act=True)
    form = AskForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        given, user = form.cleaned_data, user_of(request)
        who = {name: given[name] for name in ("name", "phone", "birth_date")}
        opened = [
            glass.break_glass(patient=each, clinic_id=here.pk, reason=given["reason"], by=user)
            for each in glass.people_elsewhere(**who, by=user)
        ]
        if opened:
            return redirect("glass_record", here.slug, opened[0].pk)
        form.add_error(None, _("Nobody of this name and number is known at another clinic of ours."))
    context = {"nav": "desk", "tab": "glass", "clinic": here, "form": form, "mine": live(request)}
    return render(request, "scheduling/glass.html", context, status=422 if form.is_bound else 200)


@never_cache
@login_required
@require_safe
def record(request: Request, clinic: str, pk: int) -> HttpResponse:
    """For who opened it, while it is open."""
    here = clinic_for(request, clinic)
    found = get_object_or_404(live(request), pk=pk, clinic_id=here.pk)
    patient = get_object_or_404(Patient.objects.visible_to(request.user), pk=found.patient_id)
    visits = Booking.objects.visible_to(request.user).filter(patient=patient)
    audit.record(
        audit.Action.VIEW,
        f"patient:{patient.pk}",
        by=user_of(request),
        patient_id=patient.pk,
        clinic_id=here.pk,
        fields=["contacts", "visits"],
        reason=found.reason,
    )
    context = {"nav": "desk", "tab": "glass", "clinic": here, "glass": found, "patient": patient}
    context["visits"] = visits.select_related("clinic", "service", "practitioner").order_by("-starts_at")[
        :SHOWN
    ]
    return render(request, "scheduling/glass_record.html", context)


def live(request: Request) -> Any:
    mine = glass.open_now(user_of(request), BrokenGlass.Kind.ELSEWHERE)
    return mine.select_related("patient").order_by("-pk")


# -- Looking at what was opened ------------------------------------------------------------------


@never_cache
@login_required
@require_safe
def reviews(request: Request) -> HttpResponse:
    """Ids, who and why: nothing of the patient."""
    user = user_of(request)
    if not may(user, Can.REVIEW_GLASS):
        raise Http404
    rows = glass.reviewable(user).select_related("user", "reviewed_by").order_by("reviewed_at", "-pk")
    shown = list(rows.filter(reviewed_at=None)[:PAGE]) + list(
        rows.exclude(reviewed_at=None).order_by("-pk")[:PAGE]
    )
    names = dict(Clinic.objects.values_list("pk", "name"))
    context: dict[str, Any] = {"nav": "desk", "office": "glass" if user.office else ""}
    context["rows"] = [(row, names.get(row.clinic_id, "")) for row in shown]

    return render(request, "scheduling/glass_reviews.html", context)


@login_required
@require_POST
def review(request: Request, pk: int) -> HttpResponse:
    user = user_of(request)
    found = get_object_or_404(glass.reviewable(user), pk=pk)
    is_justified = {"yes": True, "no": False}.get(request.POST.get("justified", ""))
    if is_justified is None:
        raise Http404
    if glass.review(glass=found, is_justified=is_justified, by=user):
        messages.success(request, _("Noted."))
    return redirect("glass_reviews")


def user_of(request: Request) -> User:
    """Behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user
