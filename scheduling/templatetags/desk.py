from django import template

from clinic_booking.models import User
from scheduling import told
from scheduling.desk_report import managed_by
from scheduling.models import Booking, Clinic
from scheduling.told import Told

register = template.Library()


@register.filter
def manages(user: User, clinic: Clinic) -> bool:
    return user.is_authenticated and managed_by(user).filter(pk=clinic.pk).exists()


@register.simple_tag
def messages_about(booking: Booking) -> list[Told]:
    return list(told.messages_about(booking))
