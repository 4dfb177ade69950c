"""Forms of a contract's instalments: equal parts worked out, or rows that staff have typed."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.utils.translation import gettext_lazy as _

from billing.contract_forms import as_money, day_field, money_field
from billing.instalments import MAX_PARTS, Part, equal_parts
from billing.models import Contract


class PartForm(forms.Form):
    """Left empty, it is none."""

    due_on = day_field(_("Due on"), required=False)
    amount = money_field(_("Amount (S$)"), required=False)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if not self.errors and (data.get("due_on") is None) != (data.get("amount") is None):
            raise forms.ValidationError(_("An instalment needs both, a day and an amount."))
        return data


class PartForms(BaseFormSet):  # type: ignore[type-arg]
    @classmethod
    def of(cls, parts: Sequence[Part], data: Any = None) -> "PartForms":
        initial = [{"due_on": part.due_on, "amount": as_money(part.cents)} for part in parts]
        return FORMSET(data, prefix="part", initial=initial)  # type: ignore[return-value]

    def parts(self) -> list[Part]:
        given = [form.cleaned_data for form in self.forms if form.cleaned_data.get("due_on")]
        return [Part(data["due_on"], int(data["amount"] * 100)) for data in given]


FORMSET = formset_factory(
    PartForm, formset=PartForms, extra=1, max_num=MAX_PARTS, absolute_max=MAX_PARTS + 1, validate_max=True
)


class EqualForm(forms.Form):
    """So many equal parts, one each month."""

    count = forms.IntegerField(
        label=_("Number of instalments"),
        min_value=1,
        max_value=MAX_PARTS,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    first_on = day_field(_("The first is due on"))

    @classmethod
    def of(cls, contract: Contract, stored: Sequence[Part], data: Any = None) -> "EqualForm":
        today = contract.clinic.today()
        first = stored[0].due_on if stored else contract.signed_on or today
        return cls(data, initial={"count": len(stored) or 3, "first_on": max(first, today)})

    def parts(self, total_cents: int) -> list[Part]:
        data = self.cleaned_data
        return equal_parts(total_cents, count=data["count"], first_on=data["first_on"])


class DayForm(forms.Form):
    due_on = day_field(_("Due on"))


def stored_parts(contract: Contract) -> list[Part]:
    return [Part(row.due_on, row.amount_cents) for row in contract.instalments.all()]


def first_parts(contract: Contract, today: dt.date) -> list[Part]:
    """What the page starts with: three, or less where there are not as many cents."""
    count = max(1, min(3, contract.total_cents))
    return equal_parts(contract.total_cents, count=count, first_on=today)
