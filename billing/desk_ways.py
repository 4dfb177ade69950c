"""The ways to pay that the desk's dialog "New booking" offers."""

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bills, counter, paylinks
from billing.models import Bill, CounterPayment
from clinic_booking.models import User
from clinic_booking.templatetags.page import money
from patients.models import Patient
from scheduling.desk_ways import Way, register
from scheduling.forms import BadField
from scheduling.models import Booking


class CounterForm(forms.Form):
    """Without an amount it is that of the bill."""

    method = forms.ChoiceField(choices=CounterPayment.Method.choices)
    reference = forms.CharField(max_length=40, required=False)
    amount = forms.DecimalField(max_digits=9, decimal_places=2, min_value=0, required=False)


def take(booking: Booking, data: QueryDict, by: User) -> str:
    return take_for(bills.keep_bill(booking.pk), data, by)


def take_for(bill: Bill, data: QueryDict, by: User, key: str = "") -> str:
    """Raises BadField and what `counter.take_payment` raises."""
    form = CounterForm(data)
    if not form.is_valid():
        raise BadField(form)
    given = form.cleaned_data
    amount = bill.due_cents if given["amount"] is None else int(given["amount"] * 100)
    taken = counter.take_payment(
        bill_id=bill.pk,
        amount_cents=amount,
        method=given["method"],
        reference=given["reference"],
        by=by,
        idempotency_key=key,
    )
    return _("%(amount)s taken: %(method)s.") % {
        "amount": money(taken.amount_cents),
        "method": taken.get_method_display(),
    }


def send(booking: Booking, data: QueryDict, by: User) -> str:
    paylinks.send_link(bill_id=bills.keep_bill(booking.pk).pk, by=by)
    return _("The link to pay is on its way to %(email)s.") % {"email": booking.patient.email}


def has_email(patient: Patient | None) -> bool:
    return bool(patient and patient.email)


register(
    Way(
        "counter",
        gettext_lazy("Now, at the counter"),
        "billing/_counter_fields.html",
        lambda patient: True,
        take,
    )
)
# Somebody who is being registered may give an address in the same form.
register(
    Way(
        "link",
        gettext_lazy("By link: an e-mail with a page to pay"),
        "",
        lambda patient: patient is None or has_email(patient),
        send,
    )
)
