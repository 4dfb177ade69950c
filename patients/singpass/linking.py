"""A record gets the login of the person who was identified at the counter, or loses it. Nothing is merged."""

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.accounts.sessions import end_all
from clinic_booking.accounts.staff import is_staff
from clinic_booking.errors import NamedError
from clinic_booking.events import publish
from clinic_booking.models import User
from patients import counter_codes
from patients.models import Patient, SingpassIdentity
from patients.singpass.identities import has_other_door

PURPOSE = "singpass.linking"


class Document(models.TextChoices):
    NRIC = "nric", _("NRIC")
    FIN_CARD = "fin_card", _("FIN card (work or other pass)")
    PASSPORT = "passport", _("Passport")
    DIGITAL = "digital_ic", _("Digital IC in the Singpass app")


class NoSuchCode(NamedError):
    sentence = _("This code is wrong, was used or has run out. Please ask the patient for a new one.")


class RecordHasLogin(NamedError):
    sentence = _(
        "This record has another login already. The patient can log in there and add Singpass under “My login”;"
        " or that login is taken from the record first. Nothing was changed."
    )


class LoginHasRecord(NamedError):
    sentence = _(
        "The Singpass login that shows this code has another patient record already. Records are not merged here:"
        " that one has to give the login up first. Nothing was changed."
    )


class NotLinked(NamedError):
    sentence = _("No Singpass login is linked to this record.")


class NoLoginToLink(NamedError):
    status = 403
    sentence = _("Only a patient who is logged in with Singpass, and has no record yet, gets a code.")


def make_code(*, user: User) -> str:
    """Good for ten minutes and one use, and only the last one made. Raises NoLoginToLink."""
    with transaction.atomic():
        if is_staff(user) or Patient.objects.filter(user=user).exists() or not _has_singpass(user):
            raise NoLoginToLink
        return counter_codes.make(user=user, purpose=PURPOSE)


def link(*, patient: Patient, code: str, document: str, reason: str, clinic_id: int, by: User) -> None:
    """The person showed `document` at the counter. Raises NoSuchCode, RecordHasLogin, LoginHasRecord."""
    with transaction.atomic(durable=True):
        user = _redeem(code)
        if Patient.objects.filter(user=user).exists():
            raise LoginHasRecord
        try:
            with transaction.atomic():
                is_linked = Patient.objects.filter(pk=patient.pk, user=None).update(user=user)
        except IntegrityError:
            raise LoginHasRecord from None
        if not is_linked:
            raise RecordHasLogin
        _audit(audit.Action.LINK, patient, f"{document}: {reason}", clinic_id, by)
        data = {"patient": patient.pk, "by": by.pk}
        publish("patient.login_linked", f"patient:{patient.pk}", data, clinic_id=clinic_id)
        publish("patient.singpass_linked", f"patient:{patient.pk}", data, clinic_id=clinic_id)


def unlink(*, patient: Patient, reason: str, clinic_id: int, by: User) -> None:
    """The record keeps a login that has another way in; one by Singpass alone no longer opens it. Raises NotLinked."""
    with transaction.atomic(durable=True):
        identity = SingpassIdentity.objects.select_related("user").filter(user__patient=patient.pk).first()
        if identity is None:
            raise NotLinked
        if has_other_door(identity.user):
            identity.delete()
        else:
            Patient.objects.filter(pk=patient.pk, user=identity.user_id).update(user=None)
        end_all(identity.user)
        _audit(audit.Action.REVOKE, patient, reason, clinic_id, by)
        data = {"patient": patient.pk, "by": by.pk}
        publish("patient.login_unlinked", f"patient:{patient.pk}", data, clinic_id=clinic_id)
        publish("patient.singpass_unlinked", f"patient:{patient.pk}", data, clinic_id=clinic_id)


def identity_of(patient: Patient) -> SingpassIdentity | None:
    return SingpassIdentity.objects.filter(user__patient=patient.pk).first()


def _redeem(code: str) -> User:
    user = counter_codes.redeem(code, purpose=PURPOSE)
    if user is None or not _has_singpass(user):
        raise NoSuchCode
    return user


def _has_singpass(user: User) -> bool:
    return SingpassIdentity.objects.filter(user=user).exists()


def _audit(action: str, patient: Patient, reason: str, clinic_id: int, by: User) -> None:
    subject = f"patient:{patient.pk}"
    audit.record(
        action,
        subject,
        by=by,
        patient_id=patient.pk,
        clinic_id=clinic_id,
        fields=["user"],
        reason=reason[:200],
    )
