"""One login for each role."""

from django.contrib.auth.hashers import make_password

from clinic_booking.models import User
from patients.models import Patient
from scheduling.models import Clinic, Membership, Practitioner

# Printed by `seed_demo --logins`; the command refuses to run in production.
PASSWORD = "harbour-tembusu-lantern"  # noqa: S105
ROLES = ["patient", "receptionist", "nurse", "doctor", "manager", "finance", "privacy", "admin"]

OFFICES = {"privacy": User.Office.PRIVACY_OFFICER, "admin": User.Office.SYSTEM_ADMIN}


def username(role: str) -> str:
    return f"{role}@demo.example"


def make_logins(clinics: list[Clinic], patients: list[Patient]) -> None:
    """Whatever of it is missing; a changed password stays changed."""
    users = _users()
    for clinic in clinics:
        _member(users["receptionist"], clinic, Membership.Role.RECEPTIONIST)
        _member(users["manager"], clinic, Membership.Role.MANAGER)
        _member(users["finance"], clinic, Membership.Role.FINANCE)
    _member(users["doctor"], clinics[0], Membership.Role.DOCTOR)
    _member(users["nurse"], clinics[0], Membership.Role.NURSE)
    Practitioner.objects.filter(name="Dr Lim Wei Jie", user=None).update(user=users["doctor"])
    Patient.objects.filter(pk=patients[0].pk, user=None).update(user=users["patient"])


def _users() -> dict[str, User]:
    wanted = {username(role): role for role in ROLES}
    missing = set(wanted) - set(User.objects.filter(username__in=wanted).values_list("username", flat=True))
    if missing:
        password = make_password(PASSWORD)
        User.objects.bulk_create(
            User(
                username=name,
                email=name,
                password=password,
                is_staff=wanted[name] == "admin",
                office=OFFICES.get(wanted[name], ""),
            )
            for name in sorted(missing)
        )
    return {wanted[user.username]: user for user in User.objects.filter(username__in=wanted)}


def _member(user: User, clinic: Clinic, role: str) -> None:
    Membership.objects.get_or_create(user=user, clinic=clinic, defaults={"role": role})
