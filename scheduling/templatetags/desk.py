from django import template

from clinic_booking.models import User
from clinic_booking.roles import Can, may
from scheduling import told
from scheduling.desk_details import Check, check_of
from scheduling.models import Booking, Clinic
from scheduling.told import Told

register = template.Library()


@register.filter
def manages(user: User, clinic: Clinic) -> bool:
    return may(user, Can.SEE_REPORT, clinic)


@register.simple_tag
def patient_check(booking: Booking) -> Check:
    return check_of(booking.patient, booking.clinic)


@register.simple_tag
def messages_about(booking: Booking) -> list[Told]:
    return list(told.messages_about(booking))
