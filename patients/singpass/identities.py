"""Which login a Singpass identity opens."""

import uuid
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from clinic_booking import audit
from clinic_booking.accounts import emails, factors
from clinic_booking.accounts.staff import is_staff
from clinic_booking.events import publish
from clinic_booking.models import User
from patients.models import Patient, SingpassIdentity
from patients.singpass.errors import Reason, SingpassError


def has_other_door(user: User) -> bool:
    """A login that Singpass made has none at first."""
    passkeys = Authenticator.objects.filter(user=user, type=factors.PASSKEY)
    return user.has_usable_password() or bool(emails.verified(user)) or passkeys.exists()


def log_in(claims: dict[str, Any]) -> User:
    """The login of this identity, made when it comes for the first time. Raises SingpassError."""
    with transaction.atomic():
        identity = _find(claims["sub"]) or _make(claims["sub"])
        user = identity.user
        if not user.is_active:
            raise SingpassError(Reason.DISABLED, "disabled")
        if is_staff(user):
            raise SingpassError(Reason.STAFF, "staff")
        _note(identity, claims)
    return user


def add(claims: dict[str, Any], *, user: User) -> User:
    """To the login of somebody who came by another door and has now shown both. Raises SingpassError."""
    if is_staff(user):
        raise SingpassError(Reason.STAFF, "staff")
    with transaction.atomic():
        identity = _find(claims["sub"])
        if identity is None:
            identity = _new(claims["sub"], user)
        elif identity.user_id != user.pk:
            _take_over(identity, user)
        _note(identity, claims)
        _write_down(identity, user, audit.Action.LINK, "patient.singpass_linked")
    return user


def remove(*, user: User) -> None:
    """By the patient, who keeps another way in. Sessions opened by Singpass end (`backend.get_user`)."""
    with transaction.atomic():
        identity = SingpassIdentity.objects.filter(user=user).first()
        if identity is None or not has_other_door(user):
            return
        _write_down(identity, user, audit.Action.REVOKE, "patient.singpass_unlinked")
        identity.delete()


def _write_down(identity: SingpassIdentity, user: User, action: str, topic: str) -> None:
    patient = Patient.objects.filter(user=user).only("pk").first()
    patient_id = patient.pk if patient else None
    subject, reason = f"singpass:{identity.pk}", "own account"
    audit.record(action, subject, by=user, patient_id=patient_id, fields=["singpass"], reason=reason)
    if patient:
        publish(topic, f"patient:{patient.pk}", {"patient": patient.pk, "by": user.pk})


def _find(sub: str) -> SingpassIdentity | None:
    found = SingpassIdentity.objects.select_related("user")
    return found.filter(issuer=settings.SINGPASS_ISSUER, sub=sub).first()


def _make(sub: str) -> SingpassIdentity:
    """Of two first logins at once, one makes it and the other finds it."""
    try:
        with transaction.atomic():
            user = User(username=f"singpass-{uuid.uuid4().hex}")
            user.set_unusable_password()
            user.save()
            return SingpassIdentity.objects.create(user=user, issuer=settings.SINGPASS_ISSUER, sub=sub)
    except IntegrityError:
        if found := _find(sub):
            return found
        raise


def _new(sub: str, user: User) -> SingpassIdentity:
    try:
        with transaction.atomic():
            return SingpassIdentity.objects.create(user=user, issuer=settings.SINGPASS_ISSUER, sub=sub)
    except IntegrityError:
        reason = Reason.HAS_ANOTHER if SingpassIdentity.objects.filter(user=user).exists() else Reason.IN_USE
        raise SingpassError(reason, "conflict") from None


def _take_over(identity: SingpassIdentity, user: User) -> None:
    """From a login that was made by mistake, before this one was remembered. One with a record is left alone."""
    other = identity.user
    if has_other_door(other) or not other.is_active or Patient.objects.filter(user=other).exists():
        raise SingpassError(Reason.IN_USE, "conflict")
    if SingpassIdentity.objects.filter(user=user).exists():
        raise SingpassError(Reason.HAS_ANOTHER, "conflict")
    User.objects.filter(pk=other.pk).update(is_active=False)
    SingpassIdentity.objects.filter(pk=identity.pk).update(user=user)
    identity.user = user


def _note(identity: SingpassIdentity, claims: dict[str, Any]) -> None:
    amr = claims.get("amr")
    means = " ".join(str(each) for each in amr) if isinstance(amr, list) else ""
    found = SingpassIdentity.objects.filter(pk=identity.pk)
    found.update(acr=claims["acr"], amr=means[:120], last_login_at=Now())
