from django import forms
from django.utils.translation import gettext_lazy as _

from clinic_booking.audit.openings import LEAST_REASON, MOST_REASON


class WhyForm(forms.Form):
    """`next` is where it goes on, `more` how many are about to be opened."""

    reason = forms.CharField(
        label=_("Why"),
        min_length=LEAST_REASON,
        max_length=MOST_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
        help_text=_("Without names. Read by the clinic manager and the privacy officer."),
    )
    next = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)
    clinic = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)
    more = forms.IntegerField(required=False, min_value=1, max_value=10**6, widget=forms.HiddenInput)
