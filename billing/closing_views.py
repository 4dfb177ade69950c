"""The desk's page of a day's money: receptionists see and close their own, managers everybody's."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from billing import closing
from billing.closing import Row, Sheet
from billing.models import CounterPayment, LedgerPosting
from clinic_booking.context import Request
from clinic_booking.errors import NamedError
from clinic_booking.middleware import says_so_itself
from clinic_booking.models import User
from clinic_booking.pan import holds_card_number
from clinic_booking.roles import Can, may
from scheduling.desk import clinic_for
from scheduling.forms import MAX_ID, BadField, DayForm, IsoDateField
from scheduling.models import Clinic
from scheduling.views import see_other

MAX_CENTS = 10**10


class CloseForm(forms.Form):
    """For each way of paying the counted amount, and the sum in cents by which it was counted."""

    date = IsoDateField()
    cashier = forms.IntegerField(min_value=1, max_value=MAX_ID)
    number = forms.IntegerField(min_value=1, max_value=1000)
    note = forms.CharField(max_length=200, required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for method in CounterPayment.Method:
            self.fields[f"counted_{method}"] = forms.DecimalField(
                label=method.label,
                decimal_places=2,
                max_value=Decimal(MAX_CENTS) / 100,
                min_value=-Decimal(MAX_CENTS) / 100,
            )
            self.fields[f"seen_{method}"] = forms.IntegerField(min_value=-MAX_CENTS, max_value=MAX_CENTS)

    def clean_note(self) -> str:
        note: str = self.cleaned_data["note"].strip()
        if holds_card_number(note):
            raise forms.ValidationError(gettext_lazy("Please do not write card numbers here."))
        return note

    def cents(self, what: str) -> dict[str, int]:
        values = {method: self.cleaned_data[f"{what}_{method}"] for method in CounterPayment.Method}
        return {method: int(value * 100) if what == "counted" else value for method, value in values.items()}


@never_cache
@login_required
@require_safe
def day(request: Request, clinic: str) -> HttpResponse:
    here = clinic_for(request, clinic, see=Can.SEE_MONEY, act=Can.ACT_MONEY)
    asked = DayForm(request.GET)
    if not asked.is_valid():
        raise BadField(asked)
    today = here.today()
    shown = min(asked.cleaned_data["date"] or today, today)
    return render(request, "billing/money_day.html", _context(request, here, shown))


def _context(
    request: Request, here: Clinic, shown: dt.date, form: CloseForm | None = None, sentence: str = ""
) -> dict[str, Any]:
    user = _user(request)
    is_manager = manages(user, here)
    found = closing.sheets(here, shown, cashier=None if is_manager else user)
    return {
        "nav": "desk",
        "tab": "money",
        "part": "day",
        "clinic": here,
        "day": shown,
        "previous": shown - dt.timedelta(1),
        "next": shown + dt.timedelta(1) if shown < here.today() else None,
        "today": here.today(),
        "is_manager": is_manager,
        "sheets": [_shown(sheet, form, sentence) for sheet in found],
        "sentence": sentence,
        "together": closing.add(sheet.together for sheet in found),
        "online": closing.online(here, shown) if is_manager else None,
    }


@says_so_itself
@login_required
@require_POST
def close(request: Request, clinic: str) -> HttpResponse:
    """Answers with the page of the day; a refusal keeps what was typed."""
    here = clinic_for(request, clinic, see=Can.SEE_MONEY, act=Can.ACT_MONEY)
    user, form = _user(request), CloseForm(request.POST)
    if not form.is_valid():
        if set(form.errors) & {"date", "cashier", "number"}:
            raise BadField(form)
        return _refused(request, here, form, status=422)
    cashier = _cashier(here, user, form.cleaned_data["cashier"])
    try:
        closing.close_day(
            clinic=here,
            day=form.cleaned_data["date"],
            cashier=cashier,
            number=form.cleaned_data["number"],
            counted=form.cents("counted"),
            seen=form.cents("seen"),
            note=form.cleaned_data["note"],
            by=user,
        )
    except NamedError as refusal:
        return _refused(request, here, form, status=refusal.status, sentence=str(refusal))
    messages.success(request, _("The day is closed for %(name)s.") % {"name": cashier})
    return see_other(f"{reverse('desk_money', args=[here.slug])}?date={form.cleaned_data['date']}")


def _refused(
    request: Request, here: Clinic, form: CloseForm, *, status: int, sentence: str = ""
) -> HttpResponse:
    context = _context(request, here, min(form.cleaned_data["date"], here.today()), form, sentence)
    return render(request, "billing/money_day.html", context, status=status)


@dataclass(frozen=True)
class Shown:
    """A cashier's sheet with what was typed into its form, if it was this one that was sent."""

    sheet: Sheet
    form: CloseForm | None = None
    sentence: str = ""

    @property
    def number(self) -> int:
        return len(self.sheet.closes) + 1

    @property
    def note(self) -> str:
        return self.form.data.get("note", "") if self.form else ""

    @property
    def note_errors(self) -> str:
        return " ".join(map(str, self.form.errors.get("note", []))) if self.form else ""

    @property
    def rows(self) -> list[tuple[Row, str, str]]:
        """With what was typed and what is wrong with it."""
        return [(row, *self._typed(f"counted_{row.method}")) for row in self.sheet.rows]

    def _typed(self, name: str) -> tuple[str, str]:
        if self.form is None:
            return "", ""
        return self.form.data.get(name, ""), " ".join(map(str, self.form.errors.get(name, [])))


def _shown(sheet: Sheet, form: CloseForm | None, sentence: str) -> Shown:
    is_sent = form is not None and form.cleaned_data.get("cashier") == sheet.cashier.pk
    return Shown(sheet, form if is_sent else None, sentence if is_sent else "")


def _cashier(here: Clinic, user: User, pk: int) -> User:
    """Oneself; for managers whoever is or was at this desk."""
    if pk == user.pk:
        return user
    if not manages(user, here):
        raise Http404
    staff, acted = here.memberships.values("user"), LedgerPosting.objects.filter(clinic=here).values("by")
    return get_object_or_404(User.objects.filter(Q(pk__in=staff) | Q(pk__in=acted)), pk=pk)


def manages(user: User, here: Clinic) -> bool:
    return may(user, Can.SEE_BOOKS, here)


def _user(request: Request) -> User:
    """Behind `login_required`."""
    assert request.user.is_authenticated
    return request.user
