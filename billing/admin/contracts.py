"""Drafts can be written here as on the desk, by the same verbs and checks. What is confirmed can be looked at."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import action
from django.core.exceptions import ValidationError
from django.db.models import Max, Model, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from billing import contracts, instalments
from billing.contracts import BillingTerms, Terms
from billing.models import Contract, ContractInstalment, ContractLine, ContractPattern
from clinic_booking.admin import ScopedAdmin
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from clinic_booking.templatetags.page import money
from scheduling.demand import PatternSpec, Policies
from scheduling.unmeetable import Problem


def user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def may_change(contract: Model | None) -> bool:
    return not isinstance(contract, Contract) or contract.is_draft


class Lines(BaseInlineFormSet):
    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            if form.is_valid() and form.has_changed() and not form.cleaned_data.get("DELETE"):
                for problem in Terms.of(form.instance).problems():
                    form.add_error(field_of(problem, form), problem.sentence)

    def save_new(self, form: Any, commit: bool = True) -> Any:
        last = self.instance.lines.aggregate(last=Max("position"))["last"] or 0
        form.instance.position = last + 1
        return super().save_new(form, commit=commit)


class Patterns(BaseInlineFormSet):
    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        given = [f for f in self.forms if f.cleaned_data and not f.cleaned_data.get("DELETE")]
        terms = Terms.of(self.instance, [spec_of(form.cleaned_data) for form in given])
        for problem in terms.problems():
            if problem.pattern is None:
                raise ValidationError(problem.sentence)
            form = given[problem.pattern]
            form.add_error(field_of(problem, form), problem.sentence)


def field_of(problem: Problem, form: forms.BaseForm) -> str:
    """Where it is said. Inline forms show only what stands at a field."""
    field = "price_cents" if problem.field == "price" else problem.field
    return field if field in form.fields else next(iter(form.fields))


def spec_of(data: dict[str, Any]) -> PatternSpec:
    plain = ("is_hard", "from_time", "until_time", "earliest", "latest", "min_gap_days", "max_gap_days")
    return PatternSpec(
        weekdays=frozenset(data["weekdays"] or []),
        practitioners=frozenset(who.pk for who in data["practitioners"]),
        clinics=frozenset(clinic.pk for clinic in data["clinics"]),
        **{name: data[name] for name in plain},
    )


class ContractLineInline(TabularInline):
    model = ContractLine
    formset = Lines
    fields = ["service", "quantity", "price_cents", "valid_from", "valid_until"]
    autocomplete_fields = ["service"]
    extra = 0
    show_change_link = True  # to its patterns

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_change(obj) and super().has_change_permission(request, obj)

    has_add_permission = has_delete_permission = has_change_permission


class Instalments(BaseInlineFormSet):
    def save_new(self, form: Any, commit: bool = True) -> Any:
        last = self.instance.instalments.aggregate(last=Max("number"))["last"] or 0
        form.instance.number = last + 1
        return super().save_new(form, commit=commit)


class InstalmentInline(TabularInline):
    """Of a contract that is billed in instalments; those of a confirmed one are moved on the desk."""

    model = ContractInstalment
    formset = Instalments
    fields = ["due_on", "amount_cents", "bill"]
    readonly_fields = ["bill"]
    extra = 0

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_change(obj) and super().has_change_permission(request, obj)

    has_add_permission = has_delete_permission = has_change_permission


@admin.register(Contract)
class ContractAdmin(ScopedAdmin):
    list_display = ["reference", "status", "patient", "clinic", "total", "signed_on", "created_at"]
    list_filter = ["status", "clinic"]
    list_select_related = ["patient", "clinic"]
    search_fields = ["reference", "patient__name", "=patient__email", "=patient__phone"]
    autocomplete_fields = ["patient", "clinic"]
    fields = [
        "patient",
        "clinic",
        "signed_on",
        "late_cancel",
        "no_show",
        "billing",
        "admin_fee_percent",
        "admin_fee_cap_cents",
        "note",
    ]
    ordering = ["-created_at"]
    show_full_result_count = False
    inlines = [ContractLineInline, InstalmentInline]
    actions = ["confirm", "plan"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contract]:
        found: QuerySet[Contract] = super().get_queryset(request)
        return found.prefetch_related("lines")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        ends = [
            "confirmed_at",
            "confirmed_by",
            "completed_at",
            "cancelled_at",
            "cancelled_by",
            "cancel_reason",
        ]
        return ["reference", "status", *self.fields, *ends] if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        written = {*self.fields} - {"patient", "clinic"}
        return [f for f in self.get_fields(request, obj) if f not in written] if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_change(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if not change and (problem := contracts.contact_problem(form.cleaned_data["patient"])):
            raise contracts.Incomplete([problem])
        return super().save_form(request, form, change)

    def save_model(self, request: HttpRequest, obj: Contract, form: forms.ModelForm, change: bool) -> None:
        terms: dict[str, Any] = {
            "policies": Policies(obj.late_cancel, obj.no_show),
            "billed": BillingTerms(obj.billing, obj.admin_fee_percent, obj.admin_fee_cap_cents),
            "signed_on": obj.signed_on,
            "note": obj.note,
            "by": user_of(request),
        }
        if change:
            contracts.change_draft(contract_id=obj.pk, **terms)
            return
        made = contracts.draft_contract(patient=obj.patient, clinic=obj.clinic, **terms)
        obj.pk, obj.reference = made.pk, made.reference
        obj._state.adding = False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Lines and instalments are saved side by side, so that they fit is looked at afterwards."""
        super().save_related(request, form, formsets, change)
        contract = Contract.objects.get(pk=form.instance.pk)
        for problem in instalments.problems_of(contract):
            self.message_user(request, f"{contract}: {problem}", messages.WARNING)

    @admin.display(description=_("total"))
    def total(self, contract: Contract) -> str:
        return money(contract.total_cents)

    @action(description=_("Confirm and plan all sessions"), permissions=["change"])
    def confirm(self, request: HttpRequest, chosen: QuerySet[Contract]) -> None:
        for contract in chosen:
            try:
                contracts.confirm_contract(reference=contract.reference, by=user_of(request))
            except NamedError as refusal:
                self.message_user(request, f"{contract}: {refusal}", messages.ERROR)
            else:
                self.message_user(request, f"{contract}: {Contract.Status.CONFIRMED.label}")

    @action(description=_("Try again to find times"), permissions=["change"])
    def plan(self, request: HttpRequest, chosen: QuerySet[Contract]) -> None:
        for contract in chosen.filter(status=Contract.Status.CONFIRMED):
            planned = contracts.plan_contract(contract_id=contract.pk, by=user_of(request))
            text = _("%(contract)s: %(placed)d sessions placed, %(unplaced)d without a time")
            counts = {"placed": len(planned.placed), "unplaced": len(planned.unplaced)}
            self.message_user(request, str(text) % {"contract": contract, **counts})


class ContractPatternForm(forms.ModelForm):
    weekdays = forms.TypedMultipleChoiceField(
        label=_("weekdays"),
        choices=[(number + 1, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )


class ContractPatternInline(StackedInline):
    model = ContractPattern
    form = ContractPatternForm
    formset = Patterns
    autocomplete_fields = ["practitioners", "clinics"]
    extra = 0


@admin.register(ContractLine)
class ContractLineAdmin(ModelAdmin):
    """Reached from its contract: the patterns of a line."""

    fields = ["contract", "service", "quantity", "price_cents", "valid_from", "valid_until", "request"]
    readonly_fields = fields
    list_display = ["contract", "service", "quantity", "valid_from", "valid_until"]
    list_select_related = ["contract", "service"]
    search_fields = ["contract__reference", "contract__patient__name"]
    inlines = [ContractPatternInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        contract = obj.contract if isinstance(obj, ContractLine) else None
        return may_change(contract) and super().has_change_permission(request, obj)
