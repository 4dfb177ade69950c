from django import forms
from django.utils.translation import gettext_lazy as _

from clinic_booking.audit.openings import LEAST_REASON, MOST_REASON
from patients.models import Patient


class _WithReason(forms.Form):
    reason = forms.CharField(
        label=_("Why"),
        min_length=LEAST_REASON,
        max_length=MOST_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
        help_text=_("Read by the clinic manager and the privacy officer."),
    )


class OpenForm(_WithReason):
    next = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)
    clinic = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)


class MarkForm(_WithReason):
    code = forms.ChoiceField(label=_("This record"), choices=Patient.Confidentiality.choices, required=False)
    field_order = ["code", "reason"]
