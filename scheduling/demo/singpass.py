"""Patients of the demo who have logged in with its Singpass before."""

from django.conf import settings

from clinic_booking.local.singpass.personas import PERSONAS
from clinic_booking.models import User
from patients.models import Patient, SingpassIdentity


def link_personas(patients: list[Patient]) -> int:
    """Only to the stand-in on this machine. How many are linked."""
    if not settings.SINGPASS_ISSUER.startswith("http://127.0.0.1:"):
        return 0
    linked = 0
    for persona in PERSONAS:
        if number := persona["patient"]:
            user, is_new = User.objects.get_or_create(username=f"singpass-demo-{number}")
            if is_new:
                user.set_unusable_password()
                user.save()
            Patient.objects.filter(pk=patients[number - 1].pk, user=None).update(user=user)
            known = {"issuer": settings.SINGPASS_ISSUER, "sub": persona["sub"]}
            SingpassIdentity.objects.update_or_create(user=user, defaults=known)
            linked += 1
    return linked
