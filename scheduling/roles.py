"""Who may act at a desk. Looking is for all staff of the clinic (`desk.clinics_of`)."""

from clinic_booking.models import User
from scheduling.models import Clinic, Membership

ACTS = [Membership.Role.RECEPTIONIST, Membership.Role.MANAGER]


def acts_at(user: User, clinic: Clinic) -> bool:
    """Doctors may look."""
    return user.is_superuser or user.memberships.filter(clinic=clinic, role__in=ACTS).exists()
