from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from patients.counter_codes import LENGTH
from patients.forms import ContactForm
from patients.singpass.linking import Document


class DetailsForm(ContactForm):
    """Singpass says who somebody is, not how to reach them: only `openid` is asked for."""

    birth_date = forms.DateField(
        label=_("Date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "bday"}, format="%Y-%m-%d"),
    )
    field_order = ["name", "email", "phone", "birth_date", "consent"]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        min_length=5,
        max_length=120,
        help_text=_("In a few words, without names or numbers: it is kept in the audit trail."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if sum(each.isdigit() for each in reason) >= 5:
            raise ValidationError(_("Please leave out numbers of documents and telephones."), code="number")
        return reason


class LinkForm(ReasonForm):
    code = forms.CharField(
        label=_("Code on the patient's screen"),
        max_length=20,
        help_text=_("%(n)s letters and digits. It is good for ten minutes and one use.") % {"n": LENGTH},
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )
    document = forms.ChoiceField(
        label=_("Document that you have looked at"), choices=[("", _("Please choose")), *Document.choices]
    )
    field_order = ["document", "code", "reason"]
