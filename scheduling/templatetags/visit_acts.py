"""What may be done with a visit, for templates: `{% acts_on booking as acts %}`, `{{ user|acts_at:clinic }}`."""

from django import template
from django.utils import timezone
from django.utils.functional import Promise

from clinic_booking.models import User
from clinic_booking.roles import Can, may
from scheduling import visit_acts
from scheduling.arrivals import step_of
from scheduling.models import Booking, Clinic
from scheduling.visit_acts import Act

register = template.Library()


@register.simple_tag
def acts_on(booking: Booking) -> list[Act]:
    return visit_acts.acts_on(booking, timezone.now())


@register.filter
def acts_at(user: User, clinic: Clinic) -> bool:
    return may(user, Can.ACT_AT_DESK, clinic)


@register.filter
def step(booking: Booking) -> str:
    return step_of(booking)


@register.filter
def step_text(booking: Booking) -> str | Promise:
    return visit_acts.STEPS[step_of(booking)]
