"""Links in letters about a patient for whom somebody acted: the end of that ends the links that were sent before.

The letters of a child go to the parent. What they link to is theirs as long as they act, and no longer: every link is
bound to how often acting for the patient has ended, and none opens while the letters still go to one who acted.
"""

from clinic_booking import rows
from clinic_booking.accounts import emails
from clinic_booking.models import User
from patients.models import Patient, Proxy


@rows.all_rows()  # a number
def ends(patient_id: int) -> int:
    """How often acting for the patient has ended, by the database's clock."""
    return Proxy.objects.over().filter(patient=patient_id).count()


@rows.all_rows()  # whether, and not who
def reach_former(patient: Patient) -> bool:
    """The address on the record is that of somebody who acted for the patient and does so no more."""
    if not patient.email:
        return False
    live = Proxy.objects.live().filter(patient=patient).values("user")
    former = Proxy.objects.over().filter(patient=patient).exclude(user__in=live).select_related("user")
    address = patient.email.lower()
    if patient.user and address in _addresses(patient.user):
        return False
    return any(address in _addresses(each.user) for each in former)


def _addresses(user: User) -> set[str]:
    return {each.lower() for each in (user.email, *emails.verified(user))}
