from django import template

from clinic_booking.models import User
from scheduling.desk_report import managed_by
from scheduling.models import Clinic

register = template.Library()


@register.filter
def manages(user: User, clinic: Clinic) -> bool:
    return user.is_authenticated and managed_by(user).filter(pk=clinic.pk).exists()
