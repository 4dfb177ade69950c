"""What cancelling does with the money, for templates."""

from collections.abc import Iterable

from django import template

from billing import cancelling
from billing.cancelling import Outlook
from scheduling.models import Booking
from scheduling.terms import Outcome

register = template.Library()


@register.filter
def outlook(each: Iterable[tuple[Booking, Outcome]]) -> Outlook:
    """Of visits with what cancelling each of them costs."""
    return Outlook.total(cancelling.outlook(booking, outcome.fee_cents) for booking, outcome in each)
