"""Who somebody is and how to reach them, with the consent to use it."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from clinic_booking.messages.channels import is_on
from clinic_booking.messages.kinds import Channel
from patients.phones import e164

AGREES = _("I agree that the clinic uses these details for my booking and care.")
PATIENT_AGREES = _("The patient agrees that the clinic uses these details for booking and care.")


class ContactForm(forms.Form):
    name = forms.CharField(
        label=_("Full name"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": _("Please enter the name of the patient.")},
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_("We send the confirmation there."),
        error_messages={
            "required": _("Please enter an e-mail address."),
            "invalid": _("Please enter an e-mail address such as name@example.com."),
        },
    )
    phone = forms.CharField(
        label=_("Mobile phone"),
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "type": "tel", "inputmode": "tel"}),
        help_text=_("For example 9123 4567. Numbers abroad start with +."),
        error_messages={
            "required": _("Please enter a phone number."),
            "max_length": _("Please enter a phone number such as 9123 4567."),
        },
    )
    consent = forms.BooleanField(
        label=AGREES,
        error_messages={"required": _("Please agree, so that the clinic may use your details.")},
    )

    def clean_phone(self) -> str:
        number = e164(self.cleaned_data["phone"])
        if number is None:
            raise ValidationError(_("Please enter a phone number such as 9123 4567."), code="invalid")
        return number


class KnownContactForm(ContactForm):
    """For staff: what is on file, to be put right. An e-mail address may be lacking, a telephone number may not."""

    birth_date = forms.DateField(
        label=_("Date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    field_order = ["name", "phone", "email", "birth_date"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.fields["consent"]
        self.fields["email"].required = False
        for field in self.fields.values():
            field.help_text = ""
            field.widget.attrs["autocomplete"] = "off"


class MessagesForm(forms.Form):
    """How the patient wants to be reminded. Channels that are off are not offered."""

    language = forms.ChoiceField(label=_("Language of the messages"), choices=settings.MESSAGE_LANGUAGES)
    email = forms.BooleanField(label=_("Reminders by e-mail"), required=False)
    sms = forms.BooleanField(label=_("Reminders by SMS"), required=False)
    whatsapp = forms.BooleanField(label=_("Reminders by WhatsApp"), required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for channel in Channel:
            if not is_on(channel):
                del self.fields[channel]

    @property
    def reminders(self) -> list[forms.BoundField]:
        return [self[channel] for channel in Channel if channel in self.fields]

    def wanted(self) -> dict[str, bool]:
        return {
            f"reminders_{channel}": self.cleaned_data[channel]
            for channel in Channel
            if channel in self.fields
        }
