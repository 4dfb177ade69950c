"""What was agreed, and what cancelling costs, for templates."""

from collections.abc import Sequence

from django import template
from django.utils import timezone

from scheduling import terms
from scheduling.models import Booking, Hold

register = template.Library()


@register.filter
def rules(visits: Sequence[Hold | Booking] | Hold | Booking) -> list[str]:
    """Of one, or of several that are booked together."""
    several = [visits] if isinstance(visits, Hold | Booking) else visits
    return terms.rules_of(several, timezone.now())
