"""Forms of contracts. What cannot be met is said by the verbs; here are the fields."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext_lazy as _

from billing.contracts import BillingTerms, Terms
from billing.models import Contract, ContractLine
from billing.models.contracts import MAX_PRICE_CENTS
from patients.models import Patient
from scheduling.demand import PatternSpec, Policies
from scheduling.forms import IsoDateField
from scheduling.models import Clinic, Practitioner, Service
from scheduling.models.demand import MAX_GAP_DAYS, MAX_SESSIONS
from scheduling.unmeetable import Problem

MAX_RULES = 8
CHECKBOXES = {"class": "form-check-input"}


def day_field(label: Any, **options: Any) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return IsoDateField(label=label, widget=widget, **options)


def time_field(label: Any, **options: Any) -> forms.TimeField:
    widget = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    return forms.TimeField(label=label, widget=widget, required=False, **options)


def money_field(label: Any, **options: Any) -> forms.DecimalField:
    widget = forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"})
    return forms.DecimalField(
        label=label,
        min_value=0,
        max_value=MAX_PRICE_CENTS // 100,
        decimal_places=2,
        widget=widget,
        **options,
    )


def as_money(cents: int) -> str:
    return f"{cents / 100:.2f}"


class DetailsForm(forms.Form):
    """What a contract says beside its lines."""

    late_cancel = forms.ChoiceField(label=_("If cancelled too late"), choices=Contract.Policy.choices)
    no_show = forms.ChoiceField(label=_("If the patient does not come"), choices=Contract.Policy.choices)
    billing = forms.ChoiceField(label=_("Billed"), choices=Contract.Billing.choices)
    admin_fee_percent = forms.IntegerField(
        label=_("Fee of unused sessions, if it ends early (%)"),
        min_value=0,
        max_value=100,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    admin_fee_cap = money_field(_("But at most (S$)"))
    signed_on = day_field(_("Signed on"), required=False)
    note = forms.CharField(label=_("Note of the staff"), max_length=300, required=False)

    @classmethod
    def of(cls, contract: Contract, data: Mapping[str, Any] | None = None) -> "DetailsForm":
        plain = [name for name in cls.base_fields if name != "admin_fee_cap"]
        cap = {"admin_fee_cap": as_money(contract.admin_fee_cap_cents)}
        return cls(data, initial={name: getattr(contract, name) for name in plain} | cap)

    def values(self) -> dict[str, Any]:
        data = self.cleaned_data
        policies = Policies(data["late_cancel"], data["no_show"])
        cap_cents = int(data["admin_fee_cap"] * 100)
        billed = BillingTerms(data["billing"], data["admin_fee_percent"], cap_cents)
        return {"policies": policies, "billed": billed, "signed_on": data["signed_on"], "note": data["note"]}


class NewForm(DetailsForm):
    """The patient is one of those just found, whose names are on the screen."""

    patient = forms.ModelChoiceField(
        Patient.objects.all(),
        label=_("Patient"),
        empty_label=None,
        widget=forms.RadioSelect(attrs=CHECKBOXES),
        error_messages={
            "required": _("Please choose the patient."),
            "invalid_choice": _("Please choose the patient."),
        },
    )
    field_order = ["patient"]

    @staticmethod
    def usual(today: dt.date) -> dict[str, Any]:
        return {
            "signed_on": today,
            "late_cancel": Contract.Policy.FORFEIT,
            "no_show": Contract.Policy.FORFEIT,
            "billing": Contract.Billing.ON_SIGNING,
            "admin_fee_percent": BillingTerms().admin_fee_percent,
            "admin_fee_cap": as_money(BillingTerms().admin_fee_cap_cents),
        }

    def __init__(self, data: Any = None, *, found: Sequence[Patient], **options: Any) -> None:
        super().__init__(data, **options)
        field = self.fields["patient"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Patient.objects.filter(pk__in=[patient.pk for patient in found])


class LineForm(forms.Form):
    service = forms.ModelChoiceField(Service.objects.all(), label=_("Service"))
    quantity = forms.IntegerField(
        label=_("Sessions"),
        error_messages={"required": _("How many sessions are sold?")},
        widget=forms.NumberInput(attrs={"min": 1, "max": MAX_SESSIONS, "inputmode": "numeric"}),
    )
    price = money_field(_("Price each (S$)"), required=False, help_text=_("Empty: the price of the service."))
    valid_from = day_field(_("Valid from"))
    valid_until = day_field(_("Valid until"), help_text=_("The last day."))

    @classmethod
    def initial_of(cls, line: ContractLine | None, today: dt.date) -> dict[str, Any]:
        if line is None:
            return {"valid_from": today, "valid_until": today + dt.timedelta(365), "quantity": 6}
        fields = ("service", "quantity", "valid_from", "valid_until")
        return {name: getattr(line, name) for name in fields} | {"price": as_money(line.price_cents)}

    def terms(self, patterns: Sequence[PatternSpec]) -> Terms:
        data = self.cleaned_data
        service, price = data["service"], data["price"]
        return Terms(
            service=service,
            quantity=data["quantity"],
            price_cents=service.price_cents if price is None else int(price * 100),
            valid_from=data["valid_from"],
            valid_until=data["valid_until"],
            patterns=patterns,
        )


class PatternForm(forms.Form):
    """One rule or wish. Left empty, it is none."""

    is_hard = forms.TypedChoiceField(
        label=_("This"),
        choices=[("1", _("must hold")), ("", _("is a wish"))],
        coerce=bool,
        empty_value="",
        required=False,
        initial="1",
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=_("On"),
        choices=[(number + 1, name) for number, name in WEEKDAYS_ABBR.items()],
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs=CHECKBOXES),
    )
    from_time = time_field(_("Not before"))
    until_time = time_field(_("Over by"))
    min_gap_days = forms.IntegerField(
        label=_("At least days apart"), required=False, min_value=0, max_value=MAX_GAP_DAYS
    )
    max_gap_days = forms.IntegerField(
        label=_("At most days apart"), required=False, min_value=0, max_value=MAX_GAP_DAYS
    )
    earliest = day_field(_("First day"), required=False)
    latest = day_field(_("Last day"), required=False)
    clinics = forms.ModelMultipleChoiceField(
        Clinic.objects.filter(is_active=True),
        label=_("In"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs=CHECKBOXES),
    )
    practitioners = forms.ModelMultipleChoiceField(
        Practitioner.objects.filter(is_active=True),
        label=_("With"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs=CHECKBOXES),
    )

    @staticmethod
    def initial_of(pattern: PatternSpec) -> dict[str, Any]:
        names = [name for name in PatternForm.base_fields if name != "is_hard"]
        known = {name: getattr(pattern, name) for name in names}
        for name in ("weekdays", "clinics", "practitioners"):
            known[name] = sorted(known[name])
        return known | {"is_hard": "1" if pattern.is_hard else ""}

    def spec(self) -> PatternSpec | None:
        data = dict(self.cleaned_data)
        data.pop("DELETE", None)
        is_hard = bool(data.pop("is_hard", True))
        if not any(value or value == 0 for value in data.values()):
            return None
        return PatternSpec(
            is_hard=is_hard,
            weekdays=frozenset(data.pop("weekdays")),
            clinics=frozenset(clinic.pk for clinic in data.pop("clinics")),
            practitioners=frozenset(who.pk for who in data.pop("practitioners")),
            **data,
        )


class PatternForms(BaseFormSet):  # type: ignore[type-arg]
    """The rules of a line or of a request, with one empty for the next."""

    @classmethod
    def of(cls, patterns: Iterable[PatternSpec], data: Any = None) -> "PatternForms":
        return FORMSET(data, prefix="rule", initial=[PatternForm.initial_of(p) for p in patterns])  # type: ignore[return-value]

    def specs(self) -> list[PatternSpec]:
        return [spec for spec, _form in self._given()]

    def add_problem(self, problem: Problem) -> None:
        """Says it at the rule that is meant."""
        assert problem.pattern is not None
        form = self._given()[problem.pattern][1]
        form.add_error(problem.field if problem.field in form.fields else None, problem.sentence)

    def _given(self) -> list[tuple[PatternSpec, Any]]:
        kept = [form for form in self.forms if not form.cleaned_data.get("DELETE")]
        return [(spec, form) for form in kept if form.cleaned_data and (spec := form.spec())]


FORMSET = formset_factory(
    PatternForm, formset=PatternForms, extra=1, can_delete=True, max_num=MAX_RULES, validate_max=True
)


def say(problems: Iterable[Problem], form: forms.Form | None, rules: PatternForms) -> list[str]:
    """Put each problem where it is meant. Returns those that have no field to stand at."""
    rest = []
    for problem in problems:
        if problem.pattern is not None:
            rules.add_problem(problem)
        elif form and problem.field in form.fields:
            form.add_error(problem.field, problem.sentence)
        else:
            rest.append(problem.sentence)
    return rest
