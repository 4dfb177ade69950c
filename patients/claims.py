"""A guest's record gets the login of the person who proved its contact by a code. Nothing is merged.

Whoever has the mailbox of a record gets its letters already, so a code that was sent there is proof enough. Families
share mailboxes: of several records the person chooses theirs, and a login has one. One that has a login is never given
to another.
"""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.accounts import emails
from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.messages.channels import is_on
from clinic_booking.models import User
from clinic_booking.rows import all_rows
from patients.models import Patient, Proxy

MOST = 20  # records of one mailbox that are offered


class RecordIsTaken(NamedError):
    sentence = _("These visits are in another account already. If that is not right, please ask the clinic.")


class LoginHasRecord(NamedError):
    sentence = _(
        "Your account holds a patient’s visits already. Please ask at the clinic’s counter to join records of one"
        " person."
    )


def found_for(user: User) -> list[Patient]:
    """Records without a login at the addresses that the user has proved. None for who has a record."""
    proved = emails.verified(user)
    if not proved or Patient.objects.filter(user=user).exists():
        return []
    with all_rows():
        return [
            each
            for address in proved
            # A child's letters come here; it is not the parent.
            for each in Patient.objects.filter(user=None, email__iexact=address)
            .exclude(proxies__user=user)
            .order_by("-pk")[:MOST]
        ]


def may_offer(patient: Patient, user: User | None) -> bool:
    """To keep the visits in an account: a parent's is not for the child's."""
    if patient.user_id or user is None:
        return patient.user_id is None
    acts = Proxy.objects.filter(user=user, patient=patient).exists()
    return not acts and not Patient.objects.filter(user=user).exists()


def is_proved(user: User, patient: Patient) -> bool:
    return bool(patient.email) and patient.email.lower() in {each.lower() for each in emails.verified(user)}


def contact_of(patient: Patient) -> tuple[str, str] | None:
    """Where the code goes: ("email" or "sms", the address)."""
    if patient.email:
        return "email", patient.email
    if patient.phone and is_on("sms"):
        return "sms", patient.phone
    return None


def claim(*, patient: Patient, user: User, proof: str) -> None:
    """`proof` is how the contact was proved. Raises RecordIsTaken, LoginHasRecord."""
    with transaction.atomic(durable=True):
        if Patient.objects.filter(user=user).exclude(pk=patient.pk).exists():
            raise LoginHasRecord
        if Proxy.objects.filter(user=user, patient=patient).exists():
            raise RecordIsTaken
        try:
            with transaction.atomic():
                # Of two at once the one whose UPDATE still finds no login.
                is_claimed = Patient.objects.filter(pk=patient.pk, user=None).update(user=user)
        except IntegrityError:
            raise LoginHasRecord from None
        if not is_claimed:
            raise RecordIsTaken
        audit.record(
            audit.Action.LINK,
            f"patient:{patient.pk}",
            by=user,
            patient_id=patient.pk,
            fields=["user"],
            reason=f"claimed by {proof}",
        )
        data = {"patient": patient.pk, "by": user.pk}
        publish("patient.login_linked", f"patient:{patient.pk}", data)


def masked_name(name: str) -> str:
    """Enough to tell a family apart: "Nurul A."."""
    first, *others = name.split()
    return " ".join([first, *(f"{each[0]}." for each in others)])


def masked_contact(channel: str, address: str) -> str:
    if channel == "sms":
        return f"••••{address[-4:]}"
    name, _at, domain = address.partition("@")
    return f"{name[0]}•••@{domain}"
