"""Who comes to the visit, and the consent. Card data never passes here: a field that holds a card number is refused."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from patients.forms import ContactForm

# 13 to 19 digits, by single spaces or dashes at most, not part of a longer word.
DIGITS = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])", re.ASCII)
# Issuers' prefixes with their lengths: Visa, Mastercard, Amex, Diners, Discover, JCB, UnionPay.
ISSUERS = re.compile(
    r"4(\d{12}|\d{15}|\d{18})|(5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(0[0-5]|[689])\d{12}"
    r"|6(011|5|4[4-9])\d{12,14}|35\d{14}|62\d{14,17}"
)


def holds_card_number(text: str) -> bool:
    numbers = (re.sub(r"\D", "", found) for found in DIGITS.findall(text))
    return any(ISSUERS.fullmatch(number) and _is_luhn(number) for number in numbers)


def _is_luhn(number: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


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
