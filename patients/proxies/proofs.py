"""How a login is proved to the other side: a code on its screen for the counter, a link to a proved address online."""

import uuid
from smtplib import SMTPException
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking.accounts import codes, emails, lockout
from clinic_booking.errors import NamedError
from clinic_booking.models import User
from patients import counter_codes
from patients.claims import masked_name
from patients.models import Patient

SALT = "proxies.invitation"
PURPOSE = "proxies.linking"
DAYS = 3


class NoSuchCode(NamedError):
    sentence = gettext_lazy("This code is wrong, was used or has run out. Please ask for a new one.")


class Invitation(NamedTuple):
    patient: Patient
    relation: str
    email_digest: str
    number: uuid.UUID


def make_code(*, user: User) -> str:
    """Good for ten minutes and one use, and only the last one made."""
    return counter_codes.make(user=user, purpose=PURPOSE)


def redeem(code: str) -> User:
    """Joins the caller's transaction: what is rolled back leaves the code good. Raises NoSuchCode."""
    if user := counter_codes.redeem(code, purpose=PURPOSE):
        return user
    raise NoSuchCode


# -- Invitations ---------------------------------------------------------------------------------


class InvitationOver(NamedError):
    status = 404
    sentence = gettext_lazy(
        "This invitation has run out, was used, or was cut off on its way. Please ask for a new one."
    )


class ForAnotherAddress(NamedError):
    status = 403
    sentence = gettext_lazy(
        "This invitation went to another e-mail address than the one you are logged in with. Please log out, and log in"
        " by a code to the address that it was sent to."
    )


def invite(request: HttpRequest, *, patient: Patient, email: str, relation: str) -> None:
    """Raises LockedOut, NotSent."""
    lockout.take_place(lockout.SEND_PLACE, request)
    lockout.take(lockout.SEND, email)
    said = {"p": patient.pk, "r": relation, "e": _digest(email), "n": uuid.uuid4().hex}
    token = signing.dumps(said, salt=SALT)
    link = request.build_absolute_uri(reverse("people_invitation", args=[token]))
    title = _("You are asked to act for somebody at Harbour Clinics")
    facts = {"subject": title, "link": link, "who": masked_name(patient.name), "days": DAYS}
    facts["dpo_email"] = settings.DPO_EMAIL
    message = EmailMultiAlternatives(
        title, render_to_string("email/people_invitation.txt", facts), to=[email]
    )
    message.attach_alternative(render_to_string("email/people_invitation.html", facts), "text/html")
    try:
        message.send()
    except (OSError, SMTPException) as error:
        raise codes.NotSent from error


def opened(token: str) -> Invitation | None:
    """Say beside the call that row security is paused: the token is the key."""
    try:
        said = signing.loads(token, salt=SALT, max_age=DAYS * 24 * 3600)
    except signing.BadSignature:
        return None
    patient = Patient.objects.filter(pk=said["p"], user__isnull=False).first()
    return Invitation(patient, said["r"], said["e"], uuid.UUID(said["n"])) if patient else None


def is_for(invitation: Invitation, user: User) -> bool:
    return invitation.email_digest in {_digest(each) for each in emails.verified(user)}


def _digest(email: str) -> str:
    """The link is an address, and those are in logs."""
    return salted_hmac(SALT, email.lower(), algorithm="sha256").hexdigest()[:32]
