"""What may be done about a bill, for the pages of the desk and of the patient."""

import uuid
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import desk_refunds, paylinks
from billing.models import Bill
from scheduling.booking import database_now

register = template.Library()


@register.simple_tag
def request_key() -> SafeString:
    """The form with this key is carried out once, however often it is sent."""
    return format_html('<input type="hidden" name="idempotency_key" value="{}">', uuid.uuid4())


@register.filter
def decimal_money(cents: int) -> str:
    """As a field takes it: 4000 -> "40.00"."""
    return f"{cents // 100}.{cents % 100:02d}"


@register.simple_tag
def pay_path(bill: Bill) -> str:
    """To the page that pays what is left, for whoever sees the bill's page."""
    return paylinks.path(bill, database_now() + paylinks.VALID)


@register.filter
def link_sent(bill: Bill) -> paylinks.Sent | None:
    return paylinks.last_sent(bill)


@register.filter
def refundable(bill: Bill | None) -> int:
    return desk_refunds.refundable_cents(bill) if bill else 0


@register.filter
def payments_online(bill: Bill) -> list[Any]:
    """What was charged for the bill by link, the latest last."""
    return [each for each in bill.link_payments.order_by("created_at", "pk") if each.captured_cents]
