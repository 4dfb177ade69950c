"""The kinds of messages about money, and the facts that they may name."""

from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import paylinks
from billing.models import Payment
from clinic_booking.messages.kinds import FACTS, VISIT, Kind, register
from clinic_booking.templatetags.page import money
from scheduling.message_kinds import place_facts, time_facts, visit_facts
from scheduling.models import Booking

FACTS.update(
    amount=gettext_lazy("the amount of money"),
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
        (*VISIT, "link", "amount"),
    ),
)


def not_booked(payment: Payment, *, is_refunded: bool) -> dict[str, Any]:
    """The link leads to the choice of a time, not to the service: its name is in that address."""
    hold = payment.hold
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


def pay_link(booking: Booking) -> dict[str, Any]:
    return visit_facts(booking, link=paylinks.link(booking), amount=money(booking.price_cents))
