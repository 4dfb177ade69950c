"""Who comes to the visit, and the consent. Card data never passes here: a field that holds a card number is refused."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from clinic_booking.pan import holds_card_number
from patients.forms import ContactForm


class DetailsForm(ContactForm):
    note = forms.CharField(
        label=_("Note for the clinic"),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Optional. Nothing urgent, please: call the clinic instead."),
    )

    def __init__(self, data: Any = None, **options: Any) -> None:
        if data is not None and any(holds_card_number(value) for _name, value in data.items()):
            # Not shown again either.
            self.card_number_given = True
            data = {name: "" if holds_card_number(value) else value for name, value in data.items()}
        else:
            self.card_number_given = False
        super().__init__(data, **options)

    def clean(self) -> dict[str, Any]:
        if self.card_number_given:
            raise ValidationError(
                _("Please do not write card numbers here. Card details belong into the payment fields only."),
                code="card_number",
            )
        return self.cleaned_data
