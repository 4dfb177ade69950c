"""The page for the staff: why is this time not offered?"""

import datetime as dt
from typing import Any, NamedTuple

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from clinic_booking.context import Request
from clinic_booking.models import User
from patients.models import Patient
from patients.phones import e164
from scheduling.desk import clinics_of
from scheduling.explain import Explanation, why_not
from scheduling.forms import IsoDateField
from scheduling.models import Clinic, Practitioner, Service, SessionTicket

MAX_ANSWERS = 40


class ExplainForm(forms.Form):
    service = forms.ModelChoiceField(Service.objects.all(), to_field_name="slug", label=_("Reason"))
    date = IsoDateField(label=_("Date"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    time = forms.TimeField(
        label=_("Time"), widget=forms.TimeInput(attrs={"type": "time", "step": 300}, format="%H:%M")
    )
    practitioner = forms.ModelChoiceField(
        Practitioner.objects.none(),
        label=_("With"),
        required=False,
        empty_label=_("Everybody who works here"),
    )
    patient = forms.CharField(
        label=_("For a patient"),
        max_length=254,
        required=False,
        help_text=_("Their e-mail address or phone number."),
    )

    def __init__(self, data: Any, *, clinic: Clinic, by: User, **options: Any) -> None:
        super().__init__(data, **options)
        self.clinic, self.by = clinic, by
        self.fields["practitioner"].queryset = who_works_at(clinic)  # type: ignore[attr-defined]

    def clean_patient(self) -> Patient | None:
        if not (given := self.cleaned_data["patient"].strip()):
            return None
        found = (
            Patient.objects.visible_to(self.by)
            .filter(Q(email__iexact=given) | Q(phone=e164(given) or given))
            .order_by("-pk")
            .first()
        )
        if found is None:
            raise ValidationError(_("We know no patient with this address or number."))
        return found

    def clean_time(self) -> dt.time:
        time: dt.time = self.cleaned_data["time"]
        return time.replace(second=0, microsecond=0)

    @property
    def starts_at(self) -> dt.datetime:
        return dt.datetime.combine(self.cleaned_data["date"], self.cleaned_data["time"], self.clinic.zone)


class Answer(NamedTuple):
    practitioner: Practitioner
    explanation: Explanation


def who_works_at(clinic: Clinic) -> QuerySet[Practitioner]:
    working = Q(pk__in=clinic.templates.values("practitioner")) | Q(
        pk__in=clinic.slots.values("practitioner")
    )
    return Practitioner.objects.filter(working, is_active=True)


@never_cache
@login_required
@require_safe
def explain(request: Request, clinic: str) -> HttpResponse:
    assert isinstance(request.user, User)
    here = get_object_or_404(clinics_of(request.user), slug=clinic)
    form = ExplainForm(
        request.GET if "service" in request.GET else None,
        clinic=here,
        by=request.user,
        initial={"date": here.today()},
    )
    context = {"nav": "desk", "clinic": here, "tab": "explain", "form": form}
    if not form.is_valid():
        return render(request, "scheduling/explain.html", context, status=422 if form.is_bound else 200)
    context["starts_at"], context["answers"] = form.starts_at, _answers(form)
    return render(request, "scheduling/explain.html", context)


def _answers(form: ExplainForm) -> list[Answer]:
    """Those who offer the service first; whom it is offered with at the front."""
    asked = form.cleaned_data
    service, patient = asked["service"], asked["patient"]
    people = [asked["practitioner"]] if asked["practitioner"] else list(_who(form.clinic, service))
    session = _session(patient, service) if patient else None
    answers = [
        Answer(
            who,
            why_not(
                service=service,
                clinic=form.clinic,
                practitioner=who,
                starts_at=form.starts_at,
                patient=patient,
                session=session,
            ),
        )
        for who in people
    ]
    return sorted(answers, key=lambda answer: not answer.explanation.is_offered)


def _who(clinic: Clinic, service: Service) -> QuerySet[Practitioner]:
    offering = who_works_at(clinic).filter(services=service)
    return (offering if offering.exists() else who_works_at(clinic))[:MAX_ANSWERS]


def _session(patient: Patient, service: Service) -> SessionTicket | None:
    """The next one that is to be planned: its rules count too."""
    planned = SessionTicket.objects.filter(status=SessionTicket.Status.PLANNED, request__closed_at=None)
    return planned.filter(request__patient=patient, request__service=service).order_by("pk").first()
