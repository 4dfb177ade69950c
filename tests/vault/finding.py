from patients import search
from patients.models import Patient
from tests import factories


def find_patients(asked):
    """As staff of a clinic that knows everybody."""
    member = factories.MembershipFactory()
    for each in Patient.objects.all():
        factories.known(each, member.clinic)
    return search.find_patients(asked, by=member.user)
