"""The kinds of messages about money, and the facts that they may name."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import paylinks
from billing.models import Bill, DeskRefund, Payment
from clinic_booking.messages.kinds import FACTS, VISIT, Kind, register
from clinic_booking.templatetags.page import local_date, money
from scheduling.message_kinds import place_facts, time_facts, visit_facts

FACTS.update(
    amount=gettext_lazy("the amount of money"),
    expires=gettext_lazy("until when the link is good"),
    number=gettext_lazy("the number of the bill"),
    sentence=gettext_lazy("what became of the payment, as a sentence"),
)

register(
    Kind(
        "not_booked",
        gettext_lazy("The time was lost while paying"),
        gettext_lazy("Your visit could not be booked"),
        ("date", "time", "clinic", "address", "phone", "link", "sentence"),
    ),
    Kind(
        "pay_link",
        gettext_lazy("A link to pay"),
        gettext_lazy("Pay for your visit at {clinic}"),
        (*VISIT, "link", "amount", "expires"),
    ),
    Kind(
        "refunded",
        gettext_lazy("Money given back"),
        gettext_lazy("Your refund from {clinic}"),
        ("clinic", "address", "phone", "amount", "number", "sentence"),
    ),
    Kind(
        "pay_bill",
        gettext_lazy("A link to pay a bill"),
        gettext_lazy("Pay your bill from {clinic}"),
        ("clinic", "address", "phone", "link", "amount", "number", "expires"),
    ),
)


def not_booked(payment: Payment, *, is_refunded: bool) -> dict[str, Any]:
    """The link leads to the choice of a time, not to the service: its name is in that address."""
    hold = payment.hold
    assert hold  # by link no time is lost
    refunded = _(
        "We are sorry: when your payment arrived, this time could no longer be booked. "
        "We have sent %(amount)s back in full; your bank may take some days."
    )
    not_charged = _(
        "We are sorry: when your bank confirmed the payment, this time could no longer be booked. "
        "You have not been charged."
    )
    return {
        **time_facts(hold.starts_at, hold.ends_at, hold.clinic),
        **place_facts(hold.clinic),
        "sentence": refunded % {"amount": money(payment.amount_cents)} if is_refunded else not_charged,
        "link": f"{settings.SITE_URL}{reverse('home')}",
    }


def pay_link(bill: Bill, expires_at: dt.datetime) -> dict[str, Any]:
    facts = {
        "link": paylinks.link(bill, expires_at),
        "amount": money(bill.due_cents),
        "expires": local_date(expires_at, bill.clinic),
    }
    if bill.booking:
        return visit_facts(bill.booking, **facts)
    return {**place_facts(bill.clinic), **facts, "number": bill.serial}


def refunded(refund: DeskRefund) -> dict[str, Any]:
    online = _("%(amount)s goes back the way you paid; your bank may take some days.")
    at_counter = _("%(amount)s was given back to you at the clinic.")
    parts = ((online, refund.online_cents), (at_counter, refund.counter_cents))
    sentences = [text % {"amount": money(cents)} for text, cents in parts if cents]
    if refund.credit_note:
        sentences.append(_("Credit note %(number)s is attached.") % {"number": refund.credit_note.serial})
    return {
        **place_facts(refund.bill.clinic),
        "amount": money(refund.amount_cents),
        "number": refund.bill.serial,
        "sentence": " ".join(sentences),
    }
